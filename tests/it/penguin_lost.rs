//! What the Penguin driver promises when connections, events, watchers or the instance are lost.

use std::time::Duration;

use link::{
    agents::{Activity, AgentRuntime, Bookmark, Control, Outcome},
    domain::{failure::FailureClass, run::InterruptKind},
};
use serde_json::json;

use crate::support::{
    driving::{Watched, driver, endpoint, fact_ids, work},
    fake_penguin::FakePenguin,
    runs::{FILE, assert_each_fact_once, both_ways, class, files, submitted},
};

#[tokio::test]
async fn a_lost_connection_does_not_run_the_work_twice() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let work = work(&format!("Write {FILE} [[words:20]] [[delay:0.03]]"));
        let watched = Watched::start(&driver(), &at, &work, Bookmark::default());
        watched.until(|activity| matches!(activity, Activity::Delta { .. })).await;

        fake.cut_connections().await;
        let (end, reports) = watched.end().await;

        assert!(matches!(&end, Ok(Outcome::Submitted { text, .. }) if text.ends_with("word19")), "{end:?}");
        assert_eq!(fake.runs_of(&format!("link-{}", work.attempt.0.simple())), 1);
        assert_eq!(files(&reports).len(), 1);
        assert_each_fact_once(&reports);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_while_the_instance_is_away_for_a_moment_is_no_failure() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let watched = Watched::start(&driver(), &at, &work("[[words:15]] [[delay:0.05]]"), Bookmark::default());
        watched.accepted().await;

        fake.shut();
        tokio::time::sleep(Duration::from_millis(300)).await;
        fake.reopen().await;

        let (end, _) = watched.end().await;
        assert!(matches!(&end, Ok(Outcome::Submitted { text, .. }) if text.ends_with("word14")), "{end:?}");
    }
}

#[tokio::test]
async fn a_new_watcher_finds_the_run_by_its_bookmark_and_reports_the_same_facts() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let before = fake.runs();
        let work = work(&format!("Write {FILE} [[words:20]] [[delay:0.03]]"));
        let first = Watched::start(&driver(), &at, &work, Bookmark::default());
        let bookmark = first.accepted().await;
        first.until(|activity| matches!(activity, Activity::Artifact(_))).await;
        let early = fact_ids(&first.reports());
        first.crash();

        let (end, reports) = Watched::start(&driver(), &at, &work, Bookmark { cursor: None, ..bookmark }).end().await;

        assert!(matches!(&end, Ok(Outcome::Submitted { text, .. }) if text.ends_with("word19")), "{end:?}");
        assert_eq!(fake.runs() - before, 1);
        let late = fact_ids(&reports);
        assert!(early.iter().all(|id| late.contains(id)), "{early:?} is not part of {late:?}");
    }
}

#[tokio::test]
async fn a_new_watcher_without_a_bookmark_finds_the_run_too() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let before = fake.runs();
        let work = work("[[words:20]] [[delay:0.03]]");
        let first = Watched::start(&driver(), &at, &work, Bookmark::default());
        first.accepted().await;
        first.crash();

        let (end, _) = Watched::start(&driver(), &at, &work, Bookmark::default()).end().await;

        assert!(end.is_ok(), "{end:?}");
        assert_eq!(fake.runs() - before, 1);
    }
}

#[tokio::test]
async fn a_run_that_ended_while_nobody_watched_is_read_and_not_run_again() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let before = fake.runs();
        let work = work(&format!("Write {FILE} [[say:long done]]"));
        let first = Watched::start(&driver(), &at, &work, Bookmark::default());
        let bookmark = first.accepted().await;
        first.end().await.0.expect("it ends well");

        let (end, reports) = Watched::start(&driver(), &at, &work, bookmark).end().await;

        assert_eq!(end, submitted("long done"));
        assert_eq!(files(&reports).len(), 1, "{reports:#?}");
        assert_eq!(fake.runs() - before, 1);
    }
}

#[tokio::test]
async fn a_restart_of_the_instance_loses_the_run_and_never_starts_it_again() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let before = fake.runs();
        let work = work(&format!("Write {FILE} [[hang]]"));
        let watched = Watched::start(&driver(), &at, &work, Bookmark::default());
        let bookmark = watched.accepted().await;
        watched.until(|activity| matches!(activity, Activity::Artifact(_))).await;

        fake.restart().await;

        assert_eq!(class(watched.end().await.0), FailureClass::InstanceLost);
        let again = Watched::start(&driver(), &at, &work, bookmark).end().await.0;
        assert_eq!(class(again), FailureClass::InstanceLost);
        assert_eq!(fake.runs() - before, 1);
    }
}

