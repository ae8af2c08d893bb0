//! Recordings of a real Penguin 0.9.3 (made by `scripts/record_penguin.py`): the driver reads them as the tests with
//! the scripted Penguin promise, and the scripted Penguin answers in the same shapes.

use link::{
    agents::{Activity, Failure, Outcome, penguin::replay},
    domain::{failure::FailureClass, run::InterruptKind},
};
use serde_json::{Value, json};

use crate::support::{
    driving::{fact_ids, http, streamed},
    fake_penguin::FakePenguin,
    shape,
};

/// One recorded scenario.
struct Recording(Value);

impl Recording {
    fn open(name: &str) -> Self {
        let path = format!("{}/tests/it/recordings/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self(serde_json::from_str(&text).expect("recordings are JSON"))
    }

    fn answer(&self, label: &str) -> &Value {
        let exchanges = self.0["exchanges"].as_array().expect("a list");
        let found = exchanges.iter().find(|exchange| exchange["label"] == label);
        &found.unwrap_or_else(|| panic!("nothing is labelled {label}"))["answer"]
    }

    fn events(&self) -> &[Value] {
        self.0["events"].as_array().expect("a list")
    }
}

fn outcome(recording: &Recording, label: &str) -> Result<Outcome, Failure> {
    replay::outcome(recording.answer(label), 2).unwrap_or_else(|| panic!("{label} does not end the run"))
}

fn class(end: Result<Outcome, Failure>) -> FailureClass {
    end.expect_err("a failure").class
}

#[test]
fn a_real_tool_run_gives_each_tool_and_file_once_though_both_stream_and_answer_tell_it() {
    let recording = Recording::open("plain_tool");

    let reports = replay::reports_with_answer("link-request", recording.events(), recording.answer("chat"));

    assert_eq!(streamed(&reports), "word0 word1 word2 word3 word4");
    let tools: Vec<_> = reports
        .iter()
        .filter_map(|report| match &report.activity {
            Activity::Tool { tool, ok, summary } => Some((tool.as_str(), *ok, summary.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(tools, [("list_files", true, "."), ("write_file", true, "recorded.txt")]);
    let files: Vec<_> = reports
        .iter()
        .filter_map(|report| match &report.activity {
            Activity::Artifact(file) => Some((file.name.as_str(), file.content.as_deref())),
            _ => None,
        })
        .collect();
    assert_eq!(files, [("recorded.txt", Some("hello"))]);
    let usages = reports.iter().filter(|report| matches!(report.activity, Activity::Usage(_))).count();
    assert_eq!(usages, 1, "the totals of the stream are those of the answer");
    let ids = fact_ids(&reports);
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
}

#[test]
fn a_real_answer_alone_tells_the_same_tools_and_files_as_the_stream() {
    let recording = Recording::open("plain_tool");
    let durable = |id: &String| id.starts_with("tool:") || id.starts_with("file:") || id.starts_with("usage:");
    let facts = |reports| fact_ids(reports).into_iter().filter(durable).collect::<Vec<_>>();

    let from_stream = replay::reports("link-request", recording.events());
    let from_answer = replay::reports_with_answer("link-request", &[], recording.answer("chat"));

    assert_eq!(facts(&from_stream), facts(&from_answer));
    assert_eq!(facts(&from_stream).len(), 4);
}

#[test]
fn real_endings_mean_what_they_say() {
    let recording = Recording::open("endings");
    let submitted = |explicit| Ok(Outcome::Submitted { text: "last words".into(), explicit });

    assert_eq!(outcome(&recording, "words"), submitted(false));
    assert_eq!(outcome(&recording, "finished"), submitted(true));
    assert_eq!(class(outcome(&recording, "blank")), FailureClass::EvidenceMissing);
    assert_eq!(class(outcome(&recording, "blocked")), FailureClass::AgentBlocked);
    assert_eq!(class(outcome(&recording, "clarification")), FailureClass::AgentBlocked);
    assert_eq!(class(outcome(&recording, "limit")), FailureClass::BudgetExhausted);
    assert_eq!(outcome(&recording, "limit with words"), submitted(false), "the last turn finished the work");
}

#[test]
fn a_real_history_means_the_same_as_the_answer_that_was_lost() {
    let recording = Recording::open("endings");
    for label in ["words", "finished", "blocked", "clarification", "limit", "limit with words"] {
        let history = recording.answer(&format!("{label}: history"));
        assert_eq!(replay::outcome_of_history(history, 2), outcome(&recording, label), "{label}");
    }
}

#[test]
fn real_failures_of_the_model_have_their_class() {
    let recording = Recording::open("provider_errors");
    let expected = [
        ("500", FailureClass::ProviderError),
        ("429", FailureClass::ProviderRateLimit),
        ("cut", FailureClass::ProviderError),
        ("durable 402", FailureClass::ProviderQuota),
        ("durable 429", FailureClass::ProviderRateLimit),
        ("durable 401", FailureClass::ProviderAuth),
        ("durable cut", FailureClass::ProviderError),
        ("durable empty", FailureClass::ProviderError),
    ];
    for (label, class_of) in expected {
        assert_eq!(class(outcome(&recording, label)), class_of, "{label}");
    }
    let wait = outcome(&recording, "durable 429").expect_err("limited").retry_after;
    assert_eq!(wait, Some(std::time::Duration::from_secs(1)));
}

#[test]
fn a_real_permission_is_an_interrupt_that_names_the_file() {
    let recording = Recording::open("permission");

    let reports = replay::reports("link-request", recording.events());

    let asked: Vec<_> = reports
        .iter()
        .filter_map(|report| match &report.activity {
            Activity::Interrupt { key, kind: InterruptKind::Approval, prompt, .. } => Some((key, prompt)),
            _ => None,
        })
        .collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[0].1.starts_with("Allow filesystem.write /"), "{}", asked[0].1);
    let results: Vec<_> = reports
        .iter()
        .filter_map(|report| match report.activity {
            Activity::Tool { ok, .. } => Some(ok),
            _ => None,
        })
        .collect();
    assert_eq!(results, [false, true], "the denied call failed, the granted one worked");
}

#[test]
fn a_real_abort_and_a_real_durable_cancel_are_told_apart() {
    let aborted = Recording::open("abort");
    let cancelled = Recording::open("durable_cancel");

    assert_eq!(class(outcome(&aborted, "chat")), FailureClass::Unknown, "not Link's doing, as far as it knows");
    assert_eq!(outcome(&cancelled, "chat"), Ok(Outcome::Cancelled));
    assert_eq!(replay::outcome(&cancelled.answer("cancelled")["response"], 2), Some(Ok(Outcome::Cancelled)));
}

#[test]
fn a_real_receipt_gives_the_same_outcome_as_the_answer() {
    let recording = Recording::open("durable");

    let answer = outcome(&recording, "chat");

    assert!(answer.is_ok());
    assert_eq!(replay::outcome(&recording.answer("completed")["response"], 2), Some(answer.clone()));
    assert_eq!(outcome(&recording, "again afterwards"), answer);
    assert_eq!(replay::outcome(recording.answer("again while it runs"), 2), None);
}

#[tokio::test]
async fn the_fake_answers_a_tool_run_in_the_shapes_of_a_real_penguin() {
    let real = Recording::open("plain_tool");
    let fake = FakePenguin::start().await;
    let ask = Asking(&fake);
    let created = ask.post("/session", json!({"title": "Link attempt x"})).await;
    let session = created["id"].as_str().expect("an id").to_owned();
    let text =
        r#"Do it [[tool:list_files {"path":"."}]] [[tool:write_file {"path":"a.txt","content":"x"}]] [[words:5]]"#;
    let body = json!({"text": text, "session_id": session, "client_message_id": "link-request", "agent_id": "a"});

    let chat = ask.post("/chat/message", body).await;

    shape::part_of(&created, real.answer("create"));
    shape::part_of(&ask.get("/health").await, real.answer("health"));
    shape::part_of(&ask.get("/capabilities").await, real.answer("capabilities"));
    shape::part_of(&ask.get("/session?search=Link").await, real.answer("search"));
    shape::same(&chat, real.answer("chat"));
    shape::same(&ask.get(&format!("/session/{session}/message")).await, real.answer("after: messages"));
    shape::same(&ask.get(&format!("/conversations/{session}/history")).await, real.answer("history"));
    shape::same(&ask.get("/session/none/message").await, real.answer("unknown session"));
    shape::events_among(&fake.events_of(&session), real.events());
}

#[tokio::test]
async fn the_fake_keeps_receipts_in_the_shapes_of_a_real_penguin() {
    let real = Recording::open("durable");
    let fake = FakePenguin::start().await;
    let ask = Asking(&fake);
    let receipt = "/link/chat-request?session_id=s&client_message_id=r";
    let text = r#"[[tool:write_file {"path":"a.txt","content":"x"}]] [[words:5]]"#;
    let body = json!({"text": text, "session_id": "s", "client_message_id": "r", "durable_request": true});

    shape::same(&ask.get(receipt).await, real.answer("absent"));
    let chat = ask.post("/chat/message", body.clone()).await;
    shape::same(&chat, real.answer("chat"));
    shape::same(&ask.get(receipt).await, real.answer("completed"));
    assert_eq!(ask.post("/chat/message", body.clone()).await, chat);
    let mut other = body;
    other["text"] = json!("something else");
    shape::same(&ask.post("/chat/message", other).await, real.answer("other text"));

    let hanging = json!({"text": "[[hang]]", "session_id": "s2", "client_message_id": "r", "durable_request": true});
    let receipt = "/link/chat-request?session_id=s2&client_message_id=r";
    let (chat, ()) = tokio::join!(ask.post("/chat/message", hanging.clone()), async {
        while ask.get(receipt).await["state"] != "accepted" {}
        shape::same(&ask.get(receipt).await, real.answer("accepted"));
        shape::same(&ask.post("/chat/message", hanging.clone()).await, real.answer("again while it runs"));
        ask.post("/link/chat-request/cancel?session_id=s2&client_message_id=r", json!({})).await;
    });
    let cancelled = Recording::open("durable_cancel");
    shape::same(&chat, cancelled.answer("chat"));
    shape::same(&ask.get(receipt).await, cancelled.answer("cancelled"));
}

#[tokio::test]
async fn the_fake_asks_fails_and_aborts_in_the_shapes_of_a_real_penguin() {
    let fake = FakePenguin::start().await;
    let ask = Asking(&fake);
    let session = ask.post("/session", json!({"title": "t"})).await["id"].as_str().expect("an id").to_owned();
    let body = |text: &str| json!({"text": text, "session_id": session, "client_message_id": "r", "agent_id": "a"});
    let real = Recording::open("permission");
    let text = r#"[[ask:permission]] [[tool:write_file {"path":"/a","content":"x"}]] [[say:done]]"#;

    let (chat, ()) = tokio::join!(ask.post("/chat/message", body(text)), async {
        let path = format!("/permission?session_id={session}");
        let pending = loop {
            let pending = ask.get(&path).await;
            if pending[0].is_object() {
                break pending;
            }
        };
        shape::same(&pending, real.answer("deny: pending"));
        let deny = format!("/approvals/{}/deny", pending[0]["id"].as_str().expect("an id"));
        shape::part_of(&ask.post(&deny, json!({})).await, real.answer("deny"));
        shape::same(&ask.post(&deny, json!({})).await, real.answer("answered again"));
    });
    shape::same(&chat, real.answer("chat"));
    shape::events_among(&fake.events_of(&session), real.events());

    let failed = ask.post("/chat/message", body("[[cut]]")).await;
    shape::same(&failed, Recording::open("provider_errors").answer("cut"));

    let real = Recording::open("abort");
    let (aborted, ()) = tokio::join!(ask.post("/chat/message", body("[[hang]]")), async {
        while ask.get("/session/status").await[&session]["type"] != "busy" {}
        shape::same(&ask.post(&format!("/session/{session}/abort"), json!({})).await, real.answer("abort"));
    });
    shape::same(&aborted, real.answer("chat"));
    shape::same(&ask.post("/session/none/abort", json!({})).await, real.answer("abort of an unknown session"));
}

/// Raw calls to a fake.
struct Asking<'a>(&'a FakePenguin);

impl Asking<'_> {
    async fn get(&self, path: &str) -> Value {
        let answer = http().get(format!("{}/api/v1{path}", self.0.url())).send().await.expect("the fake answers");
        answer.json().await.expect("JSON")
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let to = format!("{}/api/v1{path}", self.0.url());
        http().post(to).json(&body).send().await.expect("the fake answers").json().await.expect("JSON")
    }
}
