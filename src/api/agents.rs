//! `agents`: members that are programs, and the servers that run them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    domain::{
        agent::{AgentCommand, Availability, INSTANCES_MAX, NewInstance, RuntimeKind, SLOTS_MAX},
        ids::{AgentId, InstanceId, Subject, WorkspaceId},
        model::Command,
        permission::Permission as P,
        routing::{Vitals, breaker::Phase},
        text::{Label, Text, Title},
        workspace::Checkup,
    },
    persistence::{
        queries::{self, Listed, Scope, Sight},
        secrets::Credentials,
        views::{AgentView, HealthView},
    },
};

use super::{
    call::Call,
    inputs::{Address, Few, Secrets},
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Agent, "agent_id");
const IN_WORKSPACE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    let verb = |name, path, run: fn(Call, Named) -> _, doc| {
        Operation::mutation(name, Method::Post, path, run).needs(P::ManageAgents, SCOPE).doc(doc)
    };
    vec![
        Operation::mutation("agents.register", Method::Post, "/workspaces/{workspace_id}/agents", register)
            .needs(P::ManageAgents, IN_WORKSPACE)
            .creates()
            .doc("Lets an agent join, with the servers that run it."),
        Operation::query("agents.list", "/workspaces/{workspace_id}/agents", list)
            .needs(P::Read, IN_WORKSPACE)
            .doc("Lists the agents of a workspace."),
        Operation::query("agents.get", "/agents/{agent_id}", get).needs(P::Read, SCOPE).doc("Shows an agent."),
        Operation::mutation("agents.update", Method::Patch, "/agents/{agent_id}", update)
            .needs(P::ManageAgents, SCOPE)
            .doc("Changes an agent's name, skills or bound."),
        verb(
            "agents.pause",
            "/agents/{agent_id}/pause",
            |c, i| want(c, i, Availability::Paused),
            "Gives the agent no new work for now.",
        ),
        verb(
            "agents.resume",
            "/agents/{agent_id}/resume",
            |c, i| want(c, i, Availability::Active),
            "Gives the agent work again.",
        ),
        verb(
            "agents.drain",
            "/agents/{agent_id}/drain",
            |c, i| want(c, i, Availability::Draining),
            "Lets the agent finish what it has and gives it no more.",
        ),
        verb(
            "agents.retire",
            "/agents/{agent_id}/retire",
            |c, i| want(c, i, Availability::Retired),
            "Ends the agent's work for good; its history stays.",
        ),
        Operation::mutation("agents.add_instance", Method::Post, "/agents/{agent_id}/instances", add_instance)
            .needs(P::ManageAgents, SCOPE)
            .creates()
            .doc("Adds a server that runs the agent."),
        Operation::mutation(
            "agents.remove_instance",
            Method::Delete,
            "/agents/{agent_id}/instances/{instance_id}",
            remove_instance,
        )
        .needs(P::ManageAgents, SCOPE)
        .doc("No longer uses a server; what runs there is fenced off when it ends."),
    ]
}

/// A server that runs an agent.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Instance {
    /// Where it is: `http://…` or `https://…`; `script:…` for scripted agents.
    url: Address,
    /// Secrets by name, as in `api_key` and `link_key`. Kept sealed and never shown.
    #[serde(default)]
    credentials: Secrets,
    /// The model to ask for.
    model: Option<Text<1, 200>>,
    /// Attempts at the same time.
    #[serde(default = "slots")]
    #[schemars(range(min = 1, max = 64))]
    slots: u32,
    /// Model turns of one attempt.
    #[serde(default = "turns")]
    #[schemars(range(min = 1, max = 10000))]
    turns_max: u32,
}

/// One Penguin is one event loop on one core: four sessions at once are what it serves well.
fn slots() -> u32 {
    4
}
fn turns() -> u32 {
    100
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    workspace_id: WorkspaceId,
    name: Title,
    runtime: RuntimeKind,
    #[serde(default)]
    #[schemars(length(max = 64))]
    instances: Vec<Instance>,
    #[serde(default)]
    skills: Few<Label, 64>,
    /// Attempts at the same time, over all instances.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1, max = 256))]
    max_concurrency: u32,
}

fn concurrency() -> u32 {
    SLOTS_MAX
}

async fn register(call: Call, input: Register) -> Result<AgentView, Problem> {
    if input.instances.len() > INSTANCES_MAX {
        return Err(Problem::field("instances", format!("at most {INSTANCES_MAX} instances")));
    }
    let mut instances = vec![];
    for (nth, instance) in input.instances.into_iter().enumerate() {
        instances.push(sealed(&call, input.runtime, instance, &format!("instances[{nth}]")).await?);
    }
    let id: AgentId = call.clock().id();
    let command = AgentCommand::Register {
        name: input.name,
        runtime: input.runtime,
        skills: input.skills.0,
        max_concurrency: input.max_concurrency,
        instances,
    };
    let receipt = call.execute_in(input.workspace_id, Subject::Agent(id), Command::Agent(command)).await?;
    read(&call, AgentId(receipt.subject.id())).await
}

