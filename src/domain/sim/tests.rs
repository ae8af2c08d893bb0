//! The promises hold in some worlds, a seed always tells the same, and mistakes that are made on purpose are found.

use super::*;

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
