//! `link events`: the log of a workspace, one line per event.

use clap::ArgMatches;

use super::{
    Ending,
    client::Client,
    error::Error,
    narrator::Narrator,
    operations,
    output::{self, Format, note},
    paint::Paint,
    socket::{Heard, Socket, Subscription},
};

/// Prints events until there are no more, or until it is stopped.
pub(super) async fn run(client: &Client, given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let workspace = match given.get_one::<String>("workspace") {
        Some(workspace) => workspace.clone(),
        None => operations::workspace(client).await?,
    };
    let follow = given.get_flag("follow");
    let after = given.get_one::<u64>("after").copied().or(if follow { None } else { Some(0) });
    let topics = given.get_many::<String>("topic").into_iter().flatten().cloned().collect();
    let mut narrator = Narrator::new(Paint::detect());
    narrator.introduce(client, &workspace).await;
    let mut socket = Socket::new(client.clone(), Subscription { workspace, topics, after });
    loop {
        let heard = tokio::select! {
            heard = socket.heard() => heard?,
            _ = tokio::signal::ctrl_c() => break,
        };
        match heard {
            Heard::Event(event) if format == Format::Json => output::write(&format!("{event}\n"))?,
            Heard::Event(event) => narrator.event(&event)?,
            Heard::CaughtUp if !follow => return Ok(Ending::Done),
            Heard::CaughtUp | Heard::Signal(_) => {}
            Heard::Broken(cause) => note(&format!("connection lost ({cause}); connecting again")),
        }
    }
    if let Some(cursor) = socket.cursor() {
        note(&format!("to go on from here: --after {cursor}"));
    }
    Ok(Ending::Done)
}
