//! What is known of a task, read from the log as it was when the attempt began: a restart finds the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::{
    event::{Event, Recorded, TaskEvent},
    ids::{ArtifactId, AttemptId, InterruptId, TaskId},
    task::{PARTIAL, QueueReason},
};

use super::{dialog::dialog, joined::Joined};

/// The most that is read of each; the newest count.
const ANSWERS_MAX: usize = 20;
const REVIEWS_MAX: usize = 6;
const TOOLS_MAX: usize = 20;
const ATTEMPTS_MAX: usize = 8;
const THINGS_MAX: usize = 50;
const NEEDS_MAX: usize = 50;
/// How an attempt ended that was stopped.
const STOPPED: &str = "a person stopped it, or gave the task to somebody else";

/// All that an attempt could be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// What is to be done, in a line.
    pub title: String,
    /// What is to be done.
    pub description: String,
    /// What to do beyond that.
    pub instructions: String,
    /// Why another agent handed the work over, where one did.
    pub hand_off: Option<String>,
    /// What came of the parts that it was split into.
    pub joined: Option<Joined>,
    /// Paths that nobody else writes to meanwhile.
    pub claims: Vec<String>,
    /// What it is a part of, the nearest first.
    pub goals: Vec<Goal>,
    /// What it waited for.
    pub needs: Vec<Need>,
    /// What was said about it, oldest first.
    pub dialog: Vec<Said>,
    /// What people answered.
    pub answers: Vec<Answered>,
    /// What reviewers said.
    pub reviews: Vec<Reviewed>,
    /// Earlier attempts, oldest first.
    pub attempts: Vec<Past>,
}

/// A task that this one is a part of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Goal {
    /// In a line.
    pub title: String,
    /// The whole of it.
    pub description: String,
}

/// A task that this one waited for, and what it left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Need {
    /// In a line.
    pub title: String,
    /// What was handed in.
    pub things: Vec<Thing>,
}

/// Something that was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thing {
    /// `file`, `text`, `diff`, `link`.
    pub kind: String,
    /// Path or title.
    pub name: String,
    /// The content, where it is small text.
    pub content: Option<String>,
}

/// Something that was said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// By whom.
    pub who: String,
    /// What.
    pub text: String,
    /// How many things were said after it.
    pub age: u8,
}

/// A question and its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// What was asked.
    pub question: String,
    /// What a person answered.
    pub answer: String,
}

/// A reviewer's word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reviewed {
    /// In a word.
    pub verdict: String,
    /// Why.
    pub comment: String,
}

/// An earlier attempt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// How it ended.
    pub ending: String,
    /// What was decided then, for the attempt after it.
    pub step: Option<String>,
    /// What it had written.
    pub partial: Option<String>,
    /// What it made.
    pub things: Vec<Thing>,
    /// What tools it used, the newest last.
    pub tools: Vec<String>,
}

/// What a task hangs together with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// What it is a part of.
    pub parent: Option<TaskId>,
    /// What it waits for.
    pub needs: BTreeSet<TaskId>,
    /// Paths that nobody else writes to meanwhile.
    pub claims: Vec<String>,
}

/// Returns what had happened when the attempt began.
pub fn before(events: &[Recorded], offset: u64) -> &[Recorded] {
    &events[..events.partition_point(|event| event.offset < offset)]
}

impl Links {
    /// Reads a task's log, the whole of it: going back leaves these as they are.
    pub fn of(task: &[Recorded]) -> Self {
        let mut links = Self::default();
        for event in task_events(task) {
            match event {
                TaskEvent::Created { parent, depends_on, claims, .. } => {
                    links.parent = *parent;
                    links.needs.extend(depends_on);
                    links.claims = claims.iter().map(ToString::to_string).collect();
                }
                TaskEvent::Updated { claims: Some(claims), .. } => {
                    links.claims = claims.iter().map(ToString::to_string).collect();
                }
                TaskEvent::DependencyAdded { depends_on, .. } => drop(links.needs.insert(*depends_on)),
                TaskEvent::DependencyRemoved { depends_on } => drop(links.needs.remove(depends_on)),
                _ => {}
            }
        }
        links
    }
}