#[tokio::test]
async fn a_result_from_before_a_restart_still_counts() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let work = work("[[say:kept]]");
        let first = Watched::start(&driver(), &at, &work, Bookmark::default());
        let bookmark = first.accepted().await;
        first.end().await.0.expect("it ends well");
        fake.restart().await;

        assert_eq!(Watched::start(&driver(), &at, &work, bookmark).end().await.0, submitted("kept"));
    }
}

#[tokio::test]
async fn an_instance_that_stays_away_is_lost() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        let watched = Watched::start(&driver(), &at, &work("[[hang]]"), Bookmark::default());
        watched.accepted().await;

        fake.shut();

        assert_eq!(class(watched.end().await.0), FailureClass::InstanceLost);
        fake.reopen().await;
    }
}

#[tokio::test]
async fn an_instance_that_is_not_there_refuses_the_connection() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    fake.shut();

    let end = Watched::start(&driver(), &at, &work("x"), Bookmark::default()).end().await.0;

    assert_eq!(class(end), FailureClass::ConnectRefused);
    assert_eq!(driver().probe(&at).await.expect_err("nobody there").class, FailureClass::ConnectRefused);
}

#[tokio::test]
async fn a_server_error_at_submission_is_told_as_one() {
    let fake = FakePenguin::start().await;
    for at in both_ways(&fake) {
        fake.break_route("chat/message", 1);

        let end = Watched::start(&driver(), &at, &work("x"), Bookmark::default()).end().await.0;

        assert_eq!(class(end), FailureClass::HttpServerError);
    }
    assert_eq!(fake.runs(), 0);
}

#[tokio::test]
async fn server_errors_of_side_calls_do_not_end_a_run() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    fake.break_route("events/sse", 2);
    fake.break_route("history", 1);

    let end = Watched::start(&driver(), &at, &work("[[words:5]] [[delay:0.05]]"), Bookmark::default()).end().await.0;

    assert_eq!(end, submitted("word0 word1 word2 word3 word4"));
}

#[tokio::test]
async fn a_question_asked_while_nobody_watched_is_found_and_answered() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    let work = work("[[ask:question]] [[say:thanks]]");
    let first = Watched::start(&driver(), &at, &work, Bookmark::default());
    let bookmark = first.accepted().await;
    first.crash();
    while fake.waiting() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fake.gap();

    let second = Watched::start(&driver(), &at, &work, bookmark);
    let asked = second.until(|activity| matches!(activity, Activity::Interrupt { .. })).await;
    let Activity::Interrupt { key, kind, prompt, .. } = asked else { panic!("{asked:?}") };
    assert_eq!((kind, prompt.as_str()), (InterruptKind::Question, "Which one?"));
    second.tell(Control::Answer { key, answer: json!("the blue one") }).await;

    assert_eq!(second.end().await.0, submitted("thanks"));
}

#[tokio::test]
async fn a_stream_that_loses_its_tail_loses_no_tool_and_no_file() {
    let fake = FakePenguin::start().await;
    fake.lose_events_after(4);
    for at in both_ways(&fake) {
        let (end, reports) =
            Watched::start(&driver(), &at, &work(&format!("{FILE} [[say:done]]")), Bookmark::default()).end().await;

        assert_eq!(end, submitted("done"));
        assert_eq!(files(&reports), [("a.txt".into(), Some("hello".into()))]);
        assert_each_fact_once(&reports);
    }
}

#[tokio::test]
async fn a_lost_answer_and_a_lost_tail_still_find_the_result() {
    let fake = FakePenguin::start().await;
    fake.lose_events_after(4);
    for at in both_ways(&fake) {
        let work = work(&format!("{FILE} [[words:9]] [[delay:0.03]]"));
        let watched = Watched::start(&driver(), &at, &work, Bookmark::default());
        watched.accepted().await;
        fake.cut_connections().await;

        let (end, reports) = watched.end().await;

        assert!(matches!(&end, Ok(Outcome::Submitted { text, .. }) if text.ends_with("word8")), "{end:?}");
        assert_eq!(files(&reports).len(), 1);
    }
}

#[tokio::test]
async fn a_bookmark_of_another_driver_is_misconfigured() {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    let bookmark = Bookmark { remote: Some(json!({"pid": 7})), cursor: None };

    let end = Watched::start(&driver(), &at, &work("x"), bookmark).end().await.0;

    assert_eq!(class(end), FailureClass::Misconfigured);
}
