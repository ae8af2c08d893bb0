//! The driver against a real Penguin 0.9.3 with a scripted model. Needs `tests/penguin/install.sh` once and
//! `LINK_REAL_PENGUIN=1`; otherwise every test says that it was skipped. The Penguin stays up for the next time; to
//! stop it: `RUN=<temp>/link-penguin-real tests/penguin/start_penguin.sh stop`.

use std::time::Duration;

use link::agents::{Activity, Bookmark, Control, Outcome, penguin::Penguin};

use crate::support::{
    driving::{Watched, driver, endpoint, http, streamed, work},
    real_penguin::{ALONE, LINK, ORDINARY, first_turns_with, penguin, wanted},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguin_runs_plain_work_with_a_tool_and_a_file() {
    if !wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let at = endpoint(&tokio::task::spawn_blocking(penguin).await.expect("started"), &[ORDINARY], None);
    let work =
        work("Write it [[tool:write_file {\"path\":\"real.txt\",\"content\":\"from link\"}]] [[say:all written]]");
    let watched = Watched::start(&driver(), &at, &work, Bookmark::default());

    let (end, reports) = watched.end().await;

    assert_eq!(end, Ok(Outcome::Submitted { text: "all written".into(), explicit: false }));
    assert_eq!(streamed(&reports), "all written");
    let file = reports.iter().find_map(|report| match &report.activity {
        Activity::Artifact(file) => Some((file.name.clone(), file.content.clone())),
        _ => None,
    });
    assert_eq!(file, Some(("real.txt".into(), Some("from link".into()))));
    assert!(
        reports
            .iter()
            .any(|report| matches!(&report.activity, Activity::Tool { tool, ok: true, .. } if tool == "write_file"))
    );
    assert!(reports.iter().any(|report| matches!(&report.activity, Activity::Usage(usage) if usage.input_tokens > 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguin_runs_durable_work_once_though_its_first_watcher_is_gone() {
    resumed_once("durable", &[ORDINARY, LINK], Some("stub/stub-1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguin_runs_plain_work_once_though_its_first_watcher_is_gone() {
    resumed_once("plain", &[ORDINARY], None).await;
}

async fn resumed_once(kind: &str, credentials: &[(&str, &str)], model: Option<&str>) {
    if !wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let url = tokio::task::spawn_blocking(penguin).await.expect("started");
    let at = endpoint(&url, credentials, model);
    let file = format!("{kind}-{}.txt", crate::support::driving::new_id());
    let work =
        work(&format!("Do [[tool:write_file {{\"path\":\"{file}\",\"content\":\"x\"}}]] [[words:12]] [[delay:0.3]]"));
    let first = Watched::start(&driver(), &at, &work, Bookmark::default());
    let bookmark = first.accepted().await;
    first.until(|activity| matches!(activity, Activity::Delta { .. })).await;
    first.crash();

    let second = Watched::start(&driver(), &at, &work, bookmark);
    let (end, reports) = second.end().await;

    let words: Vec<_> = (0..12).map(|n| format!("word{n}")).collect();
    assert_eq!(end, Ok(Outcome::Submitted { text: words.join(" "), explicit: false }));
    assert!(reports.iter().any(|report| matches!(&report.activity, Activity::Artifact(made) if made.name == file)));
    assert_eq!(first_turns_with(&file).await, 1, "the work ran once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguin_keeps_runs_apart_that_are_asked_for_together() {
    if !wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let at = endpoint(&tokio::task::spawn_blocking(penguin).await.expect("started"), &[ORDINARY], None);
    let driver = std::sync::Arc::new(Penguin::new(http()));
    let said: Vec<_> =
        ["red", "green", "blue"].map(|word| (0..8).map(|n| format!("{word}{n}")).collect::<Vec<_>>().join(" ")).into();
    let text = |said: &String| {
        format!("Say it [[tool:list_files {{\"path\":\".\"}}]] [[say:{said}]] [[first:1]] [[delay:0.2]]")
    };
    let all: Vec<_> =
        said.iter().map(|said| Watched::start(&driver, &at, &work(&text(said)), Bookmark::default())).collect();

    for (watched, said) in all.into_iter().zip(said) {
        let (end, reports) = watched.end().await;
        assert_eq!(end, Ok(Outcome::Submitted { text: said.clone(), explicit: false }));
        assert_eq!(streamed(&reports), said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_penguin_stops_cancelled_work_in_its_first_turn() {
    if !wanted() {
        return;
    }
    let _alone = ALONE.lock().await;
    let at = endpoint(&tokio::task::spawn_blocking(penguin).await.expect("started"), &[ORDINARY], None);
    let watched = Watched::start(
        &std::sync::Arc::new(Penguin::new(http())),
        &at,
        &work("Think long [[first:30]] [[say:never]]"),
        Bookmark::default(),
    );
    watched.accepted().await;
    let begun = std::time::Instant::now();

    watched.tell(Control::Cancel).await;

    assert_eq!(watched.end().await.0, Ok(Outcome::Cancelled));
    assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
}
