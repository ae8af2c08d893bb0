//! Scripted agents: they follow a small script inside Link, for the demo and for tests. They need no server and
//! never reach outside of the process.

pub mod script;

use std::{collections::BTreeMap, time::Duration};

use futures::future::{BoxFuture, FutureExt, pending};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::domain::{failure::FailureClass, run::InterruptKind};

use super::{
    Activity, AgentRuntime, Assignment, Bookmark, Control, Endpoint, Failure, Health, Outcome, Produced, Report,
};
use script::Step;

/// What an instance's address begins with; the script follows.
const SCHEME: &str = "script:";
/// How long a word takes to write.
const WORD_EVERY: Duration = Duration::from_millis(10);

/// Runs agents by script.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scripted;

impl AgentRuntime for Scripted {
    fn probe<'a>(&'a self, _: &'a Endpoint) -> BoxFuture<'a, Result<Health, Failure>> {
        let version = Some(env!("CARGO_PKG_VERSION").to_owned());
        async { Ok(Health { boot: None, version, busy: None }) }.boxed()
    }

    fn run<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        bookmark: Bookmark,
        reports: mpsc::Sender<Report>,
        control: mpsc::Receiver<Control>,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        async move {
            let steps = steps(endpoint, work)?;
            let (heard, hearing) = watch::channel(Heard::default());
            let mut actor = Player::new(bookmark, reports, hearing);
            tokio::select! {
                biased;
                () = cancelled(control, heard) => Ok(Outcome::Cancelled),
                outcome = actor.play(work, &steps) => outcome,
            }
        }
        .boxed()
    }
}

fn steps(endpoint: &Endpoint, work: &Assignment) -> Result<Vec<Step>, Failure> {
    let misconfigured = |why: String| Failure::new(FailureClass::Misconfigured, why);
    let own = endpoint.url.strip_prefix(SCHEME);
    let own = own.ok_or_else(|| misconfigured("a scripted agent's address begins with `script:`".into()))?;
    let title = work.prompt.lines().next().unwrap_or_default();
    script::parse(script::chosen(own, &work.prompt), title).map_err(|error| misconfigured(error.to_string()))
}

/// What a run was told.
#[derive(Default)]
struct Heard {
    answers: BTreeMap<String, Value>,
    messages: u64,
}

/// Returns when the run has to stop; until then it notes the answers that come, also those that nobody waits for yet.
async fn cancelled(mut control: mpsc::Receiver<Control>, heard: watch::Sender<Heard>) {
    while let Some(order) = control.recv().await {
        match order {
            Control::Cancel => return,
            Control::Message { .. } => heard.send_modify(|heard| heard.messages += 1),
            Control::Answer { key, answer } => heard.send_modify(|heard| {
                heard.answers.insert(key, answer);
            }),
        }
    }
    pending().await
}

/// One run of a script.
struct Player {
    reports: mpsc::Sender<Report>,
    heard: watch::Receiver<Heard>,
    /// The last step that need not be done again.
    done: usize,
    /// The answer as far as it is written.
    text: String,
}

impl Player {
    fn new(bookmark: Bookmark, reports: mpsc::Sender<Report>, heard: watch::Receiver<Heard>) -> Self {
        let cursor = bookmark.cursor.unwrap_or_default();
        let done = cursor["step"].as_u64().and_then(|step| usize::try_from(step).ok()).unwrap_or(0);
        let text = cursor["text"].as_str().unwrap_or_default().to_owned();
        Self { reports, heard, done, text }
    }

