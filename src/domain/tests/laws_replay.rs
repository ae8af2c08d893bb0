//! The log is the truth: whatever is folded from it again, from the start or from a snapshot, is the live state.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::Index};

use crate::domain::{
    event::Event,
    model::Model,
    workspace::{Fact, Workspace},
};

use super::{
    plan::{ask, founded, plans, play},
    tries,
    world::{Entry, World, fold_into},
};

fn fold(models: &mut BTreeMap<crate::domain::ids::Subject, Model>, workspace: &mut Workspace, entries: &[Entry]) {
    for entry in entries {
        let Fact { subject, event } = &entry.fact;
        workspace.apply(entry.offset, entry.at, subject, event);
        fold_into(models, entry);
    }
}

fn shown(world: &World) -> (String, String) {
    (format!("{:?}", world.models), format!("{:?}", world.workspace))
}

proptest! {
    #![proptest_config(tries(100))]

    #[test]
    fn every_log_replays_to_the_live_state(plan in plans(150)) {
        let world = play(&plan, |_| {});
        let (mut models, mut workspace) = Default::default();
        fold(&mut models, &mut workspace, &world.log);
        prop_assert_eq!((format!("{models:?}"), format!("{workspace:?}")), shown(&world));
    }

    #[test]
    fn a_snapshot_and_what_came_after_it_is_the_whole(plan in plans(120), at in any::<Index>()) {
        let world = play(&plan, |_| {});
        let (before, after) = world.log.split_at(at.index(world.log.len()));
        let (mut models, mut workspace) = Default::default();
        fold(&mut models, &mut workspace, before);

        let mut thawed = BTreeMap::new();
        for (subject, model) in &models {
            let bytes = model.to_snapshot().unwrap();
            let again = Model::from_snapshot(*subject, &bytes).unwrap().unwrap();
            prop_assert_eq!(format!("{again:?}"), format!("{model:?}"));
            thawed.insert(*subject, again);
        }
        let bytes = rmp_serde::to_vec_named(&workspace).unwrap();
        let mut workspace: Workspace = rmp_serde::from_slice(&bytes).unwrap();

        fold(&mut thawed, &mut workspace, after);
        prop_assert_eq!((format!("{thawed:?}"), format!("{workspace:?}")), shown(&world));
    }

    #[test]
    fn every_event_survives_its_encoding_and_the_database_can_store_it(plan in plans(120)) {
        let world = play(&plan, |_| {});
        for entry in &world.log {
            let (kind, data) = entry.fact.event.encode();
            let text = data.to_string();
            prop_assert!(!text.contains("\\u0000"), "{kind} holds U+0000: {text}");
            let decoded = Event::decode(&kind, serde_json::from_str(&text).unwrap());
            prop_assert_eq!(decoded.map_err(|why| format!("{kind}: {why}")), Ok(entry.fact.event.clone()));
        }
    }

    #[test]
    fn offsets_have_no_gaps_and_a_task_knows_its_own_last_one(plan in plans(120)) {
        let world = play(&plan, |_| {});
        for (n, entry) in world.log.iter().enumerate() {
            prop_assert_eq!(entry.offset, n as u64 + 1);
        }
        for (subject, model) in &world.models {
            let Model::Task(_, task) = model else { continue };
            let last = world.log.iter().rev().find(|entry| entry.fact.subject == *subject).map(|entry| entry.offset);
            prop_assert_eq!(serde_json::to_value(task).unwrap()["version"].as_u64(), last);
        }
    }
}

proptest! {
    #![proptest_config(tries(40))]

    #[test]
    fn a_refused_command_changes_nothing(plan in plans(80)) {
        let mut world = founded();
        for each in &plan {
            world.pass(i64::from(each.ms));
            let Some(ask) = ask(&world, each.kind, &each.pick) else { continue };
            let before = shown(&world);
            if world.run(ask).is_err() {
                prop_assert_eq!(shown(&world), before);
            }
        }
    }
}
