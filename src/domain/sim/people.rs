//! What people do: they delegate, answer, review, pause, cancel and give work to others; at once, late, twice or never.
//! Agents that lie try what only people may.

use crate::domain::{
    claim::ClaimedPath,
    event::{Event, TaskEvent},
    ids::*,
    principal::Principal,
    task::{NewTask, Parked, Priority, Reviewers, TaskCommand, Verdict},
    text::{Prose, Title},
    workspace::Gate,
};

use super::{
    link::{Answer, Ask},
    play::{Happening, World},
};

/// How often somebody tries to delegate a task that waits for others, before its gates are taken away.
const WAITS_MAX: u32 = 30;

/// Something that somebody does.
#[derive(Clone, Debug)]
pub(super) struct Act {
    pub ask: Ask,
    /// It is sent twice, as by somebody who heard no answer.
    pub twice: bool,
    /// It is not theirs to do: this promise says so.
    pub wrong: Option<&'static str>,
}

impl World {
    /// A person makes a task and delegates it; one that waits for others is delegated when they are done.
    pub fn arrive(&mut self, task: Option<TaskId>, tried: u32) {
        let Some(task) = task else {
            if self.made < self.setting.delegations {
                self.new_task();
            }
            return;
        };
        let id: DelegationId = self.node.fresh();
        let new = self.agreed(id);
        let by = self.somebody();
        match self.tell(&Ask::task(task, by, TaskCommand::Delegate(new)).keyed(format!("delegate:{id}"))) {
            Answer::Done(_) | Answer::Known => {
                self.made += 1;
                self.next_arrival();
                self.somebody_interferes(task, id);
            }
            // It may have happened: then the task is taken, and counts.
            Answer::Lost if self.watch.cards.contains_key(&id) => {
                self.made += 1;
                self.next_arrival();
            }
            Answer::Lost => self.later(3_000, Happening::Arrive(Some(task), tried)),
            Answer::Refused(_) if tried < WAITS_MAX => self.later(30_000, Happening::Arrive(Some(task), tried + 1)),
            Answer::Refused(_) => {
                self.open_gates(task, by);
                self.later(1_000, Happening::Arrive(Some(task), tried));
            }
        }
    }

    fn new_task(&mut self) {
        let id: TaskId = self.node.fresh();
        let before = self.open_task(0.25).into_iter().collect();
        let path = ["src", "src/api", "docs", "web"][self.draws.below(4)].to_owned();
        let claims = ClaimedPath::try_from(path).into_iter().filter(|_| self.draws.unit() < 0.3).collect();
        let new = NewTask {
            project: self.project,
            title: Title::fitted("t"),
            description: Prose::fitted("do it"),
            parked: Parked::No,
            priority: if self.happens_in(0.2) { Priority::High } else { Priority::Medium },
            assignee: None,
            parent: None,
            depends_on: before,
            claims,
            skills: Default::default(),
        };
        let by = self.somebody();
        let told = self.tell(&Ask::task(id, by, TaskCommand::Create(new)));
        let wait = self.between(50, 5_000);
        match told {
            Answer::Done(_) => self.later(wait, Happening::Arrive(Some(id), 0)),
            Answer::Lost if self.node.task(id).is_some() => self.later(wait, Happening::Arrive(Some(id), 0)),
            _ => self.later(wait, Happening::Arrive(None, 0)),
        }
    }

    fn open_task(&mut self, share: f64) -> Option<TaskId> {
        let tasks: Vec<TaskId> = self.watch.cards.values().map(|card| card.task).collect();
        let nth = self.draws.below(tasks.len());
        tasks.get(nth).copied().filter(|_| self.draws.unit() < share)
    }

