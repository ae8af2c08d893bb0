//! What agents decide on somebody's behalf: within what that person gave them, and never about their own work.

use proptest::prelude::*;

use crate::domain::{
    event::{Event, TaskEvent},
    ids::Subject,
    principal::Principal,
    right::Decides,
    task::TRIES_MAX,
};

use super::{
    ledger::Ledger,
    plan::{plans, play},
    tries,
};

proptest! {
    #![proptest_config(tries(150))]

    #[test]
    fn an_agent_decides_only_what_it_was_given_and_never_about_its_own_work(plan in plans(250)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        let mut before: Option<&TaskEvent> = None;
        for entry in &world.log {
            let Event::Task(event) = &entry.fact.event else {
                ledger.fold(entry);
                before = None;
                continue;
            };
            if let TaskEvent::DecisionMade { delegation, right, agent, on_behalf_of, decides, nth, .. } = event {
                let (right, uses) = &ledger.rights[right];
                let mandate = &ledger.delegations[delegation];
                prop_assert_eq!(Principal::Agent(*agent), entry.by);
                prop_assert_eq!((right.agent, Principal::User(right.grantor)), (*agent, *on_behalf_of));
                prop_assert!(*nth == uses + 1 && *nth <= right.uses_max, "use {nth} of {}", right.uses_max);
                prop_assert!(entry.at < right.expires_at && right.decides.contains(decides));
                if let Subject::Task(task) = right.subject {
                    prop_assert_eq!(task, mandate.task);
                }
                prop_assert_ne!(mandate.delegator, entry.by);
                let own = |known: &&super::ledger::Try| known.delegation == *delegation && known.agent == *agent;
                prop_assert!(!ledger.attempts.values().any(|known| own(&known)), "its own work");
                prop_assert!(ledger.members.contains_key(&right.grantor), "on behalf of nobody");
                if *decides == Decides::Review {
                    prop_assert!(!mandate.approvals.contains(on_behalf_of), "nobody approves twice");
                }
            }
            // An agent's word counts for nothing but with a right.
            if let TaskEvent::InterruptResolved { .. } | TaskEvent::DelegationReviewed { .. } = event
                && matches!(entry.by, Principal::Agent(_))
            {
                prop_assert!(matches!(before, Some(TaskEvent::DecisionMade { .. })), "{event:?} without a right");
            }
            if let TaskEvent::DelegationQueued { tries, .. } = event
                && matches!(entry.by, Principal::Agent(_))
            {
                prop_assert!(*tries <= TRIES_MAX);
            }
            before = Some(event);
            ledger.fold(entry);
        }
    }
}
