//! Agents are never given more than they can hold, the agenda never offers what would be refused, and everybody
//! sees what they do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::domain::{
    agent::{AgentStatus, Availability},
    conversation::ConversationCommand,
    event::{AgentEvent, ConversationEvent, Event, TaskEvent},
    ids::{AgentId, InstanceId, Subject},
    model::Command,
    routing::Bulkheads,
    task::TaskCommand,
    workspace::{NextTurn, RunningTurn},
};

use super::{
    ledger::{Ledger, Staff},
    plan::{Kind, plans, play},
    plan_work::task_ask,
    tries,
    world::World,
};

/// Returns where an agent has turns.
fn talks(ledger: &Ledger, agent: AgentId) -> impl Iterator<Item = InstanceId> {
    let own = ledger.turns.values().filter(move |turn| turn.running && turn.agent == agent);
    own.filter_map(|turn| turn.instance)
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn no_agent_and_no_instance_is_given_more_than_it_can_hold(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            ledger.fold(entry);
            let (agent, instance) = match &entry.fact.event {
                Event::Task(TaskEvent::AttemptStarted { agent, instance, .. }) => (agent, instance),
                Event::Conversation(ConversationEvent::TurnStarted { agent, instance, .. }) => (agent, instance),
                _ => continue,
            };
            let (live, staff) = (ledger.live(), &ledger.agents[agent]);
            let all = live.iter().filter(|attempt| attempt.agent == *agent).count() + talks(&ledger, *agent).count();
            let here = live.iter().filter(|attempt| attempt.instance == *instance).count()
                + talks(&ledger, *agent).filter(|known| known == instance).count();
            prop_assert!(all <= staff.bound as usize && here <= staff.slots[instance] as usize);
            prop_assert_eq!(staff.availability, Availability::Active);
        }
    }

    #[test]
    fn whatever_the_agenda_offers_is_accepted_all_of_it(plan in plans(60)) {
        let mut world = play(&plan, |_| {});
        world.pass(60_000);
        let agenda = world.workspace.schedule().agenda(world.now, 7, Bulkheads::default());
        for NextTurn { turn, route } in agenda.turns {
            let RunningTurn { turn, conversation, agent, instance } = turn;
            let command = ConversationCommand::StartTurn { turn, agent, instance, route };
            let (subject, command) = (Subject::Conversation(conversation), Command::Conversation(command));
            let by = crate::domain::principal::Principal::Service(crate::domain::principal::Service::Conductor);
            let done = world.run(super::world::Ask { subject, by, command });
            prop_assert!(done.is_ok(), "{:?}", done.map(|_| ()));
        }
        for offer in agenda.dispatch {
            let command = TaskCommand::Dispatch {
                delegation: offer.delegation,
                attempt: world.fresh().into(),
                agent: offer.agent,
                instance: offer.instance,
                route: offer.route.clone(),
            };
            let by = crate::domain::principal::Principal::Service(crate::domain::principal::Service::Conductor);
            let done = world.run(task_ask(offer.task, by, command));
            prop_assert!(done.is_ok(), "{:?}: {offer:?}", done.map(|_| ()));
        }
        // Nothing that could be handed out is left over.
        prop_assert_eq!(world.workspace.schedule().agenda(world.now, 7, Bulkheads::default()).dispatch, vec![]);
    }

    #[test]
    fn the_schedule_runs_exactly_the_live_attempts(plan in plans(100)) {
        play(&plan, |world| {
            let runs = world.workspace.schedule().running().map(|running| (running.attempt, running.fence));
            let live = world.ledger.live().into_iter().map(|attempt| (attempt.id, attempt.fence));
            assert_eq!(runs.collect::<BTreeMap<_, _>>(), live.collect());
        });
    }

    #[test]
    fn an_agents_status_is_what_it_does(plan in plans(120)) {
        play(&plan, |world| {
            for (id, staff) in &world.ledger.agents {
                let works = world.ledger.live().iter().any(|attempt| attempt.agent == *id)
                    || talks(&world.ledger, *id).next().is_some();
                assert_eq!(staff.status, expected(staff, works), "{staff:?}");
            }
        });
    }

    #[test]
    fn an_agents_status_is_told_only_when_it_changes(plan in plans(120)) {
        let world = play(&plan, |_| {});
        let mut last = BTreeMap::new();
        for entry in &world.log {
            let (Subject::Agent(id), Event::Agent(AgentEvent::Status { status, .. })) =
                (&entry.fact.subject, &entry.fact.event) else { continue };
            let before = last.insert(*id, *status).unwrap_or(AgentStatus::Idle);
            prop_assert_ne!(before, *status);
        }
    }

    #[test]
    fn a_probe_that_says_the_same_again_says_nothing_new(plan in plans(80)) {
        let mut world = play(&plan, |_| {});
        let probes: Vec<_> = (0..40).filter_map(|n| super::plan::ask(&world, Kind::Probe, &[n, n / 2, n / 3])).collect();
        for probe in probes {
            prop_assert!(world.run(probe.clone()).is_ok());
            prop_assert_eq!(said(&mut world, probe), 0);
        }
    }
}

fn said(world: &mut World, ask: super::world::Ask) -> usize {
    world.run(ask).expect("it was accepted before").len()
}

fn expected(staff: &Staff, works: bool) -> AgentStatus {
    let silent = |instance| staff.healthy.get(instance) == Some(&false);
    let unsound = |instance| silent(instance) || staff.unsound.contains(instance);
    match staff.availability {
        Availability::Retired => AgentStatus::Retired,
        Availability::Draining => AgentStatus::Draining,
        Availability::Paused => AgentStatus::Paused,
        Availability::Active if staff.slots.is_empty() && staff.peer => AgentStatus::Offline,
        Availability::Active if !staff.slots.is_empty() && staff.slots.keys().all(silent) => AgentStatus::Offline,
        Availability::Active if !staff.slots.is_empty() && staff.slots.keys().all(unsound) => AgentStatus::Degraded,
        Availability::Active if !staff.worse.is_empty() => AgentStatus::Degraded,
        Availability::Active if works => AgentStatus::Working,
        Availability::Active => AgentStatus::Idle,
    }
}
