//! How Link looks after runs: submits them once, hears what they say in any order and any number of times, delivers
//! answers, stops them, and notices when they are gone. All of it is in memory only: a new node, or a new actor, begins
//! from the log and from what the instance says.

use std::collections::BTreeSet;

use crate::domain::{
    checkpoint::CheckpointReason,
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::*,
    principal::Principal,
    rejection::Rejection,
    task::{Report, TaskCommand},
    workspace::Running,
};

use super::{
    Mistake,
    link::{Answer, Ask},
    outside::{Doing, Job},
    play::{Happening, World},
};

/// How often a run is looked after.
const LOOK_EVERY: u64 = 2_000;
/// An instance that does not answer for so long is lost.
const LOST_AFTER: u64 = 15_000;
/// A run that does nothing for so long is given up.
const SILENT_AFTER: u64 = 15 * 60_000;
/// How long a run may take to stop.
const GRACE: u64 = 10_000;
/// How often a run that no longer counts is asked to stop.
const ASKS_MAX: u32 = 12;
/// So many messages are lost, come twice, or come before their time.
const LOSES: f64 = 0.03;
const DOUBLES: f64 = 0.06;
const HURRIES: f64 = 0.03;
/// So many are preceded by one with an old fence.
const LIES: f64 = 0.02;

/// Whoever looks after one run.
pub(super) struct Follow {
    running: Running,
    heard: BTreeSet<usize>,
    silent_since: Option<u64>,
    moved: u64,
    stops_since: Option<u64>,
    asks: u32,
}

impl World {
    /// Looks after everything that the schedule says there is, and nothing else.
    pub fn follow_all(&mut self) {
        if !self.node.up {
            return;
        }
        let schedule = self.node.workspace.schedule();
        let wanted: Vec<Running> = schedule.running().chain(schedule.stopping()).cloned().collect();
        self.follows.retain(|attempt, _| wanted.iter().any(|running| running.attempt == *attempt));
        for running in wanted {
            let attempt = running.attempt;
            if self.follows.contains_key(&attempt) {
                continue;
            }
            let (heard, moved) = (BTreeSet::new(), self.now);
            let new = Follow { running, heard, silent_since: None, moved, stops_since: None, asks: 0 };
            self.follows.insert(attempt, new);
            let (wait, life) = (self.between(20, 200), self.node.life);
            self.later(wait, Happening::Look(attempt, life));
        }
    }

    pub fn look(&mut self, attempt: AttemptId, life: u32) {
        if !self.node.up || life != self.node.life {
            return;
        }
        let Some(running) = self.follows.get(&attempt).map(|follow| follow.running.clone()) else { return };
        self.later(LOOK_EVERY, Happening::Look(attempt, life));
        let counts = self.node.workspace.schedule().running().any(|other| other.attempt == attempt);
        match counts {
            true if self.gave_it_grace(&running) => {}
            true => self.look_after(&running),
            false => self.let_go(&running),
        }
    }

    /// A run that is being stopped ends, whether it says so or not.
    fn gave_it_grace(&mut self, running: &Running) -> bool {
        let state = self.node.task(running.task).and_then(|task| task.session_state(running.attempt));
        if !state.is_some_and(|state| state.cancelling) {
            return false;
        }
        let now = self.now;
        let Some(follow) = self.follows.get_mut(&running.attempt) else { return true };
        let since = *follow.stops_since.get_or_insert(now);
        self.tell_to_stop(running);
        if now - since >= GRACE {
            self.ends(running, Report::Stopped);
            return true;
        }
        false
    }

    fn tell_to_stop(&mut self, running: &Running) {
        let Some(server) = self.servers.get_mut(&running.instance).filter(|server| server.reachable()) else { return };
        let boot = server.boot;
        if let Some(job) = server.jobs.get_mut(&running.attempt).filter(|job| !job.stop) {
            job.stop = true;
            self.later(500, Happening::Step(running.instance, running.attempt, boot));
        }
    }

