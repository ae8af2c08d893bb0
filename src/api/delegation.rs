//! `delegation`: handing tasks to agents, answering them, reviewing what they hand in.

use std::collections::BTreeSet;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    domain::{
        ids::{AgentId, AttemptId, DelegationId, InterruptId, Subject, TaskId, TeamId},
        model::Command,
        permission::Permission as P,
        principal::Principal,
        routing::Held,
        task::{
            APPROVERS_MAX, DelegationStatus, EXPIRY_SECS_MAX, Expiry, NewDelegation, Review, Reviewers, Route,
            SKILLS_MAX, TaskCommand, Terms, Verdict,
        },
        text::{Label, Prose, Text},
    },
    persistence::{
        queries::{self, Listed, Scope},
        views::{ArtifactView, DelegationView},
    },
};

use super::{
    call::Call,
    checkpoints,
    inputs::{Few, Person},
    problem::Problem,
    table::{Method, Operation},
    together::not_both,
    workspaces::{Limit, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Delegation, "delegation_id");
const OF_TASK: (Scope, &str) = (Scope::Task, "task_id");
const ARTIFACTS_MAX: i64 = 1_000;

pub(super) fn operations() -> Vec<Operation> {
    let verb = |name, path, run: fn(Call, Named) -> _, doc| {
        Operation::mutation(name, Method::Post, path, run).needs(P::Delegate, SCOPE).doc(doc)
    };
    vec![
        Operation::mutation("delegation.create", Method::Post, "/tasks/{task_id}/delegations", create)
            .needs(P::Delegate, OF_TASK)
            .creates()
            .doc("Hands a task to an agent, to a team, or to whichever has a free slot first."),
        Operation::query("delegation.list", "/tasks/{task_id}/delegations", list)
            .needs(P::Read, OF_TASK)
            .doc("Lists a task's delegations."),
        Operation::query("delegation.get", "/delegations/{delegation_id}", get)
            .needs(P::Read, SCOPE)
            .doc("Shows a delegation with its attempts, questions and reviews."),
        Operation::mutation("delegation.cancel", Method::Post, "/delegations/{delegation_id}/cancel", cancel)
            .needs(P::Delegate, SCOPE)
            .doc("Stops a delegation; a running agent is told and has ten seconds."),
        verb(
            "delegation.pause",
            "/delegations/{delegation_id}/pause",
            |c, i| change(c, i.delegation_id, TaskCommand::Pause),
            "Stops a delegation for now; what was produced stays.",
        ),
        verb(
            "delegation.resume",
            "/delegations/{delegation_id}/resume",
            |c, i| change(c, i.delegation_id, TaskCommand::Resume),
            "Queues a paused or escalated delegation again.",
        ),
        verb(
            "delegation.retry",
            "/delegations/{delegation_id}/retry",
            |c, i| change(c, i.delegation_id, TaskCommand::Resume),
            "Tries an escalated delegation again, with its tries given back.",
        ),
        Operation::mutation("delegation.reassign", Method::Post, "/delegations/{delegation_id}/reassign", reassign)
            .needs(P::Delegate, SCOPE)
            .doc("Gives an open delegation to another agent; the one before is fenced off first."),
        Operation::mutation("delegation.answer", Method::Post, "/delegations/{delegation_id}/answer", answer)
            .needs(P::Delegate, SCOPE)
            .doc("Answers an agent's question, once."),
        Operation::mutation("delegation.submit_review", Method::Post, "/delegations/{delegation_id}/review", review)
            .needs(P::Review, SCOPE)
            .doc("Approves what was handed in, asks for changes, or rejects it."),
        Operation::mutation(
            "delegation.set_approvers",
            Method::Post,
            "/delegations/{delegation_id}/approvers",
            set_approvers,
        )
        .needs(P::Delegate, SCOPE)
        .doc("Names other approvers; how many of them have to approve stays as it was agreed."),
        Operation::query("delegation.explain_route", "/delegations/{delegation_id}/route", explain_route)
            .needs(P::Read, SCOPE)
            .doc("Says why each attempt went where it went, and of a queued delegation what it waits for."),
        Operation::query("delegation.artifacts", "/delegations/{delegation_id}/artifacts", artifacts)
            .needs(P::Read, SCOPE)
            .doc("Lists what all attempts of a delegation produced."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = |schema: &mut Schema| not_both(schema, ["agent_id", "team_id"]))]
struct Create {
    task_id: TaskId,
    /// The agent; absent lets Link choose one with a free slot.
    agent_id: Option<AgentId>,
    /// The team that Link chooses from; absent, that to which the task is assigned, if it is one.
    team_id: Option<TeamId>,
    /// What to do beyond the task's own words.
    #[serde(default)]
    instructions: Prose,
    /// Who has to approve; by default one other member, or the caller where there is no other.
    review: Option<ReviewWanted>,
    /// What becomes of the agent's questions that nobody answers; absent: they wait for ever.
    expiry: Option<Expiry>,
    /// What whoever does it has to be good at: only agents and instances that have all of it are candidates.
    #[serde(default)]
    skills: Few<Label, SKILLS_MAX>,
}

/// Who has to approve.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReviewWanted {
    /// How many approvals; 0 means that the work counts as done when it is handed in.
    #[schemars(range(max = 10))]
    approvals: u8,
    /// Whose approvals count.
    by: Reviewers,
    /// Who may review, so many of whom have to approve; absent or empty: whoever may review the task.
    #[serde(default)]
    approvers: Few<Person, APPROVERS_MAX>,
}

impl ReviewWanted {
    pub(super) fn read(self) -> Result<Review, Problem> {
        let Self { approvals, by, approvers } = self;
        if approvals > 10 {
            return Err(Problem::field("review.approvals", "at most 10 approvals"));
        }
        let approvers = approvers.0.into_iter().map(|person| person.0).collect();
        Ok(Review { approvals, by, approvers })
    }
}

async fn create(call: Call, input: Create) -> Result<DelegationView, Problem> {
    let review = match input.review {
        Some(review) => review.read()?,
        None => usual_review(&call).await?,
    };
    if input.expiry.as_ref().is_some_and(|expiry| !(1..=EXPIRY_SECS_MAX).contains(&expiry.after_secs)) {
        return Err(Problem::field("expiry.after_secs", format!("must be 1 to {EXPIRY_SECS_MAX}")));
    }
    let terms = Terms { expiry: input.expiry, skills: input.skills.0 };
    if input.agent_id.is_some() && input.team_id.is_some() {
        return Err(Problem::field("team_id", "either `agent_id` or `team_id`, not both"));
    }
    let id: DelegationId = call.clock().id();
    let (agent, team, instructions) = (input.agent_id, input.team_id, input.instructions);
    let new = NewDelegation { id, agent, team, instructions, review, terms };
    let command = Command::Task(Box::new(TaskCommand::Delegate(new)));
    let made = call.execute_making(Subject::Task(input.task_id), command, id.0).await?;
    read(&call, made.into()).await
}

/// One other member approves, or the caller where there is no other.
pub(super) async fn usual_review(call: &Call) -> Result<Review, Problem> {
    let others = queries::other_reviewers(&call.tenant()?, call.principal()?).await?;
    Ok(Review::by(1, if others > 0 { Reviewers::Others } else { Reviewers::Anyone }))
}

pub(super) async fn read(call: &Call, id: DelegationId) -> Result<DelegationView, Problem> {
    let found = queries::get(&call.tenant()?, Listed::Delegations, id.0).await?;
    let mut found: DelegationView = found.ok_or_else(|| Problem::not_found("delegation"))?;
    found.waits = held(call, &found)?.map(|held| held.reason);
    Ok(found)
}

/// Returns why a queued delegation is not handed out, where this node knows.
fn held(call: &Call, of: &DelegationView) -> Result<Option<Held>, Problem> {
    if of.status != DelegationStatus::Queued {
        return Ok(None);
    }
    Ok(call.services.directory.active(call.workspace()?).and_then(|workspace| workspace.held(of.id)))
}

async fn change(
    call: Call,
    id: DelegationId,
    command: fn(DelegationId) -> TaskCommand,
) -> Result<DelegationView, Problem> {
    decide(&call, id, command(id)).await
}

/// A delegation is part of its task, and the task decides.
pub(super) async fn decide(call: &Call, id: DelegationId, command: TaskCommand) -> Result<DelegationView, Problem> {
    let task = read(call, id).await?.task_id;
    call.execute(Subject::Task(task), Command::Task(Box::new(command))).await?;
    read(call, id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    task_id: TaskId,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list(call: Call, input: List) -> Result<Page<DelegationView>, Problem> {
    let rows = input.limit.rows()?;
    let mut items = queries::delegations(&call.tenant()?, input.task_id, input.cursor, rows + 1).await?;
    for item in &mut items {
        item.waits = held(&call, item)?.map(|held| held.reason);
    }
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub delegation_id: DelegationId,
}

async fn get(call: Call, input: Named) -> Result<DelegationView, Problem> {
    read(&call, input.delegation_id).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Cancel {
    delegation_id: DelegationId,
    /// Why.
    #[serde(default)]
    reason: Text<0, 500>,
}

async fn cancel(call: Call, input: Cancel) -> Result<DelegationView, Problem> {
    let reason = if input.reason.is_empty() { "cancelled by a person".to_owned() } else { input.reason.to_string() };
    decide(&call, input.delegation_id, TaskCommand::Cancel { delegation: input.delegation_id, reason }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reassign {
    delegation_id: DelegationId,
    agent_id: AgentId,
}

async fn reassign(call: Call, input: Reassign) -> Result<DelegationView, Problem> {
    let command = TaskCommand::Reassign { delegation: input.delegation_id, agent: input.agent_id };
    decide(&call, input.delegation_id, command).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Answer {
    delegation_id: DelegationId,
    /// The question; may be left out when only one is open.
    interrupt_id: Option<InterruptId>,
    /// The answer: words, or for approvals `{"approve": true|false, "message"?}`.
    answer: Value,
}

async fn answer(call: Call, input: Answer) -> Result<DelegationView, Problem> {
    let interrupt = match input.interrupt_id {
        Some(id) => id,
        None => {
            let open = read(&call, input.delegation_id).await?.interrupts;
            let mut open = open.iter().filter(|question| question.status == "open");
            match (open.next(), open.next()) {
                (Some(only), None) => only.id,
                // The task says so, unless it remembers that this very request answered the question.
                (None, _) => InterruptId(Uuid::nil()),
                _ => return Err(Problem::field("interrupt_id", "several questions are open: say which")),
            }
        }
    };
    if input.answer["approve"] == true {
        let seen = read(&call, input.delegation_id).await?;
        checkpoints::before_allowing(&call, &seen, interrupt).await?;
    }
    let command = TaskCommand::Answer { delegation: input.delegation_id, interrupt, answer: input.answer };
    decide(&call, input.delegation_id, command).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SubmitReview {
    delegation_id: DelegationId,
    verdict: Verdict,
    /// Why; the agent reads it when changes are requested.
    #[serde(default)]
    comment: Prose,
}

async fn review(call: Call, input: SubmitReview) -> Result<DelegationView, Problem> {
    let SubmitReview { delegation_id: delegation, verdict, comment } = input;
    decide(&call, delegation, TaskCommand::Review { delegation, verdict, comment }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetApprovers {
    delegation_id: DelegationId,
    /// Who may review from now on.
    #[schemars(length(min = 1))]
    approvers: Few<Person, APPROVERS_MAX>,
}

async fn set_approvers(call: Call, input: SetApprovers) -> Result<DelegationView, Problem> {
    let SetApprovers { delegation_id: delegation, approvers } = input;
    let approvers: BTreeSet<Principal> = approvers.0.into_iter().map(|person| person.0).collect();
    if approvers.is_empty() {
        return Err(Problem::field("approvers", "is empty: at least one is needed"));
    }
    decide(&call, delegation, TaskCommand::SetApprovers { delegation, approvers }).await
}

/// Why an attempt went where it went.
#[derive(Serialize, JsonSchema)]
struct Explained {
    attempt_id: AttemptId,
    agent_id: AgentId,
    route: Route,
}

/// Why the attempts of a delegation went where they went.
#[derive(Serialize, JsonSchema)]
struct Routes {
    /// Every attempt so far, oldest first.
    items: Vec<Explained>,
    /// Why it is not handed out while it is queued, candidate by candidate, where this node runs its workspace.
    waits: Option<Held>,
}

async fn explain_route(call: Call, input: Named) -> Result<Routes, Problem> {
    let delegation = read(&call, input.delegation_id).await?;
    let mut waits = held(&call, &delegation)?;
    if let Some(holder) = waits.as_ref().and_then(|waits| waits.holder) {
        let seen = call.must_reach(Scope::Task, holder.0, P::Read, "task").await.is_ok();
        waits = waits.map(|waits| Held { holder: Some(holder).filter(|_| seen), ..waits });
    }
    let explained = delegation.attempts.into_iter().map(|attempt| Explained {
        attempt_id: attempt.id,
        agent_id: attempt.agent_id,
        route: attempt.route,
    });
    Ok(Routes { items: explained.collect(), waits })
}

/// What a delegation produced.
#[derive(Serialize, JsonSchema)]
struct Artifacts {
    items: Vec<ArtifactView>,
}

async fn artifacts(call: Call, input: Named) -> Result<Artifacts, Problem> {
    Ok(Artifacts { items: queries::artifacts(&call.tenant()?, input.delegation_id, ARTIFACTS_MAX).await? })
}
