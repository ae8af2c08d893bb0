//! Every route says truly how it came about, and what is learned decides who gets the next work.

use proptest::prelude::*;

use crate::domain::{
    agent::{AgentCommand, NewInstance},
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::*,
    model::Command,
    routing::Mode,
    task::{NewDelegation, Priority, Reviewers, TaskChange, TaskCommand},
    text::Prose,
};

use super::{
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
    fn the_same_seed_makes_the_same_agenda(plan in plans(60), seed in any::<u64>()) {
        let mut world = play(&plan, |_| {});
        world.pass(60_000);
        let schedule = world.workspace.schedule();
        prop_assert_eq!(schedule.agenda(world.now, seed), schedule.agenda(world.now, seed));
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
    let new = NewDelegation { id, agent: None, instructions: Prose::default(), review: Default::default() };
    scene.run(task, 0, TaskCommand::Delegate(new)).unwrap();
    scene.world.pass(60_000);
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7);
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
