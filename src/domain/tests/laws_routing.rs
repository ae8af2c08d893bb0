//! Every route says truly how it came about, and what is learned decides who gets the next work.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::domain::{
    agent::{AgentCommand, AgentStatus, Availability, NewInstance},
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::*,
    model::Command,
    routing::{Bulkheads, Filter, Held, Hold, Mode, Standing, breaker::Phase as Breaker},
    task::{NewDelegation, Priority, Reviewers, TaskChange, TaskCommand},
};

use super::{
    ledger::Phase,
    plan::{plans, play, title},
    scene::{Scene, user},
    tries,
    world::Ask,
};

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn every_route_says_how_likely_it_was_and_names_what_was_chosen(plan in plans(150)) {
        let world = play(&plan, |_| {});
        for entry in &world.log {
            let Event::Task(TaskEvent::AttemptStarted { agent, instance, route, .. }) = &entry.fact.event else { continue };
            let Some(decision) = &route.decision else { continue };
            prop_assert!(decision.propensity > 0.0 && decision.propensity <= 1.0, "{decision:?}");
            prop_assert!(decision.candidates.iter().any(|candidate| candidate.agent == *agent));
            prop_assert!(decision.instances.iter().any(|offered| offered.instance == *instance));
            prop_assert!(decision.filtered.iter().all(|other| other.instance != Some(*instance)));
            prop_assert!(decision.mode != Mode::Pinned || decision.propensity == 1.0);
        }
    }

    #[test]
    fn no_work_goes_where_a_breaker_is_open_and_only_one_attempt_where_it_is_half_open(plan in plans(150)) {
        play(&plan, |world| {
            let schedule = world.workspace.schedule();
            let mut tried = BTreeSet::new();
            for offer in schedule.agenda(world.now, 7, Bulkheads::default()).dispatch {
                match schedule.checkup(offer.instance, world.now).phase {
                    Breaker::Closed => {}
                    Breaker::HalfOpen(None) => assert!(tried.insert(offer.instance)),
                    phase => panic!("{phase:?}: {offer:?}"),
                }
            }
        });
    }

    #[test]
    fn of_the_queued_each_is_either_offered_or_says_why_not(plan in plans(100)) {
        play(&plan, |world| {
            let (schedule, bulkheads) = (world.workspace.schedule(), Bulkheads { workspace: 3, background: 2 });
            let agenda = schedule.agenda(world.now, 7, bulkheads);
            let queued = world.ledger.delegations.iter().filter(|(_, known)| known.phase == Phase::Queued);
            let queued: Vec<_> = queued.map(|(id, _)| *id).collect();
            let waiting = agenda.waiting.values().sum::<u32>() as usize;
            assert_eq!(queued.len(), agenda.dispatch.len() + waiting, "{:?}", agenda.waiting);
            for id in queued {
                let held = schedule.held(id, world.now, bulkheads).expect("it is queued");
                let offered = agenda.dispatch.iter().any(|offer| offer.delegation == id);
                assert!(!offered || held.why == Hold::Next, "{held:?}");
                assert_eq!(matches!(held.why, Hold::NobodyCan | Hold::NoSkill), !held.filtered.is_empty());
            }
        });
    }

    #[test]
    fn never_more_runs_than_the_bulkheads_let_through(plan in plans(60), workspace in 1_u32..6, background in 1_u32..6) {
        play(&plan, |world| {
            let (schedule, bulkheads) = (world.workspace.schedule(), Bulkheads { workspace, background });
            let running = schedule.running().count();
            let offered = schedule.agenda(world.now, 7, bulkheads).dispatch;
            assert!(offered.is_empty() || running + offered.len() <= workspace as usize);
        });
    }

    #[test]
    fn the_same_seed_makes_the_same_agenda(plan in plans(60), seed in any::<u64>()) {
        let mut world = play(&plan, |_| {});
        world.pass(60_000);
        let schedule = world.workspace.schedule();
        prop_assert_eq!(schedule.agenda(world.now, seed, Bulkheads::default()), schedule.agenda(world.now, seed, Bulkheads::default()));
    }
}

