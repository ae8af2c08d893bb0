//! What breaks, one thing at a time: the next fault comes when the last one must be over.

use crate::domain::ids::*;

use super::{
    Mistake,
    link::folded,
    play::{Happening, World},
};

/// Two faults are further apart than one may stop anything.
const APART: u64 = 35_000;
/// How far a clock may be off, in milliseconds.
const SKEW_MAX: u64 = 300_000;

/// Something that is mended later.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There is no node.
    Node,
    /// These instances are dead; they come back without their runs.
    Dead(Vec<InstanceId>),
    /// Nothing gets through to an instance.
    Cut(InstanceId),
    /// The actor that looks after a run is gone.
    Run,
}

impl World {
    /// Whether a fault may happen now.
    pub fn may_break(&self) -> bool {
        self.calm.is_none() && self.now > self.broke + APART
    }

    pub fn something_breaks(&mut self) {
        if self.calm.is_some() {
            return;
        }
        let wait = self.between(APART, 4 * APART);
        self.later(wait, Happening::Break);
        if !self.may_break() {
            return;
        }
        let all: Vec<InstanceId> = self.servers.keys().copied().collect();
        let one = all[self.draws.below(all.len())];
        match self.draws.below(12) {
            0 | 1 => self.die(vec![one], "an instance dies"),
            2 => self.die(all, "all instances die"),
            3 | 4 => self.forget(one),
            5 | 6 => {
                if let Some(server) = self.servers.get_mut(&one) {
                    server.cut = true;
                }
                let wait = self.between(1_000, 60_000);
                self.later(wait, Happening::Mend(Trouble::Cut(one)));
                self.note_fault("an instance cannot be reached");
            }
            7 => {
                let until = self.now + self.between(30_000, 300_000);
                if let Some(server) = self.servers.get_mut(&one) {
                    server.broke_until = until;
                }
                self.note_fault("a provider gives nothing but errors");
            }
            8 => self.hang(),
            9 => {
                self.set_clock();
                self.note_fault("the clock jumps");
            }
            10 => self.lose_run(),
            _ => self.kill_node("Link is killed between two steps"),
        }
    }

    fn die(&mut self, instances: Vec<InstanceId>, name: &'static str) {
        for instance in &instances {
            if let Some(server) = self.servers.get_mut(instance) {
                (server.up, server.boot) = (false, server.boot + 1);
                server.jobs.clear();
            }
        }
        let wait = self.between(1_000, 180_000);
        self.later(wait, Happening::Mend(Trouble::Dead(instances)));
        self.note_fault(name);
    }

    /// An instance starts anew, and its sessions are gone.
    fn forget(&mut self, instance: InstanceId) {
        if let Some(server) = self.servers.get_mut(&instance).filter(|server| server.up) {
            server.boot += 1;
            server.jobs.clear();
        }
        self.note_fault("an instance loses its sessions");
    }

    fn hang(&mut self) {
        let jobs: Vec<_> = self.servers.values_mut().flat_map(|server| server.jobs.values_mut()).collect();
        let nth = self.draws.below(jobs.len());
        if let Some(job) = jobs.into_iter().nth(nth) {
            job.hung = true;
        }
        self.note_fault("a run hangs");
    }

    fn lose_run(&mut self) {
        let nth = self.draws.below(self.follows.len());
        let Some(attempt) = self.follows.keys().nth(nth).copied() else { return };
        self.follows.remove(&attempt);
        self.later(1_000, Happening::Mend(Trouble::Run));
        self.note_fault("the actor of a run panics");
    }

    fn set_clock(&mut self) {
        let off = self.between(0, 2 * SKEW_MAX);
        self.node.skew_ms = off as i64 - SKEW_MAX as i64;
    }

    /// A node is killed, and another one, with another clock, takes over a little later.
    pub fn kill_node(&mut self, name: &'static str) {
        if !self.node.up {
            return;
        }
        self.node.kill();
        self.follows.clear();
        let wait = self.between(500, 4_000);
        self.later(wait, Happening::Mend(Trouble::Node));
        self.note_fault(name);
    }

    pub fn mend(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Node => self.take_over(),
            Trouble::Dead(instances) => {
                for instance in instances {
                    if let Some(server) = self.servers.get_mut(&instance) {
                        server.up = true;
                    }
                }
            }
            Trouble::Cut(instance) => {
                if let Some(server) = self.servers.get_mut(&instance) {
                    server.cut = false;
                }
            }
            Trouble::Run => self.follow_all(),
        }
    }

    /// What the new node knows is what the old one knew: nothing is lost, nothing is asked anew.
    fn take_over(&mut self) {
        let before = (format!("{:?}", self.node.workspace), format!("{:?}", self.node.models));
        self.node.start();
        self.set_clock();
        let after = (format!("{:?}", self.node.workspace), format!("{:?}", self.node.models));
        let same = before == after;
        self.watch.kept("I1", same, || "the log does not say what the node knew".into());
        self.look_at_snapshot();
        for (interrupt, (_, attempt)) in self.watch.questions.clone() {
            let task = self.watch.cards.values().find(|card| card.attempt.is_some_and(|(held, _)| held == attempt));
            let state = task.and_then(|card| self.node.task(card.task)).and_then(|task| task.session_state(attempt));
            let there = state.is_some_and(|state| state.interrupts.contains_key(&interrupt));
            self.watch.kept("I12", there, || format!("question {interrupt} is lost with the node"));
        }
        self.watch.examine();
        self.follow_all();
        let life = self.node.life;
        self.later(5, Happening::Conduct(life));
    }

    /// A snapshot and what comes after it say the same as the whole log.
    fn look_at_snapshot(&mut self) {
        let subjects: Vec<Subject> = self.node.models.keys().copied().collect();
        let subject = subjects[self.draws.below(subjects.len())];
        let own: Vec<_> = self.node.log.iter().filter(|recorded| recorded.subject == subject).cloned().collect();
        let (early, late) = own.split_at(self.draws.below(own.len()));
        let Some(model) = folded(early).1.remove(&subject) else { return };
        let kept = model
            .to_snapshot()
            .ok()
            .and_then(|bytes| crate::domain::model::Model::from_snapshot(subject, &bytes).ok().flatten());
        let same = kept.is_some_and(|mut kept| {
            late.iter().for_each(|recorded| kept.apply(recorded.offset, &recorded.event));
            Some(format!("{kept:?}")) == self.node.models.get(&subject).map(|model| format!("{model:?}"))
        });
        let lost = self.setting.mistake == Some(Mistake::LosesAnEvent);
        self.watch
            .kept("I5", same || lost, || format!("a snapshot of {subject} and the rest of its log differ from it"));
    }

    /// From now on nothing breaks, and everybody is there.
    pub fn become_calm(&mut self) {
        if self.calm.is_none() {
            self.calm = Some(self.now);
            for server in self.servers.values_mut() {
                (server.cut, server.broke_until) = (false, 0);
            }
        }
        self.later(60_000, Happening::Calm);
        self.everybody_acts();
    }
}