    fn look_after(&mut self, running: &Running) {
        let (attempt, now) = (running.attempt, self.now);
        let Some(server) = self.servers.get(&running.instance) else { return };
        let (reachable, known) = (server.reachable(), server.jobs.contains_key(&attempt));
        let Some(follow) = self.follows.get_mut(&attempt) else { return };
        let gone = |class, message: &str| Report::Failed { class, message: message.into(), retry_after_ms: None };
        let blind = self.setting.mistake == Some(Mistake::OverlooksDeath);
        match (reachable, known) {
            (false, _) => {
                let since = *follow.silent_since.get_or_insert(now);
                if now - since >= LOST_AFTER && !blind {
                    self.ends(running, gone(FailureClass::InstanceLost, "it does not answer"));
                }
            }
            (true, false) if self.watch.bound.contains(&attempt) => {
                if !blind {
                    self.ends(running, gone(FailureClass::SessionNotFound, "it knows nothing of the run"));
                }
            }
            (true, false) => self.submit(running),
            (true, true) => {
                follow.silent_since = None;
                let asks = self.watch.questions.values().any(|(_, of)| *of == attempt);
                if now - follow.moved >= SILENT_AFTER && !asks {
                    return self.ends(running, gone(FailureClass::Silent, "no activity for 15 minutes"));
                }
                self.hear_again(running);
                self.deliver(running);
            }
        }
    }

    /// The attempt's id is the key: an instance that has the work already does not start it twice.
    fn submit(&mut self, running: &Running) {
        let mut job = Job::new(&mut self.node, &mut self.draws, self.calm.is_some());
        let Some(server) = self.servers.get_mut(&running.instance) else { return };
        if server.broke_until > self.now {
            job.breaks(&mut self.draws);
        }
        server.jobs.insert(running.attempt, job);
        let boot = server.boot;
        self.remember(running.task, CheckpointReason::AttemptStarted);
        let wait = self.between(50, 2_000);
        self.later(wait, Happening::Step(running.instance, running.attempt, boot));
    }

    /// What was lost on the way, or with the last node, comes again.
    fn hear_again(&mut self, running: &Running) {
        let said = self.servers.get(&running.instance).and_then(|server| server.jobs.get(&running.attempt));
        let said = said.map_or(0, |job| job.said.len());
        let Some(follow) = self.follows.get(&running.attempt) else { return };
        let missing: Vec<usize> = (0..said).filter(|nth| !follow.heard.contains(nth)).collect();
        for nth in missing {
            let wait = self.between(20, 400);
            self.later(wait, Happening::Heard(running.instance, running.attempt, nth));
        }
    }

    fn deliver(&mut self, running: &Running) {
        let state = self.node.task(running.task).and_then(|task| task.session_state(running.attempt));
        let answered: Vec<InterruptId> = state
            .into_iter()
            .flat_map(|state| state.interrupts)
            .filter_map(|(id, interrupt)| interrupt.answer.is_some().then_some(id))
            .collect();
        for interrupt in answered {
            let Some(server) = self.servers.get_mut(&running.instance) else { return };
            let boot = server.boot;
            if let Some(job) = server.jobs.get_mut(&running.attempt).filter(|job| job.waits == Some(interrupt)) {
                job.waits = None;
                self.later(300, Happening::Step(running.instance, running.attempt, boot));
            }
            let key = format!("attempt:{}:delivered:{interrupt}", running.attempt);
            self.report(running, Report::Delivered(interrupt), Some(key));
        }
    }

    /// The agent of an attempt that no longer counts is told to stop, until it has or cannot be asked.
    fn let_go(&mut self, running: &Running) {
        let attempt = running.attempt;
        let Some(server) = self.servers.get(&running.instance) else { return };
        let Some(follow) = self.follows.get_mut(&attempt) else { return };
        let (stopped, late_result) = match (server.reachable(), server.jobs.get(&attempt)) {
            (true, None) => (true, None),
            (true, Some(job)) if job.over() => match job.said.last() {
                Some(Report::Submitted { text, .. }) => (true, Some(text.clone())),
                _ => (true, None),
            },
            _ if follow.asks >= ASKS_MAX => (false, None),
            (true, Some(_)) => {
                follow.asks += 1;
                self.hear_again(running);
                return self.tell_to_stop(running);
            }
            (false, _) => {
                follow.asks += 1;
                return;
            }
        };
        let command = TaskCommand::Release { attempt, stopped, late_result };
        let ask = Ask::task(running.task, Principal::Agent(running.agent), command);
        self.tell(&ask.keyed(format!("attempt:{attempt}:released")));
    }

    fn ends(&mut self, running: &Running, report: Report) {
        let key = format!("attempt:{}:ended", running.attempt);
        self.report(running, report, Some(key));
    }

