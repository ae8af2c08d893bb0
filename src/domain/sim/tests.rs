//! The promises hold in some worlds, a seed always tells the same, and mistakes that are made on purpose are found.

use super::*;
use crate::domain::{
    event::{Event, TaskEvent as E},
    task::JoinOutcome,
};

fn lived(seed: u64, delegations: u32, mistake: Option<Mistake>) -> Report {
    run(Setting { seed, delegations, mistake })
}

#[test]
fn every_promise_is_kept_whatever_goes_wrong() {
    let report = lived(1, 120, None);
    assert!(report.found.is_empty(), "{:#?}", report.found);
    assert_eq!(report.delegations, 120);
    assert_eq!(report.ends.completed + report.ends.cancelled + report.ends.failed, 120 + report.parts);
    // What nobody looked at was not shown.
    for checked in report.invariants.iter().filter(|checked| checked.elsewhere.is_none()) {
        assert!(checked.checks > 0, "nobody looked at {}", checked.invariant);
    }
}

#[test]
fn a_seed_always_tells_the_same() {
    let told = |seed| serde_json::to_string(&lived(seed, 30, None)).unwrap();
    assert_eq!(told(7), told(7));
    assert_ne!(told(7), told(8));
}

#[test]
fn all_that_agents_and_people_do_together_happens_in_these_worlds() {
    let lived = |seed| play::World::lived(Setting { seed, delegations: WORLD_MAX, mistake: None });
    let worlds: Vec<play::World> = (1..=4).map(lived).collect();
    let log = worlds.iter().flat_map(|world| &world.node.log);
    let all: Vec<&Event> = log.map(|recorded| &recorded.event).collect();
    let happens = |is: &dyn Fn(&E) -> bool| all.iter().any(|event| matches!(event, Event::Task(event) if is(event)));
    assert!(happens(&|event| matches!(event, E::HandOffAccepted { .. })), "work is handed on");
    assert!(happens(&|event| matches!(event, E::HandOffDeclined { .. })), "an offer is declined");
    assert!(happens(&|event| matches!(event, E::HandOffLapsed { .. })), "an offer lapses");
    for outcome in [JoinOutcome::Enough, JoinOutcome::Impossible, JoinOutcome::TimedOut, JoinOutcome::Ended] {
        let joined = |event: &E| matches!(event, E::FanOutJoined { outcome: how, .. } if *how == outcome);
        assert!(happens(&joined), "a join is decided: {outcome:?}");
    }
    assert!(happens(&|event| matches!(event, E::InterruptResolved { policy: Some(_), .. })), "a question expires");
    assert!(happens(&|event| matches!(event, E::ReminderSent { .. })), "people are reminded");
    assert!(happens(&|event| matches!(event, E::DelegationOverdue { .. })), "the queue takes too long");
    assert!(happens(&|event| matches!(event, E::DelegationQueued { team: Some(_), .. })), "a team has work");
    let named = |event: &E| matches!(event, E::DelegationQueued { review, .. } if !review.approvers.is_empty());
    assert!(happens(&named), "approvers are named");
}

#[test]
fn mistakes_that_are_made_on_purpose_are_found() {
    for (mistake, invariants) in [
        (Mistake::ForgetsKeys, &["I18"][..]),
        (Mistake::LosesAnEvent, &["I1"]),
        (Mistake::OverlooksDeath, &["I30"]),
        (Mistake::LetsAgentsAnswer, &["I11"]),
    ] {
        let report = lived(3, 100, Some(mistake));
        let found = |name: &&str| report.found.iter().any(|found| found.invariant == *name);
        assert!(invariants.iter().all(found), "{mistake:?}: {:#?}", report.found);
    }
}
