//! `/penguin …`: a message that makes a task and hands it to the workspace's Penguin. Every step has a key made of the
//! message, so a request that comes again goes on where the first one got to.

use serde_json::json;
use uuid::Uuid;

use crate::{
    actors::request::{Key, Meta, Receipt},
    domain::{
        agent::{AgentStatus, Availability, RuntimeKind},
        conversation::{ConversationCommand, Order, Part, order},
        ids::{DelegationId, MessageId, ProjectId, Subject, TaskId},
        model::Command,
        permission::Permission as P,
        principal::{Principal, Service},
        task::{NewDelegation, NewTask, Parked, TaskCommand},
        text::{Prose, Title, Words},
    },
    persistence::{
        queries::{self, Listed, Scope, Sight},
        views::{AgentView, ConversationView, MessageView, TaskView},
    },
};

use super::super::{
    call::Call,
    delegation,
    problem::{self, Problem},
};

/// Agents that are looked through for a Penguin.
const AGENTS_MAX: i64 = 1_000;

/// What a message orders, and for which project.
pub(super) struct Wanted {
    order: Order,
    project: ProjectId,
}

/// Finds out whether a message is an order, before it is posted: what cannot be carried out is refused.
pub(super) async fn wanted(
    call: &Call,
    conversation: &ConversationView,
    parts: &[Part],
) -> Result<Option<Wanted>, Problem> {
    let Some(order) = order(parts) else { return Ok(None) };
    if order.title.is_empty() {
        return Err(Problem::field("parts", "say what is to be done, as in /penguin Write the landing checklist"));
    }
    if !call.may(P::Work)? || !call.may(P::Delegate)? {
        return Err(Problem::new(problem::FORBIDDEN, "a task needs the permissions work and delegate"));
    }
    let project = match (conversation.project_id, conversation.task_id) {
        (Some(project), _) => Some(project),
        (None, Some(task)) => task_of(call, task).await?.map(|task| task.project_id),
        (None, None) => None,
    };
    let project =
        project.ok_or_else(|| Problem::field("parts", "this conversation is about no project to make a task in"))?;
    // What a grant gives in the conversation, it does not give in the project.
    for needed in [P::Work, P::Delegate] {
        call.must_reach(Scope::Project, project.0, needed, "project").await?;
    }
    Ok(Some(Wanted { order, project }))
}

async fn task_of(call: &Call, id: TaskId) -> Result<Option<TaskView>, Problem> {
    Ok(queries::get(&call.tenant()?, Listed::Tasks, id.0).await?)
}

/// Makes the task, hands it out, and says in the conversation what became of it.
pub(super) async fn carry_out(call: &Call, wanted: Wanted, message: &MessageView) -> Result<(), Problem> {
    let key = |step: &str| format!("penguin:{}:{step}", message.id);
    let (me, id): (_, TaskId) = (call.principal()?, call.clock().id());
    let create = TaskCommand::Create(new_task(wanted, message));
    let command = Command::Task(Box::new(create));
    let made = follow(call, me, Subject::Task(id), command, key("task"), None).await?;
    let task = task_of(call, TaskId(made.subject.id())).await?.ok_or_else(|| Problem::not_found("task"))?;
    let (delegation, what) = delegate(call, &task, key("delegation")).await?;
    let text = format!("{} · {}: {what}", task.identifier, task.title);
    let data = json!({"task_id": task.id, "identifier": task.identifier, "delegation_id": delegation});
    let parts = vec![Part::Text { text: Words::fitted(&text) }, Part::Data { data }];
    let (note, parent): (MessageId, _) = (call.clock().id(), Some(message.id));
    let command = Command::Conversation(ConversationCommand::Note { message: note, parts, parent });
    let (link, subject) = (Principal::Service(Service::Conductor), Subject::Conversation(message.conversation_id));
    follow(call, link, subject, command, key("note"), None).await.map(|_| ())
}

fn new_task(wanted: Wanted, message: &MessageView) -> NewTask {
    let Wanted { order, project } = wanted;
    let (conversation, seq) = (message.conversation_id, message.seq);
    let link = format!("/api/v1/conversations/{conversation}/messages?after={}&limit=1", seq.saturating_sub(1));
    let description = format!("{}\n\nAsked for in [message {seq}]({link}) of a conversation.", order.description);
    NewTask {
        project,
        title: Title::fitted(&order.title),
        description: Prose::fitted(description.trim()),
        parked: Parked::No,
        priority: Default::default(),
        assignee: None,
        parent: None,
        depends_on: Default::default(),
        claims: Default::default(),
        skills: Default::default(),
    }
}

/// Has something decided and committed that follows from the message, once per key.
async fn follow(
    call: &Call,
    by: Principal,
    subject: Subject,
    command: Command,
    key: String,
    made: Option<Uuid>,
) -> Result<Receipt, Problem> {
    let on_behalf_of = Some(call.principal()?).filter(|me| *me != by);
    let meta = Meta { by, on_behalf_of, key: Some(Key::internal(key)), ..call.meta(made)? };
    let workspace = call.workspace()?;
    let receipt = call.services.directory.workspace(workspace).await?.execute(subject, command, meta).await?;
    call.note(workspace, &receipt);
    Ok(receipt)
}

/// Hands the task to the only Penguin that takes work, or says why to none.
async fn delegate(call: &Call, task: &TaskView, key: String) -> Result<(Option<Uuid>, String), Problem> {
    let agents: Vec<AgentView> =
        queries::list(&call.tenant()?, Listed::Agents, &Sight::all(), None, AGENTS_MAX).await?;
    let able = |agent: &&AgentView| {
        agent.runtime == RuntimeKind::Penguin
            && agent.availability == Availability::Active
            && agent.status != AgentStatus::Offline
    };
    let able: Vec<&AgentView> = agents.iter().filter(able).collect();
    let [agent] = able[..] else {
        let why = match able.len() {
            0 => "no Penguin takes work here. Register one, or wake it, then delegate the task.",
            _ => "more than one Penguin could do it. Delegate the task to one of them.",
        };
        return Ok((None, why.into()));
    };
    let (id, review): (DelegationId, _) = (call.clock().id(), delegation::usual_review(call).await?);
    let (instructions, terms) = Default::default();
    let new = NewDelegation { id, agent: Some(agent.id), team: None, instructions, review, terms };
    let command = Command::Task(Box::new(TaskCommand::Delegate(new)));
    Ok(match follow(call, call.principal()?, Subject::Task(task.id), command, key, Some(id.0)).await {
        Ok(receipt) => (receipt.made.or(Some(id.0)), format!("delegated to {}.", agent.name)),
        Err(problem) if problem.status < 500 => {
            (None, format!("not delegated to {}: {}. Delegate it again later.", agent.name, problem.detail))
        }
        Err(problem) => return Err(problem),
    })
}
