//! Promises of a decision: it can be done again, it keeps to what is possible, and it says truly how likely it was.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn believed(good: f64, bad: f64) -> Posterior {
    Posterior { alpha: good + 1.0, beta: bad + 1.0, n: good + bad }
}

fn place(n: u128, in_flight: u32, latency_ms: f64, success: f64, degraded: bool) -> Place {
    let vitals = Vitals { latency_ms, success, degraded };
    Place { instance: Uuid::from_u128(n).into(), in_flight, vitals, before: None }
}

fn arm(n: u128, posterior: Posterior, worse: bool) -> Arm {
    let places = vec![place(n * 100, 0, 100.0, 1.0, false)];
    Arm { agent: Uuid::from_u128(n).into(), model: None, posterior, worse, same: false, places }
}

fn places() -> impl Strategy<Value = Vec<Place>> {
    let one = (0_u32..9, 100.0..9_000.0, 0.0..=1.0, any::<bool>());
    proptest::collection::vec(one, 1..9).prop_map(|all| {
        let numbered = all.into_iter().zip(0_u128..);
        numbered.map(|((load, latency, success, slow), n)| place(n, load, latency, success, slow)).collect()
    })
}

fn arms() -> impl Strategy<Value = Vec<Arm>> {
    let one = (0.0..60.0, 0.0..60.0, any::<bool>(), any::<bool>(), places());
    proptest::collection::vec(one, 1..9).prop_map(|all| {
        let arm = |((good, bad, worse, same, places), n)| Arm { places, same, ..arm(n, believed(good, bad), worse) };
        all.into_iter().zip(1_u128..).map(arm).collect()
    })
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Careful), Just(Mode::Sampled)]
}

/// How often each candidate is chosen, of so many seeds.
fn shares(arms: &[Arm], mode: Mode, seeds: u64) -> Vec<f64> {
    let mut counts = vec![0.0; arms.len()];
    for seed in 0..seeds {
        let (chosen, ..) = choose(arms, mode, None, seed).unwrap();
        counts[chosen] += 1.0 / seeds as f64;
    }
    counts
}

fn listed(decision: &Decision, arm: &Arm) -> f64 {
    decision.candidates.iter().find(|candidate| candidate.agent == arm.agent).unwrap().propensity
}

proptest! {
    #[test]
    fn the_recorded_seed_makes_the_same_decision_again(arms in arms(), mode in mode(), seed in 0..=SEED_MAX) {
        let once = choose(&arms, mode, None, seed).unwrap();
        prop_assert_eq!(&once, &choose(&arms, mode, None, once.2.seed).unwrap());
    }

    #[test]
    fn propensities_sum_to_one_and_what_was_chosen_was_possible(arms in arms(), mode in mode(), seed in 0..=SEED_MAX) {
        let (chosen, instance, decision) = choose(&arms, mode, None, seed).unwrap();
        let agents: f64 = decision.candidates.iter().map(|candidate| candidate.propensity).sum();
        let places: f64 = decision.instances.iter().map(|offered| offered.propensity).sum();
        prop_assert!((agents - 1.0).abs() < 1e-4 && (places - 1.0).abs() < 1e-4, "{agents} {places}");
        prop_assert!(arms[chosen].places.iter().any(|place| place.instance == instance));
        let offered = decision.instances.iter().find(|offered| offered.instance == instance).unwrap();
        prop_assert!(offered.propensity > 0.0);
        prop_assert!((decision.propensity - listed(&decision, &arms[chosen]) * offered.propensity).abs() < 1e-5);
    }

    #[test]
    fn a_decision_survives_its_encoding(arms in arms(), mode in mode(), seed in 0..=SEED_MAX) {
        let (.., decision) = choose(&arms, mode, None, seed).unwrap();
        let text = serde_json::to_string(&decision).unwrap();
        prop_assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
    }

    #[test]
    fn of_two_instances_the_one_that_costs_less_gets_the_work(load in 0_u32..9, latency in 100.0..9_000.0, success in 0.0..=1.0, seed in 0..=SEED_MAX) {
        let places = vec![place(1, load + 1, latency, success, false), place(2, load, latency, success, false)];
        let arms = [Arm { places, ..arm(1, believed(0.0, 0.0), false) }];
        prop_assert_eq!(choose(&arms, Mode::Pinned, None, seed).unwrap().1, Uuid::from_u128(2).into());
    }

    #[test]
    fn the_dearest_of_several_instances_is_never_chosen(places in places(), seed in 0..=SEED_MAX) {
        let mut places = places;
        places.iter_mut().for_each(|place| place.vitals.degraded = false);
        places.push(place(99, 60, 99_999.0, 0.0, false));
        let arms = [Arm { places, ..arm(1, believed(0.0, 0.0), false) }];
        prop_assert_ne!(choose(&arms, Mode::Pinned, None, seed).unwrap().1, Uuid::from_u128(99).into());
    }

    #[test]
    fn careful_work_goes_to_nobody_who_got_worse_while_there_is_another(arms in arms(), seed in 0..=SEED_MAX) {
        let (chosen, ..) = choose(&arms, Mode::Careful, None, seed).unwrap();
        prop_assert!(!arms[chosen].worse || arms.iter().all(|arm| arm.worse));
    }
}

