//! `link doctor`: whether the database keeps Link's promises, promise by promise.

use serde_json::{Value, json};

use crate::{
    domain::{
        doctor::{Finding, INVARIANTS, Shown},
        ids::WorkspaceId,
    },
    persistence::doctor,
};

use super::{
    Ending,
    error::Error,
    output::{self, Format},
    serve::{with_database, workspaces},
};
use anyhow::Context as _;
use clap::ArgMatches;

/// Examines every workspace, or one; fails when a promise is broken.
pub(super) async fn run(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let only = given.get_one::<String>("workspace").map(|id| id.parse::<WorkspaceId>()).transpose();
    let only = only.map_err(|error| Error::Usage(format!("--workspace: {error}")))?;
    with_database(given, async |pool| {
        let (mut found, mut examined): (Vec<(WorkspaceId, Finding)>, usize) = (vec![], 0);
        for workspace in workspaces(pool).await? {
            if only.is_some_and(|only| only != workspace) {
                continue;
            }
            examined += 1;
            let findings = doctor::examine(pool, workspace).await.context("reading the log")?;
            found.extend(findings.into_iter().map(|finding| (workspace, finding)));
        }
        let items: Vec<Value> = INVARIANTS.iter().flat_map(|promise| rows(*promise, &found, examined)).collect();
        output::answer(&json!({"items": items}), format)?;
        Ok(if found.is_empty() { Ending::Done } else { Ending::Failed })
    })
    .await
}

/// One row for a promise that is kept, one for each way in which it is not.
fn rows((name, promise, shown): (&str, &str, Shown), found: &[(WorkspaceId, Finding)], examined: usize) -> Vec<Value> {
    let broken: Vec<Value> = found
        .iter()
        .filter(|(_, finding)| finding.invariant == name)
        .map(|(workspace, finding)| {
            let place = if finding.offset > 0 { format!("offset {}", finding.offset) } else { "the end".into() };
            let detail = format!("{workspace}, {place}: {}", finding.detail);
            json!({"invariant": name, "promise": promise, "result": "VIOLATED", "detail": detail})
        })
        .collect();
    if !broken.is_empty() {
        return broken;
    }
    let (result, detail) = match shown {
        Shown::Log | Shown::Database => ("holds", format!("in {examined} workspace(s)")),
        Shown::Elsewhere(what) => ("not stored", format!("nothing that is stored shows it; {what} does")),
    };
    vec![json!({"invariant": name, "promise": promise, "result": result, "detail": detail})]
}