    /// Whoever waits in vain waits no longer.
    fn open_gates(&mut self, task: TaskId, by: Principal) {
        let mut gates = std::collections::BTreeSet::new();
        for recorded in self.node.log.iter().filter(|recorded| recorded.subject == Subject::Task(task)) {
            match &recorded.event {
                Event::Task(TaskEvent::Created { depends_on, .. }) => gates.extend(depends_on.iter().copied()),
                Event::Task(TaskEvent::DependencyAdded { depends_on, .. }) => drop(gates.insert(*depends_on)),
                Event::Task(TaskEvent::DependencyRemoved { depends_on }) => drop(gates.remove(depends_on)),
                _ => {}
            }
        }
        for depends_on in gates {
            self.tell(&Ask::task(task, by, TaskCommand::RemoveDependency { depends_on }));
        }
    }

    pub fn somebody(&mut self) -> Principal {
        Principal::User(self.people[self.draws.below(self.people.len())])
    }

    pub fn soon(&mut self, from: u64, to: u64, act: Act) {
        let wait = self.between(from, to);
        self.later(wait, Happening::Act(Box::new(act)));
    }

    pub fn sent(&mut self, task: TaskId, by: Principal, command: TaskCommand) -> Act {
        let key: uuid::Uuid = self.node.fresh();
        let twice = self.happens_in(0.1);
        Act { ask: Ask::task(task, by, command).keyed(format!("call:{key}")), twice, wrong: None }
    }

    pub fn act(&mut self, act: Act) {
        let answer = self.tell(&act.ask);
        if answer == Answer::Lost {
            // Nobody answered: it is sent again, under the same key.
            return self.soon(1_000, 5_000, act);
        }
        if let Some(invariant) = act.wrong {
            let refused = matches!(answer, Answer::Refused(_));
            self.watch.kept(invariant, refused, || format!("{:?} of {} was not refused", act.ask.command, act.ask.by));
        }
        if act.twice && matches!(answer, Answer::Done(_)) {
            let again = self.node.execute(self.now, &act.ask);
            self.watch.kept("I18", again == Answer::Known, || format!("sent twice: {again:?}"));
        }
    }

    /// People do what they like with work that is going on.
    fn somebody_interferes(&mut self, task: TaskId, delegation: DelegationId) {
        let by = self.somebody();
        let command = match self.draws.below(20) {
            0 | 1 => TaskCommand::Pause(delegation),
            2 => TaskCommand::Cancel { delegation, reason: "enough".into() },
            3 => {
                let agent = self.agents[self.draws.below(self.agents.len())];
                TaskCommand::Reassign { delegation, agent }
            }
            4 => {
                let Some(depends_on) = self.open_task(1.0).filter(|other| *other != task) else { return };
                let gate = self.sent(task, by, TaskCommand::RemoveDependency { depends_on });
                self.soon(60_000, 300_000, gate);
                TaskCommand::AddDependency { depends_on, gate: Gate::Blocks }
            }
            5 | 6 => return self.somebody_experiments(task),
            _ => return,
        };
        let act = self.sent(task, by, command);
        self.soon(1_000, 120_000, act);
    }

    /// People, and agents that lie, see an event of the log.
    pub fn react(&mut self, nth: usize) {
        let recorded = &self.node.log[nth];
        let (Subject::Task(task), Event::Task(event)) = (recorded.subject, recorded.event.clone()) else { return };
        match event {
            TaskEvent::AttemptStarted { attempt, delegation, agent, fence, .. } => {
                self.look_at_twins(task, attempt, agent, fence);
                self.somebody_has_an_idea(task, delegation, agent);
            }
            TaskEvent::DelegationOverdue { delegation, .. } => self.somebody_helps(task, delegation),
            TaskEvent::HandOffOffered { delegation, to, .. } => self.offered(task, delegation, to),
            TaskEvent::InterruptOpened { interrupt, .. } => self.asked(task, interrupt),
            TaskEvent::DelegationReviewing { delegation, .. } => self.review_is_due(task, delegation),
            TaskEvent::DelegationEscalated { delegation, .. } => self.decision_is_due(task, delegation),
            TaskEvent::DelegationPaused { delegation } => {
                let by = self.somebody();
                let resume = self.sent(task, by, TaskCommand::Resume(delegation));
                self.soon(10_000, 600_000, resume);
            }
            _ => {}
        }
    }

