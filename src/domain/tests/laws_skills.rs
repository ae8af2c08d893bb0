//! Nobody gets work who lacks a skill that it requires.

use proptest::prelude::*;

use crate::domain::{
    agent::AgentCommand,
    event::{Event, TaskEvent},
    routing::{Bulkheads, Filter, Hold},
    task::{NewDelegation, Review, TaskChange, TaskCommand, Terms},
    text::{Label, Prose},
};

use super::{
    ledger::Ledger,
    plan::{plans, play},
    scene::Scene,
    tries,
};

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn an_attempt_goes_only_to_who_has_every_skill_that_is_required(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let mut ledger = Ledger::default();
        for entry in &world.log {
            if let Event::Task(TaskEvent::AttemptStarted { delegation, agent, instance, .. }) = &entry.fact.event {
                let staff = &ledger.agents[agent];
                let said = staff.said.get(instance).cloned().unwrap_or_default();
                for skill in &ledger.delegations[delegation].terms.skills {
                    prop_assert!(staff.skills.contains(skill) || said.contains(skill), "{agent} lacks {skill}");
                }
            }
            ledger.fold(entry);
        }
    }
}

#[test]
fn work_that_nobody_has_the_skills_for_says_which_are_missing_and_goes_when_somebody_has_them() {
    let mut scene = Scene::new();
    let (id, task) = (scene.world.fresh().into(), scene.task());
    let skills = ["cooking", "sewing"].map(Label::fitted);
    let update = |skills: &[Label]| AgentCommand::Update {
        name: None,
        skills: Some(skills.iter().cloned().collect()),
        max_concurrency: None,
    };
    scene.agent(update(&skills[..1])).unwrap();
    let terms = Terms { skills: skills.clone().into(), ..Terms::default() };
    let (agent, instructions, review) = (None, Prose::default(), Review::default());
    scene
        .run(task, 0, TaskCommand::Delegate(NewDelegation { id, agent, team: None, instructions, review, terms }))
        .unwrap();
    assert_eq!(scene.offered(), []);
    let held = scene.world.workspace.schedule().held(id, scene.world.now, Bulkheads::default()).unwrap();
    assert_eq!((held.why, held.filtered[0].why), (Hold::NoSkill, Filter::Skills));
    assert!(held.reason.ends_with(": sewing"), "{}", held.reason);
    scene.agent(update(&skills)).unwrap();
    scene.start(task);
}

#[test]
fn what_a_task_requires_every_delegation_of_it_requires_beside_its_own() {
    let mut scene = Scene::new();
    let (task, later) = (scene.task(), scene.task());
    let [cooking, sewing] = ["cooking", "sewing"].map(Label::fitted);
    let require = |skills: &[&Label]| {
        let skills = Some(skills.iter().map(|skill| (*skill).clone()).collect());
        TaskCommand::Update(TaskChange { skills, ..TaskChange::default() })
    };
    scene.run(task, 0, require(&[&cooking])).unwrap();
    let own = Terms { skills: [sewing.clone()].into(), ..Terms::default() };
    let delegate = |scene: &mut Scene, task, terms| {
        let (id, instructions, review) = (scene.world.fresh().into(), Prose::default(), Review::default());
        let new = NewDelegation { id, agent: None, team: None, instructions, review, terms };
        scene.run(task, 0, TaskCommand::Delegate(new)).unwrap();
        id
    };
    let both = delegate(&mut scene, task, own);
    assert_eq!(scene.world.ledger.delegations[&both].terms.skills, [cooking.clone(), sewing].into());
    assert_eq!(scene.offered(), []);
    // What is asked of the task later changes nothing that was agreed.
    scene.run(task, 0, require(&[])).unwrap();
    assert_eq!(scene.offered(), []);
    scene.run(later, 0, require(&[&cooking])).unwrap();
    delegate(&mut scene, later, Terms::default());
    let skills = Some([cooking].into());
    scene.agent(AgentCommand::Update { name: None, skills, max_concurrency: None }).unwrap();
    assert_eq!(scene.offered(), [later]);
}
