//! `penguin`: the Penguin servers of a workspace, whether they live, and what became of what they were given.

use futures::future::try_join_all;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::{
    actors::{Found, WorkspaceHandle},
    domain::{
        agent::RuntimeKind,
        ids::{AttemptId, DelegationId, InstanceId, TaskId, WorkspaceId},
        permission::Permission as P,
        workspace::{Runner, Running},
    },
    persistence::{
        penguins::{self, AttemptRow, Attempts, PenguinView},
        queries::{self, Listed, Scope},
        views::DelegationView,
    },
};

use super::{
    call::Call,
    problem::Problem,
    table::{Method, Operation},
    together::exactly_one,
    workspaces::{ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Instance, "instance_id");
const IN_WORKSPACE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::query("penguin.instances", "/workspaces/{workspace_id}/penguin/instances", instances)
            .needs(P::Read, IN_WORKSPACE)
            .doc("Lists the Penguin servers of a workspace with their health, boot and slots in use."),
        Operation::mutation("penguin.probe", Method::Post, "/penguin/instances/{instance_id}/probe", probe)
            .needs(P::ManageAgents, SCOPE)
            .doc("Asks a Penguin server now whether it lives, and writes the answer down."),
        Operation::mutation(
            "penguin.reconcile",
            Method::Post,
            "/workspaces/{workspace_id}/penguin/reconcile",
            reconcile,
        )
        .needs(P::ManageAgents, IN_WORKSPACE)
        .doc(
            "Asks the Penguin what became of an attempt, of a delegation's newest attempt or of everything that runs \
             on an instance, and brings Link's state in line.",
        ),
    ]
}

async fn instances(call: Call, input: ListIn) -> Result<Page<PenguinView>, Problem> {
    let rows = input.limit.rows()?;
    let mut items = penguins::instances(&call.tenant()?, input.cursor, rows + 1).await?;
    if let Some(workspace) = call.services.directory.active(input.workspace_id) {
        items.iter_mut().for_each(|item| item.asked_at = workspace.asked_at(item.id));
    }
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Probe {
    instance_id: InstanceId,
}

/// What a Penguin server answered.
#[derive(Serialize, JsonSchema)]
struct Probed {
    instance_id: InstanceId,
    /// Whether it answered.
    healthy: bool,
    /// Changes when the server restarts.
    boot: Option<String>,
    /// The server's version, where it tells.
    version: Option<String>,
    /// Sessions that are busy there, where it tells.
    busy: Option<u32>,
    /// Why it is not healthy.
    cause: Option<String>,
}

async fn probe(call: Call, input: Probe) -> Result<Probed, Problem> {
    let workspace = call.workspace()?;
    let runner = runner(&call, input.instance_id).await?.ok_or_else(no_penguin)?;
    let handle = call.services.directory.workspace(workspace).await?;
    let by = call.principal()?;
    let health = handle.probe(input.instance_id, &runner, by).await?;
    let (healthy, cause) = (health.is_ok(), health.as_ref().err().map(|failure| failure.message.clone()));
    let health = health.ok();
    let (boot, version, busy) = health.map_or((None, None, None), |health| (health.boot, health.version, health.busy));
    Ok(Probed { instance_id: input.instance_id, healthy, boot, version, busy, cause })
}

fn no_penguin() -> Problem {
    Problem::not_found("Penguin server")
}

async fn runner(call: &Call, id: InstanceId) -> Result<Option<Runner>, Problem> {
    let found = penguins::instance(&call.tenant()?, id).await?;
    Ok(found.map(|found| Runner {
        agent: found.agent_id,
        runtime: RuntimeKind::Penguin,
        url: found.url,
        model: found.model,
        slots: found.slots,
        turns_max: found.turns_max,
        healthy: found.healthy,
        skills: Default::default(),
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = |schema: &mut Schema| exactly_one(schema, &["attempt_id", "delegation_id", "instance_id"]))]
struct Reconcile {
    workspace_id: WorkspaceId,
    /// One attempt; or `delegation_id` or `instance_id`.
    attempt_id: Option<AttemptId>,
    /// The newest attempt of a delegation.
    delegation_id: Option<DelegationId>,
    /// Everything that runs on an instance.
    instance_id: Option<InstanceId>,
}

/// One attempt, as it was found and as it is now.
#[derive(Serialize, JsonSchema)]
struct Attempt {
    attempt_id: AttemptId,
    delegation_id: DelegationId,
    task_id: TaskId,
    instance_id: InstanceId,
    /// What the Penguin says.
    found: Found,
    /// In words.
    detail: String,
    /// The attempt's status before the question.
    before: String,
    /// The attempt's status now.
    status: String,
}

/// What became of attempts.
#[derive(Serialize, JsonSchema)]
struct Reconciliation {
    items: Vec<Attempt>,
}

async fn reconcile(call: Call, input: Reconcile) -> Result<Reconciliation, Problem> {
    let workspace = input.workspace_id;
    let which = match (input.attempt_id, input.delegation_id, input.instance_id) {
        (Some(id), None, None) => Attempts::One(id),
        (None, Some(id), None) => Attempts::Of(id),
        (None, None, Some(id)) => Attempts::On(id),
        _ => {
            return Err(Problem::field(
                "attempt_id",
                "exactly one of attempt_id, delegation_id and instance_id is needed",
            ));
        }
    };
    let found = penguins::attempts(&call.tenant()?, which).await?;
    for row in &found {
        call.must_reach(Scope::Task, row.task_id.0, P::Read, "attempt").await?;
    }
    if found.is_empty() {
        must_exist(&call, workspace, which).await?;
    }
    let handle = call.services.directory.workspace(workspace).await?;
    let items = try_join_all(found.into_iter().map(|row| settle(&call, &handle, row))).await?;
    Ok(Reconciliation { items })
}

/// Nothing found is fine for a delegation without an attempt and an instance without work.
async fn must_exist(call: &Call, workspace: WorkspaceId, which: Attempts) -> Result<(), Problem> {
    match which {
        Attempts::One(_) => Err(Problem::not_found("attempt")),
        Attempts::Of(id) => {
            call.must_reach(Scope::Delegation, id.0, P::Read, "delegation").await?;
            let known: Option<DelegationView> = queries::get(&call.tenant()?, Listed::Delegations, id.0).await?;
            known
                .filter(|known| known.workspace_id == workspace)
                .map(drop)
                .ok_or_else(|| Problem::not_found("delegation"))
        }
        Attempts::On(id) => {
            let known = penguins::instance(&call.tenant()?, id).await?;
            known.map(drop).ok_or_else(|| Problem::not_found("instance"))
        }
    }
}

async fn settle(call: &Call, handle: &WorkspaceHandle, row: AttemptRow) -> Result<Attempt, Problem> {
    let running = Running {
        attempt: row.id,
        task: row.task_id,
        delegation: row.delegation_id,
        agent: row.agent_id,
        instance: row.instance_id,
        fence: row.fence,
    };
    let (found, detail) = match runner(call, row.instance_id).await? {
        Some(runner) => {
            let reconciled = handle.reconcile(&running, &runner).await?;
            (reconciled.found, reconciled.detail)
        }
        None => (Found::Unreachable, "the instance was removed".into()),
    };
    let now = penguins::attempts(&call.tenant()?, Attempts::One(row.id)).await?.pop();
    let status = now.map_or_else(|| row.status.clone(), |now| now.status);
    Ok(Attempt {
        attempt_id: row.id,
        delegation_id: row.delegation_id,
        task_id: row.task_id,
        instance_id: row.instance_id,
        found,
        detail,
        before: row.status,
        status,
    })
}
