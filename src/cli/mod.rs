//! The command line: a thin client of the operations, and the commands that run a node. It knows no rule of the
//! domain; what it can say is generated from the operation table.

mod arguments;
mod client;
mod completions;
mod context;
mod delegate;
mod demo;
mod describe;
mod doctor;
mod error;
mod events;
mod fields;
mod generated;
mod keys;
mod narrator;
mod operations;
mod output;
mod paint;
mod serve;
mod session;
mod sim;
mod socket;
mod typescript;

use std::{ffi::OsString, process::ExitCode, sync::Arc};

use clap::ArgMatches;

use crate::api::{self, Table};
use client::Client;
use context::Wanted;
use error::Error;
use output::Format;

/// How a command ended, as its exit code says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// 0: what was wanted is done.
    Done,
    /// 1: it is not.
    Failed,
    /// 3: it goes on when a person has decided.
    NeedsHuman,
}

/// Reads the arguments of this process and does what they say.
pub async fn run() -> ExitCode {
    let table = Arc::new(api::table());
    let words: Vec<OsString> = std::env::args_os().collect();
    let matches = match arguments::command(&table).try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(said) => return unparsed(&said, Format::asked_in(&words)),
    };
    let format = Format::of(&matches);
    match dispatch(&table, &matches, format).await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::from(1),
        Ok(Ending::NeedsHuman) => ExitCode::from(3),
        Err(error) => {
            error.print(format);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Says what is wrong with a command line, or the help that it asks for.
fn unparsed(said: &clap::Error, format: Format) -> ExitCode {
    if said.use_stderr() && format == Format::Json {
        let words = said.to_string();
        Error::Usage(words.trim_start_matches("error: ").trim_end().to_owned()).print(format);
    } else {
        // Whoever asked may have stopped reading.
        let _ = said.print();
    }
    ExitCode::from(if said.use_stderr() { 2 } else { 0 })
}

async fn dispatch(table: &Arc<Table>, matches: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let client = || Client::of(table.clone(), &Wanted::of(matches)?);
    let newcomer = || Client::newcomer(table.clone(), &Wanted::of(matches)?);
    match matches.subcommand() {
        None => serve::serve(matches).await,
        Some(("serve", given)) => serve::serve(given).await,
        Some(("demo", given)) => demo::run(table.clone(), given).await,
        Some(("config", given)) => serve::config(given, format),
        Some(("migrate", given)) => serve::migrate(given, format).await,
        Some(("rebuild-projections", given)) => serve::rebuild(given, format).await,
        Some(("doctor", given)) => doctor::run(given, format).await,
        Some(("verify", given)) => serve::verify(given, format).await,
        Some(("keys", given)) => keys::run(given, format),
        Some(("openapi", given)) => describe::run(table, given),
        Some(("sim", given)) => sim::run(given, format),
        Some(("login", given)) => session::login(&newcomer()?, given, format).await,
        Some(("register", given)) => session::register(&newcomer()?, given, format).await,
        Some(("logout", _)) => session::logout(&client()?, format).await,
        Some(("context", given)) => {
            let (verb, given) = given.subcommand().unwrap_or(("list", given));
            context::commands::run(verb, given, format, |wanted| Client::of(table.clone(), wanted)).await
        }
        Some(("completions", given)) => completions::run(table, given),
        Some(("typescript", given)) => typescript::run(table, given),
        Some(("events", given)) => events::run(&client()?, given, format).await,
        Some(("api", given)) => operations::raw(&client()?, given).await,
        Some((router, given)) => match given.subcommand() {
            Some(("delegate", given)) if router == "agent" => delegate::run(&client()?, given, format).await,
            Some((verb, given)) => operations::run(&client()?, router, verb, given, format).await,
            None => Err(Error::Usage(format!("say what to do with the {router}: see `link {router} --help`"))),
        },
    }
}
