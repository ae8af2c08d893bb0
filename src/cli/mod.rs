//! The command line: a thin client of the operations, and the commands that run a node. It knows no rule of the
//! domain; what it can say is generated from the operation table.

mod arguments;
mod client;
mod context;
mod delegate;
mod demo;
mod error;
mod events;
mod fields;
mod narrator;
mod operations;
mod output;
mod paint;
mod serve;
mod session;
mod socket;

use std::{process::ExitCode, sync::Arc};

use clap::ArgMatches;

use crate::api::{self, Table};
use client::Client;
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
    let matches = arguments::command(&table).get_matches();
    match dispatch(&table, &matches).await {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::from(1),
        Ok(Ending::NeedsHuman) => ExitCode::from(3),
        Err(error) => {
            error.print();
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(table: &Arc<Table>, matches: &ArgMatches) -> Result<Ending, Error> {
    let format = Format::of(matches);
    let client = || Client::of(table.clone(), matches);
    match matches.subcommand() {
        None => serve::serve(matches).await,
        Some(("serve", given)) => serve::serve(given).await,
        Some(("demo", given)) => demo::run(table.clone(), given).await,
        Some(("config", given)) => serve::config(given, format),
        Some(("migrate", given)) => serve::migrate(given).await,
        Some(("rebuild-projections", given)) => serve::rebuild(given).await,
        Some(("verify", given)) => serve::verify(given).await,
        Some(("login", given)) => session::login(&client()?, given).await,
        Some(("register", given)) => session::register(&client()?, given).await,
        Some(("logout", _)) => session::logout(&client()?).await,
        Some(("events", given)) => events::run(&client()?, given, format).await,
        Some(("api", given)) => operations::raw(&client()?, given).await,
        Some((router, given)) => match given.subcommand() {
            Some(("delegate", given)) if router == "agent" => delegate::run(&client()?, given, format).await,
            Some((verb, given)) => operations::run(&client()?, router, verb, given, format).await,
            None => Err(Error::Usage(format!("say what to do with the {router}: see `link {router} --help`"))),
        },
    }
}