/// Keeps the secrets aside; the log only learns where the server is.
async fn sealed(call: &Call, runtime: RuntimeKind, instance: Instance, path: &str) -> Result<NewInstance, Problem> {
    let fits = match runtime {
        RuntimeKind::Penguin => !instance.url.is_script(),
        RuntimeKind::Scripted => instance.url.is_script(),
        RuntimeKind::Peer => {
            let detail = "a peer's servers connect by themselves";
            let next =
                &["Register the agent without instances", "Make a key for the agent, and give it to its servers"];
            return Err(Problem::new(problem::BUSY, detail).then(next));
        }
    };
    if !fits {
        let message = "is for another runtime: `script:…` is for scripted agents, and only for them";
        return Err(Problem::field(format!("{path}.url"), message));
    }
    let id: InstanceId = call.clock().id();
    let secrets: Credentials =
        instance.credentials.0.iter().map(|(name, secret)| (name.to_string(), secret.to_string())).collect();
    if !secrets.is_empty() {
        let context = call.services.context();
        let kept = context.vault.keep(&context.pool, call.workspace()?, id, &secrets).await;
        kept.map_err(|error| {
            tracing::error!(%error, "credentials not kept");
            Problem::new(problem::UNAVAILABLE, "the credentials could not be kept")
        })?;
    }
    Ok(NewInstance {
        id,
        url: instance.url.as_str().trim_end_matches('/').to_owned(),
        model: instance.model.map(|model| model.to_string()),
        slots: instance.slots,
        turns_max: instance.turns_max,
    })
}

async fn read(call: &Call, id: AgentId) -> Result<AgentView, Problem> {
    let found = queries::get(&call.tenant()?, Listed::Agents, id.0).await?;
    let mut found: AgentView = found.ok_or_else(|| Problem::not_found("agent"))?;
    examine(call, &mut found)?;
    Ok(found)
}

/// Adds how the agent's instances do now, where this node knows.
fn examine(call: &Call, agent: &mut AgentView) -> Result<(), Problem> {
    let Some(workspace) = call.services.directory.active(call.workspace()?) else { return Ok(()) };
    for instance in &mut agent.instances {
        let Checkup { phase, vitals, in_flight } = workspace.checkup(instance.id);
        let (breaker, open_until) = match phase {
            Phase::Closed => ("closed", None),
            Phase::Open(until) => ("open", Some(until)),
            Phase::HalfOpen(_) => ("half_open", None),
        };
        let breaker = breaker.to_owned();
        let Vitals { latency_ms, success, .. } = vitals;
        instance.health = Some(HealthView { breaker, open_until, latency_ms, success, in_flight });
    }
    Ok(())
}

async fn change(call: &Call, id: AgentId, command: AgentCommand) -> Result<AgentView, Problem> {
    call.execute(Subject::Agent(id), Command::Agent(command)).await?;
    read(call, id).await
}

async fn list(call: Call, input: ListIn) -> Result<Page<AgentView>, Problem> {
    let rows = input.limit.rows()?;
    let mut items: Vec<AgentView> =
        queries::list(&call.tenant()?, Listed::Agents, &Sight::all(), input.cursor, rows + 1).await?;
    items.iter_mut().try_for_each(|item| examine(&call, item))?;
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    agent_id: AgentId,
}

async fn get(call: Call, input: Named) -> Result<AgentView, Problem> {
    read(&call, input.agent_id).await
}

async fn want(call: Call, input: Named, wanted: Availability) -> Result<AgentView, Problem> {
    change(&call, input.agent_id, AgentCommand::Want(wanted)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    agent_id: AgentId,
    name: Option<Title>,
    skills: Option<Few<Label, 64>>,
    #[schemars(range(min = 1, max = 256))]
    max_concurrency: Option<u32>,
}

async fn update(call: Call, input: Update) -> Result<AgentView, Problem> {
    let Update { agent_id, name, skills, max_concurrency } = input;
    change(&call, agent_id, AgentCommand::Update { name, skills: skills.map(|skills| skills.0), max_concurrency }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddInstance {
    agent_id: AgentId,
    /// Where it is: `http://…` or `https://…`; `script:…` for scripted agents.
    url: Address,
    /// Secrets by name. Kept sealed and never shown.
    #[serde(default)]
    credentials: Secrets,
    /// The model to ask for.
    model: Option<Text<1, 200>>,
    #[serde(default = "slots")]
    #[schemars(range(min = 1, max = 64))]
    slots: u32,
    #[serde(default = "turns")]
    #[schemars(range(min = 1, max = 10000))]
    turns_max: u32,
}

async fn add_instance(call: Call, input: AddInstance) -> Result<AgentView, Problem> {
    let agent = read(&call, input.agent_id).await?;
    let AddInstance { agent_id, url, credentials, model, slots, turns_max } = input;
    let instance = Instance { url, credentials, model, slots, turns_max };
    let new = sealed(&call, agent.runtime, instance, "instance").await?;
    change(&call, agent_id, AgentCommand::AddInstance(new)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemoveInstance {
    agent_id: AgentId,
    instance_id: InstanceId,
}

async fn remove_instance(call: Call, input: RemoveInstance) -> Result<AgentView, Problem> {
    change(&call, input.agent_id, AgentCommand::RemoveInstance(input.instance_id)).await
}