fn second_agent(scene: &mut Scene) -> AgentId {
    let (agent, instance) = (AgentId(scene.world.fresh()), InstanceId(scene.world.fresh()));
    let instances = vec![NewInstance { id: instance, url: "y".into(), model: None, slots: 2, turns_max: 9 }];
    let (name, runtime, skills) = (title("second"), Default::default(), Default::default());
    let command = AgentCommand::Register { name, runtime, skills, max_concurrency: 2, instances };
    let ask = Ask { subject: Subject::Agent(agent), by: user(0), command: Command::Agent(command) };
    scene.world.run(ask).unwrap();
    agent
}

/// Whom the agenda offers urgent work that is for nobody by name.
fn offered_to(scene: &mut Scene) -> AgentId {
    let task = scene.task();
    let change = TaskChange { priority: Some(Priority::Urgent), ..TaskChange::default() };
    scene.run(task, 0, TaskCommand::Update(change)).unwrap();
    let id = DelegationId(scene.world.fresh());
    let (instructions, review, terms) = Default::default();
    let new = NewDelegation { id, agent: None, team: None, instructions, review, terms };
    scene.run(task, 0, TaskCommand::Delegate(new)).unwrap();
    scene.world.pass(60_000);
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    let offer = agenda.dispatch.into_iter().find(|offer| offer.task == task).unwrap();
    assert_eq!(offer.route.decision.unwrap().mode, Mode::Careful);
    scene.cancel(task, id).unwrap();
    offer.agent
}

#[test]
fn an_agent_whose_work_fails_gets_no_urgent_work_and_one_whose_server_fails_does() {
    let after = |class| {
        let mut scene = Scene::new();
        let second = second_agent(&mut scene);
        let (first, task) = (scene.agent, scene.task());
        // Without anything learned, the one that was there first.
        assert_eq!(offered_to(&mut scene), first);
        scene.delegate(task, 0, Reviewers::Anyone);
        let attempt = scene.start(task);
        scene.fail(task, attempt, class).unwrap();
        offered_to(&mut scene) == second
    };
    assert!(after(FailureClass::Refused));
    assert!(!after(FailureClass::InstanceLost));
    assert!(!after(FailureClass::BudgetExhausted));
}

#[test]
fn accepted_work_speaks_for_an_agent_until_the_task_is_opened_again() {
    let mut scene = Scene::new();
    let first = scene.agent;
    let second = second_agent(&mut scene);
    scene.agent = second;
    let task = scene.task();
    scene.delegate(task, 0, Reviewers::Anyone);
    let attempt = scene.start(task);
    scene.submit(task, attempt).unwrap();
    assert_eq!(offered_to(&mut scene), second);
    scene.run(task, 0, TaskCommand::Transition(crate::domain::task::TaskStatus::Ready)).unwrap();
    assert_eq!(offered_to(&mut scene), first);
}

/// A delegation of a task of its own, to the scene's agent.
fn queued(scene: &mut Scene) -> (TaskId, DelegationId) {
    let task = scene.task();
    (task, scene.delegate(task, 0, Reviewers::Anyone))
}

fn held(scene: &Scene, delegation: DelegationId) -> Held {
    scene.world.workspace.schedule().held(delegation, scene.world.now, Bulkheads::default()).unwrap()
}

fn offers(scene: &Scene) -> Vec<TaskId> {
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    agenda.dispatch.into_iter().map(|offer| offer.task).collect()
}

/// Has the news told, as the conductor does, and returns how the instance stands by them.
fn told(scene: &mut Scene) -> Vec<Standing> {
    let news = scene.world.workspace.schedule().news(scene.world.now);
    let standing = |command: &AgentCommand| match command {
        AgentCommand::Stand { standing, .. } => Some(*standing),
        _ => None,
    };
    let stand = news.iter().filter_map(|(_, command)| standing(command)).collect();
    news.into_iter().for_each(|(_, command)| drop(scene.agent(command).unwrap()));
    assert_eq!(scene.world.workspace.schedule().news(scene.world.now), vec![]);
    stand
}

