//! What is promised about runs of the fake Penguin, in the words of tests.

use link::{
    agents::{Activity, Bookmark, Endpoint, Failure, Outcome, Report},
    domain::failure::FailureClass,
};

use super::{
    driving::{Watched, driver, endpoint, fact_ids, work},
    fake_penguin::FakePenguin,
};

/// A prompt that writes one file.
pub const FILE: &str = r#"[[tool:write_file {"path":"a.txt","content":"hello"}]]"#;
/// The model that Link resolved, for durable work.
pub const MODEL: Option<&str> = Some("stub/stub-1");
/// Link's key.
pub const LINK: (&str, &str) = ("link_key", "link-secret");
/// An ordinary client's key.
pub const ORDINARY: (&str, &str) = ("api_key", "ordinary-secret");

/// The end of a run whose agent merely stopped talking.
pub fn submitted(text: &str) -> Result<Outcome, Failure> {
    Ok(Outcome::Submitted { text: text.into(), explicit: false })
}

/// The class of a run that failed.
pub fn class(end: Result<Outcome, Failure>) -> FailureClass {
    end.expect_err("the run fails").class
}

/// The files of a run with their contents.
pub fn files(reports: &[Report]) -> Vec<(String, Option<String>)> {
    let made = reports.iter().filter_map(|report| match &report.activity {
        Activity::Artifact(made) => Some((made.name.clone(), made.content.clone())),
        _ => None,
    });
    made.collect()
}

/// Checks that no fact was reported twice.
pub fn assert_each_fact_once(reports: &[Report]) {
    let ids = fact_ids(reports);
    let mut unique = ids.clone();
    unique.dedup();
    assert_eq!(ids, unique, "a fact was reported twice");
}

/// Runs a prompt to its end on a fake of its own.
pub async fn run(prompt: &str) -> (Result<Outcome, Failure>, Vec<Report>) {
    let fake = FakePenguin::start().await;
    let at = endpoint(&fake.url(), &[], None);
    Watched::start(&driver(), &at, &work(prompt), Bookmark::default()).end().await
}

/// The two ways to submit: everything that is promised about crashes holds for both.
pub fn both_ways(fake: &FakePenguin) -> [Endpoint; 2] {
    [endpoint(&fake.url(), &[], None), endpoint(&fake.url(), &[LINK], MODEL)]
}
