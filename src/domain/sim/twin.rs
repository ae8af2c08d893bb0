//! The same attempt told twice: once in order and on a right clock, once in any order, partly twice, on a clock that is
//! off by up to five minutes. It must end the same.

use chrono::TimeDelta;
use serde_json::Value;

use crate::domain::{
    event::Event,
    failure::FailureClass,
    ids::*,
    model::{Command, Model},
    principal::Principal,
    task::{Circumstance, Report, TaskCommand},
};

use super::{outside::Job, play::World};

/// So many attempts are told twice.
const SHARE: f64 = 0.3;
/// How far the other clock is off at most, in milliseconds.
const SKEW_MAX: u64 = 300_000;

impl World {
    pub fn look_at_twins(&mut self, task: TaskId, attempt: AttemptId, agent: AgentId, fence: u64) {
        if !self.happens_in(SHARE) {
            return;
        }
        let Some(model) = self.node.models.get(&Subject::Task(task)).cloned() else { return };
        let reports = self.whole_run();
        let (last, rest) = reports.split_last().expect("a run has an end");
        let mut mixed: Vec<Report> = rest.to_vec();
        let twice = rest.get(self.draws.below(rest.len())).cloned();
        mixed.extend(twice);
        for nth in (1..mixed.len()).rev() {
            let other = self.draws.below(nth + 1);
            mixed.swap(nth, other);
        }
        mixed.push(last.clone());
        let off = TimeDelta::milliseconds(self.between(0, 2 * SKEW_MAX) as i64 - SKEW_MAX as i64);
        let clock = self.node.clock(self.now);
        let tell = |reports: &[Report], now| told(model.clone(), attempt, agent, fence, reports, now);
        let (right, wrong) = (tell(&reports, clock), tell(&mixed, clock + off));
        self.watch.kept("I29", right == wrong, || {
            format!("attempt {attempt} ends in two ways: {right} in order, {wrong} out of order and {off} off")
        });
    }

    /// Makes up all that a run says, without the questions: they stop it.
    fn whole_run(&mut self) -> Vec<Report> {
        let mut job = Job::new(&mut self.node, &mut self.draws, self.calm.is_some());
        loop {
            job.waits = None;
            if !matches!(job.goes_on(&mut self.draws), super::outside::Doing::Says(_)) {
                break;
            }
        }
        job.said.retain(|report| !matches!(report, Report::Asked { .. }));
        if !matches!(job.said.last(), Some(Report::Submitted { .. } | Report::Failed { .. } | Report::Stopped)) {
            let class = FailureClass::Unknown;
            job.said.push(Report::Failed { class, message: "it broke".into(), retry_after_ms: None });
        }
        job.said
    }
}

/// Returns the state of a task after all reports, without what must differ: times, and the order of what was made.
fn told(
    mut model: Model,
    attempt: AttemptId,
    agent: AgentId,
    fence: u64,
    reports: &[Report],
    now: chrono::DateTime<chrono::Utc>,
) -> Value {
    let cx = Circumstance { by: Principal::Agent(agent), now };
    for report in reports {
        let command = TaskCommand::Report { attempt, fence, report: report.clone() };
        let events = model.decide(cx, Command::Task(Box::new(command))).unwrap_or_default();
        events.iter().for_each(|event: &Event| model.apply(0, event));
    }
    let Model::Task(_, task) = &model else { return Value::Null };
    let mut state = serde_json::to_value(task).unwrap_or_default();
    if let Some(delegation) = state.get_mut("delegation").and_then(Value::as_object_mut) {
        delegation.remove("not_before");
        if let Some(evidence) = delegation.get_mut("evidence").and_then(Value::as_array_mut) {
            evidence.sort_by_key(ToString::to_string);
        }
    }
    state
}
