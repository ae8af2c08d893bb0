//! What the Penguin driver promises about a run, against a scripted Penguin.

use std::time::Duration;

use link::{
    agents::{Activity, AgentRuntime, Bookmark, Control, Outcome},
    domain::{failure::FailureClass, run::InterruptKind},
};
use serde_json::json;

use crate::support::{
    driving::{Watched, driver, endpoint, streamed, work},
    fake_penguin::FakePenguin,
    runs::{FILE, LINK, MODEL, ORDINARY, assert_each_fact_once, both_ways, class, files, run, submitted},
};

#[tokio::test]
async fn a_run_reports_its_progress_its_tools_its_files_its_words_and_its_tokens() {
    let (end, reports) = run(&format!("Write {FILE} [[say:it is done]]")).await;

    assert_eq!(end, submitted("it is done"));
    assert_eq!(streamed(&reports), "it is done");
    assert_eq!(files(&reports), [("a.txt".into(), Some("hello".into()))]);
    assert!(matches!(reports[0].activity, Activity::Accepted { .. }), "{:?}", reports[0]);
    let phases: Vec<_> = reports
        .iter()
        .filter_map(|report| match &report.activity {
            Activity::Progress { phase, percent: None, .. } => Some(phase.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(phases, ["working", "tool"]);
    let tool = Activity::Tool { tool: "write_file".into(), ok: true, summary: "a.txt".into() };
    assert!(reports.iter().any(|report| report.activity == tool));
    assert!(reports.iter().any(|report| matches!(report.activity, Activity::Usage(used) if used.input_tokens == 100)));
    assert_each_fact_once(&reports);
}

#[tokio::test]
async fn a_wrong_key_is_told_without_saying_the_key() {
    let fake = FakePenguin::locked(ORDINARY.1, LINK.1).await;
    let at = endpoint(&fake.url(), &[("api_key", "wrong-secret")], None);

    let failure = Watched::start(&driver(), &at, &work("x"), Bookmark::default()).end().await.0.expect_err("locked");

    assert_eq!(failure.class, FailureClass::ProviderAuth);
    assert!(!failure.message.contains("wrong-secret"), "{failure}");
}

#[tokio::test]
async fn links_key_alone_is_enough_for_durable_work() {
    let fake = FakePenguin::locked(ORDINARY.1, LINK.1).await;
    let at = endpoint(&fake.url(), &[LINK], MODEL);

    let (end, reports) =
        Watched::start(&driver(), &at, &work(&format!("{FILE} [[say:done]]")), Bookmark::default()).end().await;

    assert_eq!(end, submitted("done"));
    assert_eq!(files(&reports).len(), 1);
}

#[tokio::test]
async fn both_keys_together_stream_durable_work() {
    let fake = FakePenguin::locked(ORDINARY.1, LINK.1).await;
    let at = endpoint(&fake.url(), &[LINK, ORDINARY], MODEL);

    let (end, reports) = Watched::start(&driver(), &at, &work("[[words:3]]"), Bookmark::default()).end().await;

    assert_eq!(end, submitted("word0 word1 word2"));
    assert_eq!(streamed(&reports), "word0 word1 word2");
}

#[tokio::test]
async fn failures_of_the_model_have_their_class_and_the_wish_to_wait() {
    assert_eq!(class(run("[[provider_error]]").await.0), FailureClass::ProviderError);
    assert_eq!(class(run("[[cut]]").await.0), FailureClass::ProviderError);
    let limited = run("[[recoverable]]").await.0.expect_err("limited");
    assert_eq!(limited.class, FailureClass::ProviderRateLimit);
    assert_eq!(limited.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn an_agent_that_says_nothing_gives_no_evidence() {
    assert_eq!(class(run("[[empty]]").await.0), FailureClass::EvidenceMissing);
}

#[tokio::test]
async fn an_answer_that_nobody_has_seen_before_is_unknown() {
    assert_eq!(class(run("[[strange]]").await.0), FailureClass::Unknown);
}

#[tokio::test]
async fn the_turn_limit_is_a_used_up_budget() {
    let fake = FakePenguin::start().await;
    let mut at = endpoint(&fake.url(), &[], None);
    at.turns_max = 2;
    let prompt = format!("{FILE} {FILE} {FILE} [[say:never]]");

    let (end, reports) = Watched::start(&driver(), &at, &work(&prompt), Bookmark::default()).end().await;

    assert_eq!(class(end), FailureClass::BudgetExhausted);
    assert_eq!(files(&reports).len(), 2);
}

#[tokio::test]
async fn a_permission_is_asked_and_granted() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    let prompt = format!("[[ask:permission]] {FILE} [[say:done]]");
    let watched = Watched::start(&driver(), &at, &work(&prompt), Bookmark::default());
    let asked = watched.until(|activity| matches!(activity, Activity::Interrupt { .. })).await;
    let Activity::Interrupt { key, kind, prompt, details } = asked else { panic!("{asked:?}") };
    assert_eq!((kind, prompt.as_str()), (InterruptKind::Approval, "Allow filesystem.write a.txt?"));
    assert_eq!(details["tool"], "write_file");

    watched.tell(Control::Answer { key, answer: json!({"approve": true}) }).await;
    let (end, reports) = watched.end().await;

    assert_eq!(end, submitted("done"));
    assert_eq!(files(&reports).len(), 1);
    assert!(!reports.iter().any(|report| matches!(report.activity, Activity::InterruptClosed { .. })));
}

#[tokio::test]
async fn a_denied_permission_writes_nothing() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    let prompt = format!("[[ask:permission]] {FILE} [[say:could not]]");
    let watched = Watched::start(&driver(), &at, &work(&prompt), Bookmark::default());
    let asked = watched.until(|activity| matches!(activity, Activity::Interrupt { .. })).await;
    let Activity::Interrupt { key, .. } = asked else { panic!("{asked:?}") };

    watched.tell(Control::Answer { key, answer: json!({"approve": "yes"}) }).await;
    let (end, reports) = watched.end().await;

    assert_eq!(end, submitted("could not"));
    assert!(files(&reports).is_empty(), "only a clear yes is a yes");
    assert!(reports.iter().any(|report| matches!(report.activity, Activity::Tool { ok: false, .. })));
}

#[tokio::test]
async fn a_permission_that_expires_at_the_instance_is_closed() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    let prompt = format!("[[ask:permission]] {FILE} [[say:went on]]");
    let watched = Watched::start(&driver(), &at, &work(&prompt), Bookmark::default());
    watched.until(|activity| matches!(activity, Activity::Interrupt { .. })).await;

    fake.expire_questions();

    watched.until(|activity| matches!(activity, Activity::InterruptClosed { .. })).await;
    assert_eq!(watched.end().await.0, submitted("went on"));
}

#[tokio::test]
async fn a_cancelled_run_stops_at_the_instance() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let watched = Watched::start(&driver(), &at, &work("[[hang]]"), Bookmark::default());
        watched.accepted().await;

        watched.tell(Control::Cancel).await;

        assert_eq!(watched.end().await.0, Ok(Outcome::Cancelled));
        let health = driver().probe(&at).await.expect("it lives");
        assert_eq!(health.busy, Some(0));
    }
}

#[tokio::test]
async fn runs_of_one_instance_start_one_after_the_other() {
    let fake = FakePenguin::start().await;
    let (driver, at) = (driver(), endpoint(&fake.url(), &[], None));
    let begun = std::time::Instant::now();
    let all: Vec<_> = (0..4)
        .map(|_| Watched::start(&driver, &at, &work("[[words:10]] [[delay:0.03]]"), Bookmark::default()))
        .collect();
    for watched in all {
        watched.end().await.0.expect("it ends well");
    }
    // Four starts with three gaps of 50 ms; the runs themselves overlap.
    assert!(begun.elapsed() >= Duration::from_millis(150 + 300), "took {:?}", begun.elapsed());
    assert_eq!(fake.runs(), 4);
}

#[tokio::test]
async fn a_probe_tells_the_boot_and_the_version() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    let before = driver().probe(&at).await.expect("it lives");
    assert_eq!((before.version.as_deref(), before.busy), (Some("0.9.3"), Some(0)));

    fake.restart().await;

    assert_ne!(driver().probe(&at).await.expect("it lives").boot, before.boot);
}
