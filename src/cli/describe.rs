//! Prints what the API is: its description, the page of its errors, and what changed since an older description.

use std::path::Path;

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::Value;

use super::{Ending, error::Error, output};
use crate::api::{Table, openapi, problem};

/// Prints the OpenAPI description, or what `--errors` or `--changes-since` asks for instead.
pub(super) fn run(table: &Table, given: &ArgMatches) -> Result<Ending, Error> {
    if given.get_flag("errors") {
        output::write(&problem::page())?;
        return Ok(Ending::Done);
    }
    let document = openapi::document(table);
    let Some(file) = given.get_one::<String>("changes-since") else {
        let text = serde_json::to_string_pretty(&document).context("writing the description")?;
        output::write(&format!("{text}\n"))?;
        return Ok(Ending::Done);
    };
    let older = read(Path::new(file))?;
    let changes = openapi::changes(&older, &document);
    for change in &changes {
        let kind = if change.breaking { "breaking" } else { "added" };
        output::write(&format!("{kind}: {} {}\n", change.place, change.what))?;
    }
    let allowed = openapi::version_was_raised(&older, &document) || changes.iter().all(|change| !change.breaking);
    Ok(if allowed { Ending::Done } else { Ending::Failed })
}

fn read(file: &Path) -> Result<Value, Error> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    Ok(serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?)
}
