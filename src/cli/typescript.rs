//! `link typescript`: the types of the TypeScript client, made from the operation table of this very binary.

use anyhow::Context as _;
use clap::ArgMatches;

use crate::api::{Table, typescript};

use super::{Ending, error::Error, output};

/// Prints the types, or writes them to a file.
pub(super) fn run(table: &Table, given: &ArgMatches) -> Result<Ending, Error> {
    let text = typescript::document(table);
    match given.get_one::<String>("write") {
        Some(file) => std::fs::write(file, text).with_context(|| format!("writing {file}"))?,
        None => output::write(&text)?,
    }
    Ok(Ending::Done)
}
