//! `link completions`: what a shell needs to complete the commands, generated from the same table as they are.

use clap::ArgMatches;
use clap_complete::{Shell, generate};

use crate::api::Table;

use super::{Ending, arguments, error::Error, output};

/// Prints the script of a shell.
pub(super) fn run(table: &Table, given: &ArgMatches) -> Result<Ending, Error> {
    let shell = given.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    let mut script = vec![];
    generate(shell, &mut arguments::command(table), "link", &mut script);
    output::write(&String::from_utf8_lossy(&script))?;
    Ok(Ending::Done)
}