    fn asked(&mut self, task: TaskId, interrupt: InterruptId) {
        let Some((delegation, _)) = self.watch.questions.get(&interrupt).copied() else { return };
        let answer = |what: &str| TaskCommand::Answer { delegation, interrupt, answer: serde_json::json!(what) };
        if self.happens_in(0.15) {
            let agent = Principal::Agent(self.agents[self.draws.below(self.agents.len())]);
            let lie = Act { wrong: Some("I11"), twice: false, ..self.sent(task, agent, answer("yes, yes")) };
            self.soon(500, 5_000, lie);
        }
        let by = self.somebody();
        let act = self.sent(task, by, answer("yes"));
        match self.draws.below(10) {
            0..=4 => self.soon(6_000, 60_000, act),
            5 | 6 => self.soon(600_000, 7_200_000, act),
            7 | 8 => {
                let other = self.somebody();
                let second = self.sent(task, other, answer("no"));
                self.soon(6_000, 60_000, act);
                self.soon(60_000, 90_000, second);
            }
            _ => {}
        }
    }

    fn review_is_due(&mut self, task: TaskId, delegation: DelegationId) {
        let Some(card) = self.watch.cards.get(&delegation).cloned() else { return };
        let word = |verdict| TaskCommand::Review { delegation, verdict, comment: Prose::fitted("hm") };
        if card.review.by == Reviewers::Others && self.happens_in(0.15) {
            let own = self.sent(task, card.delegator, word(Verdict::Approve));
            self.soon(500, 4_000, Act { wrong: Some("I10"), twice: false, ..own });
        }
        self.somebody_meddles(task, delegation, &card.review);
        if self.happens_in(0.1) {
            let agent = Principal::Agent(self.agents[self.draws.below(self.agents.len())]);
            let lie = self.sent(task, agent, word(Verdict::Approve));
            self.soon(500, 4_000, Act { wrong: Some("I10"), twice: false, ..lie });
        }
        let verdict = match self.draws.below(10) {
            0..=6 => Verdict::Approve,
            7 | 8 => Verdict::RequestChanges,
            _ => Verdict::Reject,
        };
        // One in ten reviews is forgotten.
        if self.happens_in(0.9) {
            for user in self.people.clone() {
                let act = self.sent(task, Principal::User(user), word(verdict));
                self.soon(5_000, 1_800_000, act);
            }
        }
    }

    fn decision_is_due(&mut self, task: TaskId, delegation: DelegationId) {
        let command = match self.draws.below(10) {
            0..=5 => TaskCommand::Resume(delegation),
            6 | 7 => {
                let agent = self.agents[self.draws.below(self.agents.len())];
                TaskCommand::Reassign { delegation, agent }
            }
            8 => TaskCommand::Cancel { delegation, reason: "it does not work".into() },
            // Nobody looks at it.
            _ => return,
        };
        let by = self.somebody();
        let act = self.sent(task, by, command);
        self.soon(5_000, 900_000, act);
    }

    /// Whatever waits for a person gets its answer now.
    pub fn everybody_acts(&mut self) {
        for (id, card) in self.watch.cards.clone() {
            let by = card.owner;
            match card.status {
                "paused" | "escalated" => {
                    let act = self.sent(card.task, by, TaskCommand::Resume(id));
                    self.soon(100, 5_000, act);
                }
                "reviewing" => {
                    for user in self.people.clone() {
                        let (verdict, comment) = (Verdict::Approve, Prose::fitted("fine"));
                        let word = TaskCommand::Review { delegation: id, verdict, comment };
                        let act = self.sent(card.task, Principal::User(user), word);
                        self.soon(100, 5_000, act);
                    }
                }
                "queued" => {
                    self.somebody_helps(card.task, id);
                    self.open_gates(card.task, by);
                }
                _ => {}
            }
        }
        for (interrupt, (delegation, _)) in self.watch.questions.clone() {
            let Some(card) = self.watch.cards.get(&delegation).cloned() else { continue };
            let answer = TaskCommand::Answer { delegation, interrupt, answer: serde_json::json!("yes") };
            let act = self.sent(card.task, card.owner, answer);
            self.soon(100, 5_000, act);
        }
    }
}
