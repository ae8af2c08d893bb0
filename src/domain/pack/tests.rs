//! Laws of the pack: the same for the same, within its budget, and never without what must be known.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::domain::tests::{plan, tries};

fn words(max: usize) -> impl Strategy<Value = String> {
    prop_oneof!["[a-zäß ]{0,60}", (0..max).prop_map(|n| "wörd ".repeat(n / 5)),]
}

prop_compose! {
    fn things()(all in vec(("[a-z]{1,6}", words(30_000)), 0..4)) -> Vec<Thing> {
        all.into_iter()
            .map(|(name, content)| Thing { kind: "file".into(), name, content: Some(content) })
            .collect()
    }
}

prop_compose! {
    fn pasts()(all in vec((words(3_000), prop::option::of(words(40_000)), things(), vec(words(200), 0..30)), 0..6)) -> Vec<Past> {
        all.into_iter()
            .map(|(ending, partial, things, tools)| Past { ending, step: None, partial, things, tools })
            .collect()
    }
}

prop_compose! {
    fn materials()(
        (title, description, instructions) in ("[a-z]{1,20}", words(20_000), words(2_000)),
        goals in vec((words(300), words(9_000)), 0..4),
        needs in vec((words(300), things()), 0..4),
        dialog in vec((words(20), words(3_000)), 0..40),
        answers in vec((words(3_000), words(3_000)), 0..5),
        reviews in vec(words(6_000), 0..3),
        attempts in pasts(),
    ) -> Material {
        Material {
            title: title.clone(),
            description,
            instructions,
            joined: None,
            hand_off: Some(title.clone()).filter(|title| title.len() > 9),
            claims: title.chars().map(String::from).collect(),
            goals: goals.into_iter().map(|(title, description)| Goal { title, description }).collect(),
            needs: needs.into_iter().map(|(title, things)| Need { title, things }).collect(),
            dialog: dialog.into_iter().map(|(who, text)| Said { who, text, age: 7 }).collect(),
            answers: answers.into_iter().map(|(question, answer)| Answered { question, answer }).collect(),
            reviews: reviews
                .into_iter()
                .map(|comment| Reviewed { verdict: "request_changes".into(), comment })
                .collect(),
            attempts,
        }
    }
}

proptest! {
    #![proptest_config(tries(60))]

    #[test]
    fn the_same_material_makes_the_same_text(material in materials(), budget in 0usize..40_000) {
        prop_assert_eq!(pack(&material, budget), pack(&material, budget));
    }

    #[test]
    fn a_text_stays_within_its_budget_where_what_is_required_does(material in materials(), budget in 0usize..40_000) {
        let least = pack(&material, 0).tokens;
        let packed = pack(&material, budget);
        prop_assert!(packed.tokens <= budget.max(least + 16), "{} > {budget}, {least}", packed.tokens);
        prop_assert_eq!(packed.tokens, tokens(&packed.text));
    }

    #[test]
    fn what_must_be_known_is_never_left_out(material in materials(), budget in 0usize..40_000) {
        let text = pack(&material, budget).text;
        let mut required = vec![&material.title, &material.description, &material.instructions];
        required.extend(material.goals.iter().map(|goal| &goal.title));
        for words in required {
            prop_assert!(words.trim().is_empty() || text.contains(words.trim()), "{words}");
        }
        for (place, past) in material.attempts.iter().enumerate() {
            let begins = format!("Attempt {} ended: ", place + 1);
            prop_assert!(text.contains(&begins));
            let ending: String = past.ending.chars().take(500).collect();
            prop_assert!(text.contains(&ending));
            for thing in &past.things {
                prop_assert!(text.contains(&thing.name));
            }
        }
        for answered in &material.answers {
            let answer: String = answered.answer.chars().take(900).collect();
            prop_assert!(text.contains(&answer));
        }
    }

    #[test]
    fn whatever_does_not_fit_is_named(material in materials(), budget in 0usize..40_000) {
        let (all, some) = (pack(&material, usize::MAX), pack(&material, budget));
        prop_assert!(all.left_out.is_empty());
        prop_assert_eq!(some.left_out.is_empty(), some.text == all.text);
    }

    #[test]
    fn what_a_random_life_leaves_behind_can_always_be_packed(plan in plan::plans(120)) {
        let world = plan::play(&plan, |_| {});
        for attempt in world.ledger.attempts.values() {
            let log = world.recorded(crate::domain::ids::Subject::Task(attempt.task));
            let material = Material::of(attempt.id, &log, &[], &[], &[], &[]);
            let packed = pack(&material, TOKENS_MAX);
            prop_assert!(packed.tokens <= TOKENS_MAX && packed.text.starts_with(&material.title));
            let others = world.ledger.attempts.values();
            let others: Vec<_> = others.filter(|other| other.task == attempt.task && other.id != attempt.id).collect();
            let made = others.iter().any(|other| !other.artifacts.is_empty());
            prop_assert!(!made || others.len() > 8 || packed.text.contains("It made"), "{}", packed.text);
        }
    }
}

#[test]
fn a_first_attempt_without_anything_around_it_is_told_the_tasks_own_words() {
    let [title, description, instructions] = ["Paint", "The shed.", "Use red."].map(String::from);
    let material = Material { title, description, instructions, ..Material::default() };
    assert_eq!(pack(&material, TOKENS_MAX).text, "Paint\n\nThe shed.\n\nUse red.");
    let bare = Material { instructions: " ".into(), ..material };
    assert_eq!(pack(&bare, TOKENS_MAX).text, "Paint\n\nThe shed.");
}

#[test]
fn the_tiers_stand_in_their_order() {
    let material = Material {
        title: "Paint".into(),
        goals: vec![Goal { title: "House".into(), description: "All of it".into() }],
        dialog: vec![Said { who: "person 0001".into(), text: "red, please".into(), age: 0 }],
        attempts: vec![Past { ending: "silent: no word".into(), partial: Some("I began".into()), ..Past::default() }],
        ..Material::default()
    };
    let text = pack(&material, TOKENS_MAX).text;
    let places: Vec<_> =
        ["This is another attempt", "# CONTEXT", "House", "# DIALOG", "red, please", "# SYSTEM_OUTPUT", "I began"]
            .iter()
            .map(|words| text.find(words).unwrap_or_else(|| panic!("{words}: {text}")))
            .collect();
    assert!(places.is_sorted(), "{text}");
}