    async fn play(&mut self, work: &Assignment, steps: &[Step]) -> Result<Outcome, Failure> {
        let remote = json!({"run": work.attempt});
        self.report(Some("accepted".into()), Activity::Accepted { remote }).await?;
        let numbered = steps.iter().enumerate().map(|(nth, step)| (nth + 1, step));
        for (number, step) in numbered.skip(self.done) {
            if let Some(outcome) = self.perform(number, step).await? {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Submitted { text: std::mem::take(&mut self.text), explicit: true })
    }

    async fn perform(&mut self, number: usize, step: &Step) -> Result<Option<Outcome>, Failure> {
        let id = Some(name(number));
        match step.clone() {
            Step::Say(text) => self.say(&text).await?,
            Step::Wait(pause) => tokio::time::sleep(pause).await,
            Step::Progress { percent, phase, message } => {
                self.report(id, Activity::Progress { percent, phase, message }).await?;
            }
            Step::Tool { name, summary } => {
                self.report(id, Activity::Tool { tool: name, ok: true, summary }).await?;
            }
            Step::Write { path, content } => {
                let produced =
                    Produced { kind: "file".into(), name: path, content: Some(content), details: Value::Null };
                self.report(id, Activity::Artifact(produced)).await?;
            }
            Step::Ask(prompt) => {
                let answer = self.asked(number, InterruptKind::Question, prompt).await?;
                self.say(&format!("Answer: {}", in_words(&answer))).await?;
                self.remember(number).await?;
            }
            Step::Approve(what) => {
                let answer = self.asked(number, InterruptKind::Approval, what.clone()).await?;
                if !approved(&answer) {
                    return Err(Failure::new(FailureClass::PermissionDenied, format!("not approved: {what}")));
                }
                self.remember(number).await?;
            }
            Step::Usage(usage) => self.report(id, Activity::Usage(usage)).await?,
            Step::Fail { class, message } => return Err(Failure::new(class, message)),
            Step::Crash => panic!("step {number} of the script says `crash`"),
            Step::Doze => {
                let before = self.heard.borrow().messages;
                let told = self.heard.wait_for(|heard| heard.messages > before).await.map(|_| ());
                told.map_err(|_| nobody_listens())?;
            }
            Step::Silent => pending().await,
            Step::Empty => return Ok(Some(Outcome::Submitted { text: String::new(), explicit: true })),
        }
        Ok(None)
    }

    /// Writes word by word; the pieces put together are the final text.
    async fn say(&mut self, text: &str) -> Result<(), Failure> {
        let line_break = if self.text.is_empty() { "" } else { "\n" };
        for (nth, word) in text.split_inclusive(' ').enumerate() {
            let piece = if nth == 0 { format!("{line_break}{word}") } else { word.to_owned() };
            self.text.push_str(&piece);
            self.report(None, Activity::Delta { text: piece }).await?;
            tokio::time::sleep(WORD_EVERY).await;
        }
        Ok(())
    }

    async fn asked(&mut self, number: usize, kind: InterruptKind, prompt: String) -> Result<Value, Failure> {
        let key = name(number);
        let details = match kind {
            InterruptKind::Approval => json!({"options": ["approve", "deny"]}),
            InterruptKind::Question | InterruptKind::Auth | InterruptKind::Budget => Value::Null,
        };
        let question = Activity::Interrupt { key: key.clone(), kind, prompt, details };
        self.report(Some(key.clone()), question).await?;
        let heard = self.heard.wait_for(|heard| heard.answers.contains_key(&key)).await;
        let heard = heard.map_err(|_| nobody_listens())?;
        Ok(heard.answers.get(&key).cloned().unwrap_or_default())
    }

    /// What a person answered is not asked for again, even if the whole run starts anew.
    async fn remember(&self, number: usize) -> Result<(), Failure> {
        self.report(None, Activity::Cursor(json!({"step": number, "text": self.text}))).await
    }

    async fn report(&self, id: Option<String>, activity: Activity) -> Result<(), Failure> {
        self.reports.send(Report { id, activity }).await.map_err(|_| nobody_listens())
    }
}

fn name(number: usize) -> String {
    format!("step:{number}")
}

fn nobody_listens() -> Failure {
    Failure::new(FailureClass::Unknown, "nobody listens to the run any more")
}

fn in_words(answer: &Value) -> String {
    let field = ["text", "answer", "message"].iter().find_map(|field| answer.get(field)?.as_str());
    answer.as_str().or(field).map_or_else(|| answer.to_string(), str::to_owned)
}

fn approved(answer: &Value) -> bool {
    answer.get("approve").unwrap_or(answer).as_bool() == Some(true)
}

#[cfg(test)]
mod tests;