/// Returns the parts that were joined last, by what is told of a task's log.
pub fn joined_parts(task: &[Recorded]) -> Vec<TaskId> {
    let joined = task_events(task).filter_map(|event| match event {
        TaskEvent::FanOutJoined { parts, .. } => Some(parts.iter().map(|part| part.task).collect()),
        _ => None,
    });
    joined.last().unwrap_or_default()
}

impl Goal {
    /// Reads a task's log.
    pub fn of(task: &[Recorded]) -> Self {
        let mut goal = Self::default();
        for event in task_events(task) {
            match event {
                TaskEvent::Created { title, description, .. } => {
                    (goal.title, goal.description) = (title.to_string(), description.to_string());
                }
                TaskEvent::Updated { title, description, .. } => {
                    goal.title = title.as_ref().map_or(goal.title, ToString::to_string);
                    goal.description = description.as_ref().map_or(goal.description, ToString::to_string);
                }
                _ => {}
            }
        }
        goal
    }
}

impl Need {
    /// Reads the log of a task: what its last submission showed.
    pub fn of(task: &[Recorded]) -> Self {
        let (mut made, mut shown) = (BTreeMap::new(), vec![]);
        for event in task_events(task) {
            match event {
                TaskEvent::ArtifactRecorded { artifact, .. } => drop(made.insert(*artifact, thing(event))),
                TaskEvent::DelegationSubmitted { evidence, .. } => shown.clone_from(evidence),
                _ => {}
            }
        }
        let things = shown.iter().filter_map(|id: &ArtifactId| made.remove(id).flatten()).take(THINGS_MAX);
        Self { title: Goal::of(task).title, things: things.collect() }
    }
}

impl Material {
    /// Reads what is known of an attempt's task from the logs of the task, of what it is a part of, of what it waited
    /// for, of its own parts and of the conversations about it; each as it was when the attempt began.
    pub fn of(
        attempt: AttemptId,
        task: &[Recorded],
        parents: &[&[Recorded]],
        needs: &[&[Recorded]],
        parts: &[&[Recorded]],
        talks: &[&[Recorded]],
    ) -> Self {
        let Goal { title, description } = Goal::of(task);
        let mut material = Self {
            title,
            description,
            goals: parents.iter().map(|log| Goal::of(log)).collect(),
            needs: needs.iter().take(NEEDS_MAX).map(|log| Need::of(log)).collect(),
            dialog: dialog(talks),
            ..Self::default()
        };
        let (mut reading, mut offered) = (Reading::default(), String::new());
        for event in task_events(task) {
            match event {
                TaskEvent::DelegationQueued { instructions, reason, .. } => {
                    material.instructions = instructions.to_string();
                    if !matches!(reason, QueueReason::HandedOff | QueueReason::Retry) {
                        material.hand_off = None;
                    }
                }
                TaskEvent::FanOutJoined { outcome, parts: results, .. } => {
                    material.joined = Some(Joined::of(*outcome, results, parts));
                }
                TaskEvent::HandOffOffered { reason, .. } => offered = reason.to_string(),
                TaskEvent::HandOffAccepted { .. } => material.hand_off = Some(std::mem::take(&mut offered)),
                _ => {}
            }
            reading.event(event);
        }
        reading.order.retain(|id| *id != attempt);
        let first = reading.order.len().saturating_sub(ATTEMPTS_MAX);
        material.attempts = reading.order[first..].iter().filter_map(|id| reading.attempts.remove(id)).collect();
        material.answers = newest(reading.answers, ANSWERS_MAX);
        // What a reviewer asked for is part of the instructions already.
        reading.reviews.retain(|review| !material.instructions.contains(&review.comment));
        material.reviews = newest(reading.reviews, REVIEWS_MAX);
        material
    }
}

/// A task's log, as far as it was read.
#[derive(Default)]
struct Reading {
    order: Vec<AttemptId>,
    attempts: BTreeMap<AttemptId, Past>,
    last: Option<AttemptId>,
    questions: BTreeMap<InterruptId, String>,
    answers: Vec<Answered>,
    reviews: Vec<Reviewed>,
}

