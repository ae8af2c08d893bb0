//! `link keys`: looks after the signing keys of a node, with or without the node.

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::json;

use crate::node::keys::{self, KeyFile};

use super::{
    Ending,
    error::Error,
    output::{self, Format},
    serve::settings,
};

pub(super) fn run(given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let Some((verb, given)) = given.subcommand() else {
        return Err(Error::Usage("say what to do with the keys".into()));
    };
    let config = settings(given)?;
    if verb == "list" {
        let (keys, _) = keys::read(&config)?;
        let kids = keys.kids().into_iter().enumerate();
        let items: Vec<_> =
            kids.map(|(nth, kid)| json!({"kid": kid, "use": if nth == 0 { "signs" } else { "verifies" }})).collect();
        output::answer(&json!({"items": items}), format)?;
        return Ok(Ending::Done);
    }
    let file = KeyFile::of(&config).context("LINK_JWT_KEY is set: put the new key before the others there")?;
    // A node that runs on the file takes the change up within seconds.
    let changed = if verb == "rotate" {
        json!({"kid": file.rotate()?, "use": "signs"})
    } else {
        let kid = given.get_one::<String>("kid").map(String::as_str).unwrap_or_default();
        file.retire(kid)?;
        json!({"kid": kid, "use": "retired"})
    };
    output::answer(&changed, format)?;
    Ok(Ending::Done)
}
