//! `link agent delegate`: hands a task to an agent and watches until it ends, or until a person is needed.

use clap::ArgMatches;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Ending,
    client::Client,
    error::Error,
    narrator::Narrator,
    output::{self, Format, note, plain},
    paint::Paint,
    socket::{Heard, Socket, Subscription},
};

/// Delegates and follows. As JSON it is quiet until the end, and then prints the delegation as it stands.
pub(super) async fn run(client: &Client, given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let text = |name: &str| given.get_one::<String>(name).cloned();
    let task_id = text("task").unwrap_or_default();
    let task = client.call("tasks.get", json!({"task_id": task_id})).await?.body;
    let workspace = plain(&task["workspace_id"]);
    let mut input = json!({"task_id": task_id});
    if let Some(agent) = text("agent") {
        input["agent_id"] = json!(agent_id(client, &workspace, &agent).await?);
    }
    if let Some(instructions) = text("instructions") {
        input["instructions"] = json!(instructions);
    }
    let reply = client.call("delegation.create", input).await?;
    let delegation = plain(&reply.body["id"]);
    let mut narrator = Narrator::new(Paint::detect());
    narrator.introduce(client, &workspace).await;
    narrator.know(format!("task:{}", plain(&task["id"])), &plain(&task["identifier"]));
    // The commit that made the delegation is shown too.
    let after = reply.offset.map(|offset| offset.saturating_sub(1));
    let topics = vec![format!("task:{}", plain(&task["id"]))];
    let mut socket = Socket::new(client.clone(), Subscription { workspace, topics, after });
    if format == Format::Table {
        output::write(&format!("delegation {delegation}\n"))?;
    }
    loop {
        let heard = tokio::select! {
            heard = socket.heard() => heard?,
            _ = tokio::signal::ctrl_c() => {
                note(&format!("the work goes on; see it with `link delegation get {delegation}`"));
                return Ok(Ending::Failed);
            }
        };
        let event = match heard {
            Heard::Event(event) => event,
            Heard::Signal(signal) if format == Format::Table => {
                narrator.signal(&signal)?;
                continue;
            }
            Heard::Broken(cause) if format == Format::Table => {
                note(&format!("connection lost ({cause}); connecting again"));
                continue;
            }
            Heard::Broken(_) | Heard::Signal(_) | Heard::CaughtUp => continue,
        };
        if format == Format::Table {
            narrator.event(&event)?;
        }
        if event["data"]["delegation"] == json!(delegation)
            && let Some(ending) = ending(&event, &delegation, format)
        {
            if format == Format::Json {
                let delegation = client.call("delegation.get", json!({"delegation_id": delegation})).await?.body;
                output::answer(&delegation, format)?;
            }
            return Ok(ending);
        }
    }
}

/// Tells whether the event ends the watch, and says what a person can do.
fn ending(event: &Value, delegation: &str, format: Format) -> Option<Ending> {
    let next = match event["type"].as_str().unwrap_or_default() {
        "delegation:completed" => return Some(Ending::Done),
        "delegation:failed" | "delegation:cancelled" => return Some(Ending::Failed),
        "delegation:awaiting" => format!("link delegation answer {delegation} --answer …"),
        "delegation:reviewing" => format!("link delegation submit-review {delegation} --verdict approve"),
        "delegation:escalated" => format!("link delegation retry {delegation}"),
        "delegation:paused" => format!("link delegation resume {delegation}"),
        _ => return None,
    };
    match format {
        Format::Json => note(&json!({"code": "needs_human", "next_actions": [next]}).to_string()),
        Format::Table => note(&format!("needs a human: `{next}`")),
    }
    Some(Ending::NeedsHuman)
}

async fn agent_id(client: &Client, workspace: &str, wanted: &str) -> Result<String, Error> {
    if Uuid::parse_str(wanted).is_ok() {
        return Ok(wanted.to_owned());
    }
    let agents = client.call("agents.list", json!({"workspace_id": workspace, "limit": 200})).await?.body;
    let named = |agent: &&Value| agent["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
    let found = agents["items"].as_array().into_iter().flatten().find(named);
    found.map(|agent| plain(&agent["id"])).ok_or_else(|| Error::Usage(format!("no agent is called `{wanted}`")))
}