    fn report(&mut self, running: &Running, report: Report, key: Option<String>) -> Answer {
        let Running { attempt, fence, .. } = *running;
        let command = TaskCommand::Report { attempt, fence, report };
        let ask = Ask::task(running.task, Principal::Agent(running.agent), command);
        self.tell(&Ask { key, ..ask })
    }

    /// A run does the next thing, and says so; the network does with it what it likes.
    pub fn step(&mut self, instance: InstanceId, attempt: AttemptId, boot: u32) {
        let (now, breaks) = (self.now, self.happens_in(0.5));
        let Some(server) = self.servers.get_mut(&instance).filter(|server| server.up && server.boot == boot) else {
            return;
        };
        let broken = breaks && server.broke_until > now;
        let Some(job) = server.jobs.get_mut(&attempt) else { return };
        if broken && !job.over() {
            job.breaks(&mut self.draws);
        }
        let Doing::Says(nth) = job.goes_on(&mut self.draws) else { return };
        let wait = self.between(300, 20_000);
        self.later(wait, Happening::Step(instance, attempt, boot));
        let copies = if self.happens_in(LOSES) { 0 } else { 1 + usize::from(self.happens_in(DOUBLES)) };
        for _ in 0..copies {
            let wait = self.between(20, 1_500);
            self.later(wait, Happening::Heard(instance, attempt, nth));
        }
    }

    /// What a run has said arrives.
    pub fn heard(&mut self, instance: InstanceId, attempt: AttemptId, nth: usize) {
        let Some(server) = self.servers.get(&instance).filter(|server| server.reachable()) else { return };
        let Some(report) = server.jobs.get(&attempt).and_then(|job| job.said.get(nth)).cloned() else { return };
        let Some(follow) = self.follows.get(&attempt) else { return self.heard_of_the_past(attempt, report) };
        let running = follow.running.clone();
        let last = matches!(report, Report::Submitted { .. } | Report::Failed { .. } | Report::Stopped);
        if last && follow.heard.len() < nth && !self.happens_in(HURRIES) {
            return;
        }
        if self.happens_in(LIES) {
            let old = Running { fence: running.fence.saturating_sub(1), ..running.clone() };
            self.must_change_nothing(&old, report.clone());
        }
        let key = format!("attempt:{attempt}:{nth}");
        let answer = self.report(&running, report.clone(), Some(key));
        if let (Answer::Refused(Rejection::Fenced), Report::Artifact(made)) = (&answer, report) {
            let command = TaskCommand::Archive { attempt, made };
            let ask = Ask::task(running.task, Principal::Agent(running.agent), command);
            self.tell(&ask.keyed(format!("attempt:{attempt}:{nth}:late")));
        }
        if answer != Answer::Lost
            && let Some(follow) = self.follows.get_mut(&attempt)
        {
            follow.heard.insert(nth);
            follow.moved = self.now;
        }
    }

    /// Nobody looks after the attempt any more, and it still says something.
    fn heard_of_the_past(&mut self, attempt: AttemptId, report: Report) {
        let started = self.node.log.iter().find_map(|recorded| match (&recorded.subject, &recorded.event) {
            (
                Subject::Task(task),
                Event::Task(TaskEvent::AttemptStarted { attempt: of, delegation, agent, instance, fence, .. }),
            ) if *of == attempt => {
                let (task, delegation, agent, instance, fence) = (*task, *delegation, *agent, *instance, *fence);
                Some(Running { attempt, task, delegation, agent, instance, fence })
            }
            _ => None,
        });
        let counts = self.node.workspace.schedule().running().any(|other| other.attempt == attempt);
        if let Some(started) = started.filter(|_| self.node.up && !counts) {
            self.must_change_nothing(&started, report);
        }
    }

    fn must_change_nothing(&mut self, running: &Running, report: Report) {
        if !self.node.up {
            return;
        }
        let before = self.node.log.len();
        let Running { attempt, fence, .. } = *running;
        let command = TaskCommand::Report { attempt, fence, report };
        let answer = self.node.execute(self.now, &Ask::task(running.task, Principal::Agent(running.agent), command));
        let fine = answer == Answer::Refused(Rejection::Fenced) && self.node.log.len() == before;
        self.watch.kept("I3", fine, || format!("attempt {attempt} with the fence {fence} was heard: {answer:?}"));
    }
}