#[test]
fn the_computed_propensity_is_how_often_it_comes_out() {
    let plain = [(8.0, 2.0), (5.0, 5.0), (0.0, 0.0), (30.0, 9.0)];
    let mut arms: Vec<Arm> =
        plain.into_iter().zip(1..).map(|((good, bad), n)| arm(n, believed(good, bad), false)).collect();
    for change in 0..3 {
        match change {
            1 => arms[1].same = true,
            2 => arms[3].worse = true,
            _ => {}
        }
        let (.., decision) = choose(&arms, Mode::Sampled, None, 1).unwrap();
        for (arm, share) in arms.iter().zip(shares(&arms, Mode::Sampled, 20_000)) {
            assert!((listed(&decision, arm) - share).abs() < 0.015, "{share}: {:?}", decision.candidates);
        }
    }
}

#[test]
fn the_computed_propensity_of_an_instance_is_how_often_it_comes_out() {
    let places: Vec<Place> = (0..5).map(|n| place(n, n as u32 % 3, 100.0, 1.0, n == 0)).collect();
    let arms = [Arm { places: places.clone(), ..arm(1, believed(1.0, 1.0), false) }];
    let (.., decision) = choose(&arms, Mode::Sampled, None, 1).unwrap();
    for place in places {
        let chosen = |seed| choose(&arms, Mode::Sampled, None, seed).unwrap().1 == place.instance;
        let share = (0..20_000).filter(|seed| chosen(*seed)).count() as f64 / 20_000.0;
        let offered = decision.instances.iter().find(|offered| offered.instance == place.instance).unwrap();
        assert!((offered.propensity - share).abs() < 0.015, "{share}: {offered:?}");
    }
}

#[test]
fn what_got_worse_keeps_a_tenth_of_the_work_at_most() {
    let arms = [arm(1, believed(90.0, 1.0), true), arm(2, believed(5.0, 5.0), false)];
    let share = shares(&arms, Mode::Sampled, 5_000)[0];
    assert!((0.07..0.12).contains(&share), "{share}");
}

#[test]
fn careful_work_prefers_what_is_sure_to_what_might_be_better() {
    let arms = [arm(1, believed(2.0, 0.0), false), arm(2, believed(70.0, 30.0), false)];
    let (chosen, _, decision) = choose(&arms, Mode::Careful, None, 3).unwrap();
    assert_eq!((chosen, decision.propensity), (1, 1.0));
}

#[test]
fn what_a_person_chose_has_the_propensity_one() {
    let places = (0..4).map(|n| place(n, 0, 100.0, 1.0, false)).collect();
    let arms = [Arm { places, ..arm(1, believed(0.0, 9.0), false) }];
    assert_eq!(choose(&arms, Mode::Pinned, None, 3).unwrap().2.propensity, 1.0);
}

#[test]
fn work_stays_where_it_is_known_and_leaves_where_it_failed() {
    let chosen = |before| {
        let mut places = vec![place(1, 0, 100.0, 1.0, false), place(2, 0, 100.0, 1.0, false)];
        places[1].before = Some(before);
        choose(&[Arm { places, ..arm(1, believed(0.0, 0.0), false) }], Mode::Pinned, None, 5).unwrap().1
    };
    assert_eq!(chosen(Before::Knows), Uuid::from_u128(2).into());
    assert_eq!(chosen(Before::Failed), Uuid::from_u128(1).into());
}

#[test]
fn where_nothing_is_possible_nothing_is_chosen() {
    assert_eq!(choose(&[], Mode::Sampled, None, 1), None);
}
