//! Says an operation on the command line: flags become the input, the answer becomes a table or JSON.

use std::io::Read;

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::{Map, Value, json};

use super::{
    Ending,
    client::Client,
    error::Error,
    fields,
    generated::{self, ID, KEY},
    output::{self, Format},
};
use crate::api::Operation;

/// Calls the operation that a generated command stands for.
pub(super) async fn run(
    client: &Client,
    router: &str,
    verb: &str,
    given: &ArgMatches,
    format: Format,
) -> Result<Ending, Error> {
    let said = |operation: &&Operation| generated::router(operation) == router && generated::verb(operation) == verb;
    let operation = client.table().operations().iter().find(said);
    let operation = operation.ok_or_else(|| Error::Usage(format!("`link {router} {verb}` does not exist")))?;
    let input = input(client, operation, given).await?;
    let key = given.try_get_one::<String>(KEY).ok().flatten().cloned();
    let reply = client.call_with_key(operation.name, Value::Object(input), key).await?;
    output::answer(&reply.body, format)?;
    Ok(Ending::Done)
}

async fn input(client: &Client, operation: &Operation, given: &ArgMatches) -> Result<Map<String, Value>, Error> {
    let fields = fields::of(operation);
    let mut input = Map::new();
    for field in &fields {
        let Some(values) = given.get_many::<String>(&field.id()) else { continue };
        let values: Vec<String> = values.cloned().collect();
        let value = field.value(&values).map_err(|why| Error::Usage(format!("--{}: {why}", field.flag())))?;
        input.insert(field.name.clone(), value);
    }
    if let Some(last) = operation.path_fields().last()
        && let Some(id) = given.get_one::<String>(ID)
        && input.insert(last.to_owned(), json!(id)).is_some()
    {
        return Err(Error::Usage(format!("`{last}` is given twice")));
    }
    if fields.iter().any(|field| field.name == "workspace_id" && field.required) && !input.contains_key("workspace_id")
    {
        input.insert("workspace_id".into(), json!(workspace(client).await?));
    }
    let missing = fields.iter().filter(|field| field.required && !input.contains_key(&field.name));
    let missing: Vec<String> = missing.map(|field| format!("--{}", field.flag())).collect();
    if !missing.is_empty() {
        return Err(Error::Usage(format!("{} is needed", missing.join(", "))));
    }
    Ok(input)
}

/// Returns the workspace that is meant where none is named: the context's, or the only one of the caller.
pub(super) async fn workspace(client: &Client) -> Result<String, Error> {
    if let Some(workspace) = client.workspace() {
        return Ok(workspace.to_owned());
    }
    let mine = client.call("workspaces.list", json!({})).await?.body;
    let mine = mine["items"].as_array().cloned().unwrap_or_default();
    match &mine[..] {
        [only] => Ok(only["id"].as_str().unwrap_or_default().to_owned()),
        [] => Err(Error::Usage("you are in no workspace yet: `link workspace create --name NAME`".into())),
        several => {
            let named = several.iter().map(|workspace| {
                format!("\n  {}  {}", output::plain(&workspace["id"]), output::plain(&workspace["name"]))
            });
            Err(Error::Usage(format!(
                "say which with --workspace, or for good with `link context set --workspace ID`:{}",
                named.collect::<String>()
            )))
        }
    }
}

/// Calls any operation with an input in JSON.
pub(super) async fn raw(client: &Client, given: &ArgMatches) -> Result<Ending, Error> {
    let text = |name: &str| given.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let input = match text("input") {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
            text
        }
        input => match input.strip_prefix('@') {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("reading {file}"))?,
            None => input.to_owned(),
        },
    };
    let input = serde_json::from_str(&input).map_err(|error| Error::Usage(format!("the input is no JSON: {error}")))?;
    let reply = client.call_with_key(text("operation"), input, given.get_one::<String>(KEY).cloned()).await?;
    output::answer(&reply.body, Format::Json)?;
    Ok(Ending::Done)
}
