//! The doctor finds nothing in what the state machines wrote, and finds what was broken on purpose.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    event::{Event, Recorded, TaskEvent},
    tests::{plan, tries},
};

fn findings(log: &[Recorded]) -> Vec<Finding> {
    let mut doctor = Doctor::default();
    log.iter().for_each(|recorded| doctor.event(recorded));
    doctor.finish()
}

proptest! {
    #![proptest_config(tries(60))]

    #[test]
    fn a_log_that_link_wrote_keeps_every_promise(plan in plan::plans(150)) {
        let world = plan::play(&plan, |_| {});
        prop_assert_eq!(findings(&world.whole_log()), vec![]);
    }

    #[test]
    fn an_attempt_that_is_left_out_of_the_log_is_missed(plan in plan::plans(150)) {
        let world = plan::play(&plan, |_| {});
        let mut log = world.whole_log();
        let heard = |event: &Event| matches!(event, Event::Task(TaskEvent::AttemptAccepted { .. }));
        prop_assume!(log.iter().any(|recorded| heard(&recorded.event)));
        log.retain(|recorded| !matches!(recorded.event, Event::Task(TaskEvent::AttemptStarted { .. })));
        let found = findings(&log);
        prop_assert!(found.iter().any(|finding| finding.invariant == "I4"));
        prop_assert!(found.iter().any(|finding| finding.invariant == "I3"));
    }
}

#[test]
fn every_promise_has_its_own_name() {
    let names: std::collections::BTreeSet<_> = INVARIANTS.iter().map(|(name, _, _)| name).collect();
    assert_eq!(names.len(), 30);
}
