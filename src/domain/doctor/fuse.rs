//! The breakers as the log tells them, read a second time and without the code that decides them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::domain::{
    event::{Recorded, TaskEvent},
    failure::Blame,
    ids::*,
};

#[derive(Clone, Default)]
struct Fuse {
    failures: Vec<DateTime<Utc>>,
    blown: Option<Blown>,
}

#[derive(Clone)]
struct Blown {
    until: DateTime<Utc>,
    times: u32,
    trying: Option<AttemptId>,
}

/// All of them.
#[derive(Clone, Default)]
pub(super) struct Fuses {
    fuses: BTreeMap<InstanceId, Fuse>,
    running: BTreeMap<AttemptId, (InstanceId, DateTime<Utc>)>,
}

impl Fuses {
    /// Reads the next event; says what is wrong with an attempt that starts.
    pub fn event(&mut self, recorded: &Recorded, event: &TaskEvent) -> Option<String> {
        use TaskEvent as E;
        let at = recorded.at;
        match event {
            E::AttemptStarted { attempt, instance, .. } => {
                self.running.insert(*attempt, (*instance, at));
                return self.fuses.entry(*instance).or_default().started(*attempt, at);
            }
            E::AttemptSucceeded { attempt } => {
                let fuse = self.ended(*attempt)?.1;
                if fuse.blown.as_ref().is_none_or(|blown| blown.trying == Some(*attempt)) {
                    *fuse = Fuse::default();
                }
            }
            E::AttemptFailed { attempt, class, .. } | E::AttemptLost { attempt, class, .. } => {
                let (since, fuse) = self.ended(*attempt)?;
                if class.blame() == Blame::Infrastructure {
                    fuse.failed(*attempt, since, at);
                }
                fuse.left(*attempt);
            }
            E::AttemptCancelled { attempt, .. } | E::AttemptSuperseded { attempt } => {
                self.ended(*attempt)?.1.left(*attempt);
            }
            _ => {}
        }
        None
    }

    fn ended(&mut self, attempt: AttemptId) -> Option<(DateTime<Utc>, &mut Fuse)> {
        let (instance, since) = self.running.remove(&attempt)?;
        Some((since, self.fuses.entry(instance).or_default()))
    }
}

impl Fuse {
    fn started(&mut self, attempt: AttemptId, at: DateTime<Utc>) -> Option<String> {
        let blown = self.blown.as_mut()?;
        if at < blown.until {
            return Some(format!("attempt {attempt} starts on an instance that is shut off until {}", blown.until));
        }
        let before = blown.trying.replace(attempt);
        before.map(|other| format!("attempt {attempt} tries an instance that {other} tries already"))
    }

    fn failed(&mut self, attempt: AttemptId, since: DateTime<Utc>, at: DateTime<Utc>) {
        if let Some(blown) = &self.blown {
            if blown.trying == Some(attempt) {
                self.blow(blown.times + 1, at);
            }
            return;
        }
        if self.failures.last().is_some_and(|last| since < *last) {
            return;
        }
        self.failures.push(at);
        let first = self.failures.len().checked_sub(5).map(|nth| self.failures[nth]);
        if first.is_some_and(|first| at - first <= TimeDelta::minutes(5)) {
            self.blow(1, at);
        }
    }

    fn blow(&mut self, times: u32, at: DateTime<Utc>) {
        let seconds = (30_i64 << times.saturating_sub(1).min(10)).min(600);
        self.blown = Some(Blown { until: at + TimeDelta::seconds(seconds), times, trying: None });
    }

    fn left(&mut self, attempt: AttemptId) {
        if let Some(blown) = self.blown.as_mut().filter(|blown| blown.trying == Some(attempt)) {
            blown.trying = None;
        }
    }
}
