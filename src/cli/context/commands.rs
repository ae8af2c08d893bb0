//! `link context`: shows and changes what is remembered. No token is ever printed.

use clap::ArgMatches;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Context, Contexts, Store, Wanted};
use crate::cli::{
    Ending,
    client::Client,
    error::Error,
    output::{self, Format},
};

/// Does what a subcommand says; `client` makes the client of a context, for what only its server knows.
pub(in crate::cli) async fn run(
    verb: &str,
    given: &ArgMatches,
    format: Format,
    client: impl FnOnce(&Wanted) -> Result<Client, Error>,
) -> Result<Ending, Error> {
    let named = given.try_get_one::<String>("name").ok().flatten().cloned();
    let (store, wanted) = (Store::open()?, Wanted::named(given, named.clone())?);
    match verb {
        "list" => list(&store.load()?, format),
        "show" => show(&store.load()?, &wanted, format),
        "use" => {
            let name = change(&store, |contexts| {
                let name = known(contexts, named)?;
                contexts.current = Some(name.clone());
                Ok(name)
            })
            .await?;
            show(&store.load()?, &by_name(name), format)
        }
        "remove" => {
            change(&store, |contexts| {
                let name = known(contexts, named)?;
                contexts.contexts.remove(&name);
                contexts.current = contexts.current.take().filter(|current| *current != name);
                Ok(name)
            })
            .await?;
            list(&store.load()?, format)
        }
        _ => {
            let workspace = match given.get_one::<String>("workspace") {
                Some(id) if Uuid::parse_str(id).is_ok() => Some(id.clone()),
                Some(name) => Some(workspace_called(&client(&wanted)?, name).await?),
                None => None,
            };
            let name = change(&store, |contexts| set(contexts, &wanted, given, workspace)).await?;
            show(&store.load()?, &by_name(name), format)
        }
    }
}

async fn change(store: &Store, change: impl FnOnce(&mut Contexts) -> Result<String, Error>) -> Result<String, Error> {
    let locked = store.lock().await?;
    let mut contexts = locked.load()?;
    let name = change(&mut contexts)?;
    locked.save(&contexts)?;
    Ok(name)
}

fn by_name(name: String) -> Wanted {
    Wanted { context: Some(name), ..Wanted::default() }
}

fn known(contexts: &Contexts, named: Option<String>) -> Result<String, Error> {
    Ok(contexts.find(&by_name(named.unwrap_or_default()))?.0)
}

fn set(
    contexts: &mut Contexts,
    wanted: &Wanted,
    given: &ArgMatches,
    workspace: Option<String>,
) -> Result<String, Error> {
    let is_new = wanted.context.as_ref().is_some_and(|name| !contexts.contexts.contains_key(name));
    if is_new && wanted.server.is_none() && wanted.fallback.is_none() {
        return Err(Error::Usage("a new context needs --server URL".into()));
    }
    let (name, mut context) = contexts.find_or_make(wanted);
    if workspace.is_some() || given.get_flag("no-workspace") {
        context.workspace = workspace;
    }
    contexts.contexts.insert(name.clone(), context);
    contexts.current.get_or_insert_with(|| name.clone());
    Ok(name)
}

async fn workspace_called(client: &Client, name: &str) -> Result<String, Error> {
    let mine = client.call("workspaces.list", json!({})).await?.body;
    let named = |workspace: &&Value| workspace["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name));
    let found: Vec<&Value> = mine["items"].as_array().into_iter().flatten().filter(named).collect();
    match found[..] {
        [only] => Ok(output::plain(&only["id"])),
        [] => Err(Error::Usage(format!("you are in no workspace that is called `{name}`"))),
        _ => Err(Error::Usage(format!("several workspaces are called `{name}`: give an id"))),
    }
}

fn list(contexts: &Contexts, format: Format) -> Result<Ending, Error> {
    let items: Vec<Value> =
        contexts.contexts.iter().map(|(name, context)| shown(contexts, name, context, format)).collect();
    output::answer(&json!({"items": items}), format)?;
    Ok(Ending::Done)
}

fn show(contexts: &Contexts, wanted: &Wanted, format: Format) -> Result<Ending, Error> {
    let (name, context) = contexts.find(wanted)?;
    output::answer(&shown(contexts, &name, &context, format), format)?;
    Ok(Ending::Done)
}

fn shown(contexts: &Contexts, name: &str, context: &Context, format: Format) -> Value {
    let is_current = contexts.current.as_deref() == Some(name);
    let current = match format {
        Format::Json => json!(is_current),
        Format::Table => json!(if is_current { "*" } else { "" }),
    };
    let who = context.login.as_ref().map(|login| &login.who);
    json!({
        "current": current, "name": name, "server": context.server, "who": who, "workspace": context.workspace,
    })
}
