//! That random plans really get everywhere: a property that never meets a state proves nothing about it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::domain::task::{DelegationStatus, TaskStatus};

use super::{
    ledger::Phase,
    plan::{plans, play},
};

#[test]
fn random_plans_reach_every_state_and_every_event() {
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut tasks, mut delegations) = (BTreeMap::<TaskStatus, usize>::new(), BTreeMap::<Phase, usize>::new());
    let (mut kinds, mut retried, mut several) = (BTreeSet::new(), 0, 0);
    for _ in 0..560 {
        let plan = plans(250).new_tree(&mut runner).expect("nothing is filtered out").current();
        let world = play(&plan, |world| {
            world.ledger.tasks.values().for_each(|card| *tasks.entry(card.status).or_default() += 1);
            several += usize::from(world.ledger.delegations.keys().any(|id| {
                let own = world.ledger.questions.values().filter(|asked| asked.delegation == *id && asked.open);
                own.count() > 1
            }));
            world.ledger.delegations.values().for_each(|known| *delegations.entry(known.phase).or_default() += 1);
        });
        retried += world.retried;
        kinds.extend(world.log.iter().map(|entry| entry.fact.event.encode().0));
    }
    for status in TaskStatus::ALL {
        assert!(tasks.get(status).is_some_and(|n| *n > 100), "tasks are hardly ever {status}: {tasks:?}");
    }
    for status in DelegationStatus::ALL {
        let met = delegations.iter().find(|(phase, _)| format!("{phase:?}").to_lowercase() == status.name());
        assert!(met.is_some_and(|(_, n)| *n > 100), "delegations are hardly ever {status}: {delegations:?}");
    }
    assert!(several > 100, "only {several} times had a delegation two open questions");
    assert!(retried > 20, "only {retried} proposals were stale");
    let missing: Vec<_> = super::fixtures::kinds().into_iter().filter(|kind| !kinds.contains(*kind)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}