#[test]
fn an_instance_that_fails_is_degraded_then_gets_nothing_then_one_attempt_and_then_all_again() {
    let mut scene = Scene::new();
    let status = |scene: &Scene| scene.world.ledger.agents[&scene.agent].status;
    let mut standings = vec![];
    for _ in 0..5 {
        let (task, delegation) = queued(&mut scene);
        let attempt = scene.start(task);
        // The clock of the scene goes on by a minute with each start: they are within the window all the same.
        scene.world.now -= chrono::TimeDelta::seconds(50);
        scene.fail(task, attempt, FailureClass::ConnectRefused).unwrap();
        scene.cancel(task, delegation).unwrap();
        standings.extend(told(&mut scene));
    }
    assert_eq!(standings, [Standing::Degraded, Standing::Open]);
    assert_eq!(status(&scene), AgentStatus::Degraded);

    let [(first, of_first), (second, of_second)] = [queued(&mut scene), queued(&mut scene)];
    assert_eq!(offers(&scene), []);
    let why = held(&scene, of_first);
    assert_eq!((why.why, why.filtered[0].why), (Hold::NobodyCan, Filter::BreakerOpen));
    scene.world.now = why.until.unwrap();
    assert_eq!(told(&mut scene), [Standing::HalfOpen]);
    assert_eq!(offers(&scene), [first]);
    let attempt = scene.start(first);
    assert_eq!(offers(&scene), []);
    assert_eq!(held(&scene, of_second).filtered[0].why, Filter::BeingTried);
    scene.submit(first, attempt).unwrap();
    assert_eq!(told(&mut scene), [Standing::Sound]);
    assert_eq!((status(&scene), offers(&scene)), (AgentStatus::Idle, vec![second]));
}

#[test]
fn what_is_queued_says_who_cannot_take_it_and_why() {
    let mut scene = Scene::new();
    let (task, delegation) = queued(&mut scene);
    assert_eq!(held(&scene, delegation).why, Hold::Next);
    let instance = scene.instance;
    let probed = |healthy| AgentCommand::Probed { instance, healthy, boot: None, cause: None };
    let steps = [
        (AgentCommand::Want(Availability::Paused), Filter::Paused),
        (AgentCommand::Want(Availability::Active), Filter::Unhealthy),
    ];
    scene.agent(probed(false)).unwrap();
    for (step, filter) in steps {
        scene.agent(step).unwrap();
        let held = held(&scene, delegation);
        assert_eq!((held.why, held.filtered[0].why), (Hold::NobodyCan, filter), "{}", held.reason);
    }
    scene.agent(probed(true)).unwrap();
    scene.start(task);
    let others = [queued(&mut scene), queued(&mut scene)];
    scene.start(others[0].0);
    assert_eq!(held(&scene, others[1].1).filtered[0].why, Filter::AgentFull);
    scene.waits_for(others[1].0, task);
    assert_eq!(held(&scene, others[1].1).why, Hold::Gated);
    scene.cancel(others[1].0, others[1].1).unwrap();
    assert_eq!(scene.world.workspace.schedule().held(others[1].1, scene.world.now, Bulkheads::default()), None);
}

#[test]
fn work_that_nobody_waits_for_leaves_room_for_what_somebody_does() {
    let mut scene = Scene::new();
    let (first, _) = queued(&mut scene);
    scene.start(first);
    let (second, delegation) = queued(&mut scene);
    let one = Bulkheads { workspace: 2, background: 1 };
    let schedule = scene.world.workspace.schedule();
    assert_eq!(schedule.held(delegation, scene.world.now, one).unwrap().why, Hold::BackgroundFull);
    let full = Bulkheads { workspace: 1, background: 1 };
    assert_eq!(schedule.held(delegation, scene.world.now, full).unwrap().why, Hold::WorkspaceFull);
    scene.cancel(second, delegation).unwrap();
    let change = TaskChange { priority: Some(Priority::High), ..TaskChange::default() };
    scene.run(second, 0, TaskCommand::Update(change)).unwrap();
    scene.delegate(second, 0, Reviewers::Anyone);
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, one);
    assert_eq!(agenda.dispatch.into_iter().map(|offer| offer.task).collect::<Vec<_>>(), [second]);
}
