//! Runs of scripts over real channels.

use super::*;
use crate::domain::ids::{AttemptId, DelegationId, InstanceId, TaskId, UserId, WorkspaceId};

struct Stage {
    result: tokio::task::JoinHandle<Result<Outcome, Failure>>,
    reports: mpsc::Receiver<Report>,
    control: mpsc::Sender<Control>,
}

fn staged(script: &str, prompt: &str, bookmark: Bookmark) -> Stage {
    let nil = uuid::Uuid::nil();
    let endpoint = Endpoint {
        instance: InstanceId(nil),
        url: script.into(),
        credentials: BTreeMap::new(),
        model: None,
        turns_max: 1,
    };
    let work = Assignment {
        fence: 1,
        attempt: AttemptId(nil),
        delegation: DelegationId(nil),
        task: TaskId(nil),
        workspace: WorkspaceId(nil),
        on_behalf_of: UserId(nil),
        prompt: prompt.into(),
    };
    let (to_link, reports) = mpsc::channel(4);
    let (control, from_link) = mpsc::channel(4);
    let result = tokio::spawn(async move { Scripted.run(&endpoint, &work, bookmark, to_link, from_link).await });
    Stage { result, reports, control }
}

impl Stage {
    async fn rest(mut self) -> (Vec<Report>, Result<Outcome, Failure>) {
        let mut reports = vec![];
        while let Some(report) = self.reports.recv().await {
            reports.push(report);
        }
        (reports, self.result.await.unwrap())
    }

    async fn until_asked(&mut self) -> Report {
        loop {
            let report = self.reports.recv().await.unwrap();
            if matches!(report.activity, Activity::Interrupt { .. }) {
                return report;
            }
        }
    }

    async fn answer(&self, key: &str, answer: Value) {
        self.control.send(Control::Answer { key: key.into(), answer }).await.unwrap();
    }
}

fn ids(reports: &[Report]) -> Vec<&str> {
    reports.iter().filter_map(|report| report.id.as_deref()).collect()
}

fn written(reports: &[Report]) -> String {
    let pieces = reports.iter().filter_map(|report| match &report.activity {
        Activity::Delta { text } => Some(text.as_str()),
        _ => None,
    });
    pieces.collect()
}

fn submitted(result: Result<Outcome, Failure>) -> String {
    let Ok(Outcome::Submitted { text, explicit: true }) = result else { panic!("{result:?}") };
    text
}

#[tokio::test]
async fn a_run_reports_what_the_script_says_and_hands_in_what_it_wrote() {
    let script =
        "script:say Looking at {title}; progress 40 testing; tool bash ls; write a.md hi; usage 1 2 0.1; say done";
    let (reports, result) = staged(script, "Paint the shed\n\nin red", Bookmark::default()).rest().await;
    assert_eq!(ids(&reports), ["accepted", "step:2", "step:3", "step:4", "step:5"]);
    assert!(matches!(reports[0].activity, Activity::Accepted { .. }));
    let text = submitted(result);
    assert_eq!(text, "Looking at Paint the shed\ndone");
    assert_eq!(written(&reports), text);
}

#[tokio::test]
async fn a_run_that_starts_again_says_the_same_under_the_same_ids() {
    let script = "script:say a b c; progress 1 x; write a.md hi";
    let (first, _) = staged(script, "t", Bookmark::default()).rest().await;
    let (again, _) = staged(script, "t", Bookmark::default()).rest().await;
    assert_eq!(ids(&first), ids(&again));
    assert_eq!(first.len(), again.len());
}

#[tokio::test]
async fn an_answer_becomes_part_of_the_text_and_is_not_asked_for_twice() {
    let script = "script:say before; ask Which colour?; say after";
    let mut stage = staged(script, "t", Bookmark::default());
    assert_eq!(stage.until_asked().await.id.as_deref(), Some("step:2"));
    stage.answer("step:2", json!("red")).await;
    let (reports, result) = stage.rest().await;
    let text = submitted(result);
    assert_eq!(text, "before\nAnswer: red\nafter");

    let cursor = reports.iter().find_map(|report| match &report.activity {
        Activity::Cursor(cursor) => Some(cursor.clone()),
        _ => None,
    });
    let (reports, result) = staged(script, "t", Bookmark { remote: None, cursor }).rest().await;
    assert_eq!(ids(&reports), ["accepted"]);
    assert_eq!(submitted(result), text);
}

#[tokio::test]
async fn an_answer_that_comes_before_its_question_counts() {
    let stage = staged("script:wait 20ms; ask Which colour?", "t", Bookmark::default());
    stage.answer("step:2", json!({"text": "blue"})).await;
    let (_, result) = stage.rest().await;
    assert_eq!(submitted(result), "Answer: blue");
}

#[tokio::test]
async fn a_denied_approval_ends_the_run() {
    for (answer, allowed) in [(json!({"approve": true}), true), (json!(true), true), (json!({"approve": false}), false)]
    {
        let mut stage = staged("script:approve dropping the table; say dropped", "t", Bookmark::default());
        stage.until_asked().await;
        stage.answer("step:1", answer).await;
        match stage.rest().await.1 {
            Ok(outcome) => assert!(allowed, "{outcome:?}"),
            Err(failure) => assert_eq!((failure.class, allowed), (FailureClass::PermissionDenied, false)),
        }
    }
}

#[tokio::test]
async fn a_cancel_ends_the_run_wherever_it_is() {
    // Nobody reads the reports, so that the last script is stopped at a full channel.
    for (script, heard) in [("silent", 1), ("wait 9s", 1), ("ask never answered", 2), ("say a b c d e f g h i j", 4)] {
        let stage = staged(&format!("script:{script}"), "t", Bookmark::default());
        while stage.reports.len() < heard {
            tokio::task::yield_now().await;
        }
        stage.control.send(Control::Cancel).await.unwrap();
        assert_eq!(stage.result.await.unwrap(), Ok(Outcome::Cancelled), "{script}");
    }
}

#[tokio::test]
async fn bad_ends_end_badly() {
    let (_, result) = staged("script:fail provider_quota no money", "t", Bookmark::default()).rest().await;
    assert_eq!(result.unwrap_err(), Failure::new(FailureClass::ProviderQuota, "no money"));
    let (_, result) = staged("script:say words; empty", "t", Bookmark::default()).rest().await;
    assert_eq!(submitted(result), "");
    let crashed = staged("script:crash", "t", Bookmark::default());
    assert!(crashed.result.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_script_that_cannot_be_read_is_a_setting_to_correct() {
    for (url, prompt) in [("script:dance", "t"), ("http://x", "t"), ("script:say a", "t [[script: sing]]")] {
        let (reports, result) = staged(url, prompt, Bookmark::default()).rest().await;
        assert_eq!(result.unwrap_err().class, FailureClass::Misconfigured);
        assert!(reports.is_empty());
    }
}