impl Reading {
    fn event(&mut self, event: &TaskEvent) {
        use TaskEvent as E;
        match event {
            E::AttemptStarted { attempt, .. } => {
                self.order.push(*attempt);
                let ending = "it has not ended".into();
                self.attempts.insert(*attempt, Past { ending, ..Past::default() });
                self.last = Some(*attempt);
            }
            E::AttemptSucceeded { attempt } => self.past(attempt, |past| past.ending = "the work was handed in".into()),
            E::AttemptFailed { attempt, class, message, .. } | E::AttemptLost { attempt, class, message } => {
                let class = serde_json::to_value(class).unwrap_or_default();
                let class = class.as_str().unwrap_or("failed").to_owned();
                self.past(attempt, |past| past.ending = format!("{class}: {message}"));
            }
            E::AttemptCancelled { attempt, .. } => self.past(attempt, |past| past.ending = "it was cancelled".into()),
            E::AttemptSuperseded { attempt } => {
                self.past(attempt, |past| past.ending = STOPPED.into());
            }
            E::FanOutOpened { .. } => self.it_was("it split the task into parts"),
            E::HandOffAccepted { .. } => self.it_was("its agent handed the work over"),
            E::DelegationQueued { step: Some(step), .. } => {
                let how = step.strategy.words();
                self.past(&step.attempt, |past| past.step = Some(how.into()));
            }
            E::AttemptTool { attempt, tool, ok, summary } => self.past(attempt, |past| {
                past.tools.push(format!("- {tool}{}: {summary}", if *ok { "" } else { " (failed)" }));
                if past.tools.len() > TOOLS_MAX {
                    past.tools.remove(0);
                }
            }),
            E::ArtifactRecorded { attempt, kind, content, .. } if **kind == *PARTIAL => {
                let longest = |past: &Past| past.partial.as_ref().map_or(0, String::len);
                let content = content.clone().unwrap_or_default();
                self.past(attempt, |past| {
                    if content.len() > longest(past) {
                        past.partial = Some(content);
                    }
                });
            }
            E::ArtifactRecorded { attempt, .. } => {
                let made = thing(event);
                self.past(attempt, |past| past.keep(made));
            }
            E::InterruptOpened { interrupt, prompt, .. } => drop(self.questions.insert(*interrupt, prompt.clone())),
            E::InterruptResolved { interrupt, answer, .. } => {
                let question = self.questions.get(interrupt).cloned().unwrap_or_default();
                self.answers.push(Answered { question, answer: in_words(answer) });
            }
            E::DelegationReviewed { verdict, comment, .. } if !comment.trim().is_empty() => {
                let verdict = serde_json::to_value(verdict).unwrap_or_default();
                let verdict = verdict.as_str().unwrap_or_default().to_owned();
                self.reviews.push(Reviewed { verdict, comment: comment.to_string() });
            }
            _ => {}
        }
    }

    /// Says better why the last attempt was stopped.
    fn it_was(&mut self, why: &str) {
        if let Some(past) =
            self.last.and_then(|last| self.attempts.get_mut(&last)).filter(|past| past.ending == STOPPED)
        {
            past.ending = why.into();
        }
    }

    fn past(&mut self, attempt: &AttemptId, change: impl FnOnce(&mut Past)) {
        if let Some(past) = self.attempts.get_mut(attempt) {
            change(past);
        }
    }
}

impl Past {
    /// A later thing of the same kind and name replaces an earlier one.
    fn keep(&mut self, made: Option<Thing>) {
        let Some(made) = made else { return };
        self.things.retain(|known| known.kind != made.kind || known.name != made.name);
        if self.things.len() < THINGS_MAX {
            self.things.push(made);
        }
    }
}

fn task_events(log: &[Recorded]) -> impl Iterator<Item = &TaskEvent> {
    log.iter().filter_map(|recorded| match &recorded.event {
        Event::Task(event) => Some(event),
        _ => None,
    })
}

fn thing(event: &TaskEvent) -> Option<Thing> {
    let TaskEvent::ArtifactRecorded { kind, name, content, .. } = event else { return None };
    Some(Thing { kind: kind.to_string(), name: name.to_string(), content: content.clone() })
}

fn in_words(answer: &Value) -> String {
    answer.as_str().map_or_else(|| answer.to_string(), str::to_owned)
}

pub(super) fn newest<T>(mut all: Vec<T>, most: usize) -> Vec<T> {
    let over = all.len().saturating_sub(most);
    all.drain(..over);
    all
}
