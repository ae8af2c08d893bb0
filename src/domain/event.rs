//! Everything that can have happened. An event is a past-tense fact: once committed it is never edited; a change
//! of shape is a new variant and an upcast in [`Event::decode`].
//!
//! On the wire and in the log an event is `{type: "noun:verb", data: {…}}`.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    agent::{AgentStatus, RuntimeKind},
    conversation::{ConversationKind, Part},
    failure::FailureClass,
    ids::*,
    principal::Principal,
    run::{InterruptKind, Usage},
    task::{Priority, QueueReason, Review, Route, TaskStatus, Verdict},
    text::{Label, Prose, Title},
    workspace::{Gate, Role},
};

/// One committed event with everything that is known about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Its number in the workspace's log: 1, 2, 3 …
    pub offset: u64,
    /// Its id.
    pub id: EventId,
    /// What it is about; the entity of this subject folds it.
    pub subject: Subject,
    /// What else it concerns; a topic filter matches these too.
    pub refs: Vec<Subject>,
    /// Who did it.
    pub actor: Principal,
    /// For whom, where that differs.
    pub on_behalf_of: Option<Principal>,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// The event that led to it.
    pub cause: Option<u64>,
    /// The trace of the request that led to it.
    pub trace: String,
    /// Who may see it; `None` means every member.
    pub audience: Option<Vec<Principal>>,
    /// What happened.
    pub event: Event,
}

macro_rules! families {
    ($($family:ident: [$($noun:literal),+]),+ $(,)?) => {
        /// What happened, by the entity that it happened to.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event { $(
            #[doc = concat!("See [`", stringify!($family), "Event`].")]
            $family(paste_event!($family)),
        )+ }

        impl Event {
            /// Returns `{type, data}`.
            pub fn encode(&self) -> (String, Value) {
                let value = match self { $(Self::$family(event) => serde_json::to_value(event),)+ };
                let Ok(Value::Object(mut map)) = value else { unreachable!("events are adjacently tagged objects") };
                let Some(Value::String(kind)) = map.remove("type") else { unreachable!("the tag is a string") };
                (kind, map.remove("data").unwrap_or(Value::Object(Default::default())))
            }

            /// Reads an event of any age.
            pub fn decode(kind: &str, data: Value) -> Result<Self, serde_json::Error> {
                let noun = kind.split(':').next().unwrap_or_default();
                let tagged = serde_json::json!({"type": kind, "data": data});
                match noun {
                    $($($noun)|+ => serde_json::from_value(tagged).map(Self::$family),)+
                    _ => Err(serde::de::Error::custom(format!("no event is called `{kind}`"))),
                }
            }
        }
    };
}
macro_rules! paste_event {
    (Workspace) => {
        WorkspaceEvent
    };
    (Project) => {
        ProjectEvent
    };
    (Task) => {
        TaskEvent
    };
    (Conversation) => {
        ConversationEvent
    };
    (Agent) => {
        AgentEvent
    };
    (Session) => {
        SessionEvent
    };
}
families! {
    Workspace: ["workspace", "member", "team"],
    Project: ["project"],
    Task: ["task", "delegation", "attempt", "interrupt", "artifact"],
    Conversation: ["conversation"],
    Agent: ["agent", "instance"],
    Session: ["session"],
}

/// What happens to a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum WorkspaceEvent {
    /// The workspace was made; its maker is the first owner.
    #[serde(rename = "workspace:created")]
    Created {
        /// Its name.
        name: Title,
        /// Its maker.
        owner: UserId,
    },
    /// The name changed.
    #[serde(rename = "workspace:renamed")]
    Renamed {
        /// The new name.
        name: Title,
    },
    /// A person joined.
    #[serde(rename = "member:added")]
    MemberAdded {
        /// Who.
        user: UserId,
        /// As what.
        role: Role,
    },
    /// A member's role changed.
    #[serde(rename = "member:updated")]
    MemberUpdated {
        /// Who.
        user: UserId,
        /// As what from now on.
        role: Role,
    },
    /// A member left or was removed.
    #[serde(rename = "member:removed")]
    MemberRemoved {
        /// Who.
        user: UserId,
    },
    /// People and agents form a team that work can be assigned to.
    #[serde(rename = "team:formed")]
    TeamFormed {
        /// Which.
        team: TeamId,
        /// Its name.
        name: Title,
        /// Who is in it.
        members: BTreeSet<Principal>,
    },
}

/// What happens to a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ProjectEvent {
    /// The project was made.
    #[serde(rename = "project:created")]
    Created {
        /// Its name.
        name: Title,
        /// The `KEY` of `KEY-12`.
        key: String,
        /// What it is for.
        description: Prose,
    },
    /// Name or description changed.
    #[serde(rename = "project:update")]
    Updated {
        /// The new name, if it changed.
        name: Option<Title>,
        /// The new description, if it changed.
        description: Option<Prose>,
    },
    /// The project is closed for new tasks; nothing is lost.
    #[serde(rename = "project:archived")]
    Archived {},
}

/// What happens to a task, its delegations and its attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum TaskEvent {
    /// The task was made.
    #[serde(rename = "task:created")]
    Created {
        /// Where it belongs.
        project: ProjectId,
        /// The `12` of `KEY-12`.
        number: u64,
        /// `KEY-12`.
        identifier: String,
        /// What is to be done, in a line.
        title: Title,
        /// What is to be done.
        description: Prose,
        /// backlog, ready or blocked.
        status: TaskStatus,
        /// How urgent.
        priority: Priority,
        /// Who answers for it.
        assignee: Option<Principal>,
        /// The task that it is a part of; structure only, never a gate.
        parent: Option<TaskId>,
        /// What it waits for.
        depends_on: BTreeSet<TaskId>,
    },
    /// Fields changed; `None` means unchanged.
    #[serde(rename = "task:updated")]
    Updated {
        /// The new title.
        title: Option<Title>,
        /// The new description.
        description: Option<Prose>,
        /// The new priority.
        priority: Option<Priority>,
        /// The new assignee; `Some(None)` takes it away.
        #[serde(default, with = "double_option", skip_serializing_if = "Option::is_none")]
        assignee: Option<Option<Principal>>,
    },
    /// The task went from one state to another.
    #[serde(rename = "task:transitioned")]
    Transitioned {
        /// From.
        from: TaskStatus,
        /// To.
        to: TaskStatus,
        /// Why, in one word or line.
        reason: String,
    },
    /// The last gate opened: the task can be started. Once per unblocking.
    #[serde(rename = "task:ready")]
    Ready {
        /// The task whose completion or removal opened the last gate.
        by: Option<TaskId>,
    },
    /// The card moved within its column.
    #[serde(rename = "task:moved")]
    Moved {
        /// Sort key in the column.
        rank: String,
    },
    /// The task waits for another one.
    #[serde(rename = "task:dependency_added")]
    DependencyAdded {
        /// For which.
        depends_on: TaskId,
        /// How.
        gate: Gate,
    },
    /// The task no longer waits for another one.
    #[serde(rename = "task:dependency_removed")]
    DependencyRemoved {
        /// For which.
        depends_on: TaskId,
    },
    /// The running attempt moved on.
    #[serde(rename = "task:progress")]
    Progress {
        /// Which attempt.
        attempt: AttemptId,
        /// 0–100 from evidence, or unknown.
        percent: Option<u8>,
        /// One word.
        phase: String,
        /// One line for people.
        message: Option<String>,
    },

    /// A delegation waits for a free slot.
    #[serde(rename = "delegation:queued")]
    DelegationQueued {
        /// Which.
        delegation: DelegationId,
        /// To whom; `None` lets Link choose when a slot is free.
        agent: Option<AgentId>,
        /// What to do beyond the task's own words.
        instructions: Prose,
        /// Who asked for it.
        delegator: Principal,
        /// Who has to approve.
        review: Review,
        /// Not to be dispatched before this time.
        not_before: Option<DateTime<Utc>>,
        /// Attempts made since a person last had a say.
        tries: u32,
        /// Rounds of requested changes so far.
        round: u32,
        /// Why it is in the queue.
        reason: QueueReason,
    },
    /// The agent works on it.
    #[serde(rename = "delegation:running")]
    DelegationRunning {
        /// Which.
        delegation: DelegationId,
    },
    /// An open question stops it.
    #[serde(rename = "delegation:awaiting")]
    DelegationAwaiting {
        /// Which.
        delegation: DelegationId,
        /// The question.
        interrupt: InterruptId,
    },
    /// A person stopped it for now; it goes back to the queue when resumed.
    #[serde(rename = "delegation:paused")]
    DelegationPaused {
        /// Which.
        delegation: DelegationId,
    },
    /// The agent handed in its work.
    #[serde(rename = "delegation:submitted")]
    DelegationSubmitted {
        /// Which.
        delegation: DelegationId,
        /// By which attempt.
        attempt: AttemptId,
        /// The agent's final words.
        text: Prose,
        /// What proves the work.
        evidence: Vec<ArtifactId>,
    },
    /// Reviewers have to decide.
    #[serde(rename = "delegation:reviewing")]
    DelegationReviewing {
        /// Which.
        delegation: DelegationId,
        /// Approvals that are needed.
        required: u8,
    },
    /// A reviewer decided.
    #[serde(rename = "delegation:reviewed")]
    DelegationReviewed {
        /// Which.
        delegation: DelegationId,
        /// Who.
        reviewer: Principal,
        /// How.
        verdict: Verdict,
        /// Why.
        comment: Prose,
    },
    /// The work is accepted.
    #[serde(rename = "delegation:completed")]
    DelegationCompleted {
        /// Which.
        delegation: DelegationId,
    },
    /// An attempt failed; Link looks for the next step.
    #[serde(rename = "delegation:recovering")]
    DelegationRecovering {
        /// Which.
        delegation: DelegationId,
        /// Why.
        class: FailureClass,
    },
    /// A person has to decide how to go on.
    #[serde(rename = "delegation:escalated")]
    DelegationEscalated {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
        /// What can be done.
        options: Vec<String>,
    },
    /// The running attempt is being stopped.
    #[serde(rename = "delegation:cancelling")]
    DelegationCancelling {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },
    /// It ended because someone wanted it to.
    #[serde(rename = "delegation:cancelled")]
    DelegationCancelled {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },
    /// It ended without a result.
    #[serde(rename = "delegation:failed")]
    DelegationFailed {
        /// Which.
        delegation: DelegationId,
        /// Why.
        reason: String,
    },

    /// An attempt holds the lease on the delegation.
    #[serde(rename = "attempt:started")]
    AttemptStarted {
        /// Which.
        attempt: AttemptId,
        /// Of what.
        delegation: DelegationId,
        /// By whom.
        agent: AgentId,
        /// Where.
        instance: InstanceId,
        /// Rises with each attempt of the task; a report with an older fence changes nothing.
        fence: u64,
        /// Why this agent and this instance.
        route: Route,
    },
    /// The instance has the work.
    #[serde(rename = "attempt:accepted")]
    AttemptAccepted {
        /// Which.
        attempt: AttemptId,
    },
    /// A tool call of the agent ended.
    #[serde(rename = "attempt:tool")]
    AttemptTool {
        /// Which.
        attempt: AttemptId,
        /// The tool.
        tool: String,
        /// Whether it worked.
        ok: bool,
        /// One line.
        summary: String,
    },
    /// Tokens and cost of the attempt so far.
    #[serde(rename = "attempt:usage")]
    AttemptUsage {
        /// Which.
        attempt: AttemptId,
        /// Totals.
        usage: Usage,
    },
    /// It ended with a result.
    #[serde(rename = "attempt:succeeded")]
    AttemptSucceeded {
        /// Which.
        attempt: AttemptId,
    },
    /// It ended without one.
    #[serde(rename = "attempt:failed")]
    AttemptFailed {
        /// Which.
        attempt: AttemptId,
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// Its instance is gone.
    #[serde(rename = "attempt:lost")]
    AttemptLost {
        /// Which.
        attempt: AttemptId,
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// It was stopped.
    #[serde(rename = "attempt:cancelled")]
    AttemptCancelled {
        /// Which.
        attempt: AttemptId,
        /// A result came in after the cancel: kept, never applied.
        late_result: Option<Prose>,
    },
    /// Another attempt or agent took its place.
    #[serde(rename = "attempt:superseded")]
    AttemptSuperseded {
        /// Which.
        attempt: AttemptId,
    },

    /// A question is open.
    #[serde(rename = "interrupt:opened")]
    InterruptOpened {
        /// Which.
        interrupt: InterruptId,
        /// Of which attempt.
        attempt: AttemptId,
        /// The driver's name for it.
        key: String,
        /// What kind.
        kind: InterruptKind,
        /// The question.
        prompt: String,
        /// Options, resource, schema of the answer.
        details: Value,
    },
    /// It is answered.
    #[serde(rename = "interrupt:resolved")]
    InterruptResolved {
        /// Which.
        interrupt: InterruptId,
        /// How.
        answer: Value,
        /// By whom.
        by: Principal,
    },
    /// The agent has the answer.
    #[serde(rename = "interrupt:delivered")]
    InterruptDelivered {
        /// Which.
        interrupt: InterruptId,
    },
    /// It went away unanswered.
    #[serde(rename = "interrupt:closed")]
    InterruptClosed {
        /// Which.
        interrupt: InterruptId,
        /// Why.
        reason: String,
    },

    /// An attempt made or changed something; a later one with the same attempt, kind and name replaces it.
    #[serde(rename = "artifact:recorded")]
    ArtifactRecorded {
        /// Which.
        artifact: ArtifactId,
        /// By which attempt.
        attempt: AttemptId,
        /// `file`, `text`, `diff`, `link`.
        kind: Label,
        /// Path or title.
        name: ArtifactName,
        /// The content, where it is small text.
        content: Option<String>,
        /// Anything else.
        details: Value,
    },
}

/// A path or a title of an artifact; part of a key, so short enough for an index.
pub type ArtifactName = super::text::Text<1, 512>;

/// What happens to a conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum ConversationEvent {
    /// The conversation was made.
    #[serde(rename = "conversation:created")]
    Created {
        /// What for.
        kind: ConversationKind,
        /// Its title.
        title: Option<Title>,
        /// The project that it is about.
        project: Option<ProjectId>,
        /// The task that it is about.
        task: Option<TaskId>,
        /// Who is in it from the start.
        participants: BTreeSet<Principal>,
    },
    /// Someone joined.
    #[serde(rename = "conversation:participant_added")]
    ParticipantAdded {
        /// Who.
        participant: Principal,
    },
    /// Someone left.
    #[serde(rename = "conversation:participant_removed")]
    ParticipantRemoved {
        /// Who.
        participant: Principal,
    },
    /// Someone said something.
    #[serde(rename = "conversation:message")]
    Message {
        /// Which message.
        message: MessageId,
        /// Its number in the conversation: 1, 2, 3 …
        seq: u64,
        /// Who.
        author: Principal,
        /// What.
        parts: Vec<Part>,
        /// The message that it answers.
        parent: Option<MessageId>,
    },
    /// An author changed a message; the log keeps what it was.
    #[serde(rename = "conversation:message_edited")]
    MessageEdited {
        /// Which message.
        message: MessageId,
        /// What it says now.
        parts: Vec<Part>,
    },
}

/// What happens to an agent and its instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum AgentEvent {
    /// The agent joined the workspace.
    #[serde(rename = "agent:registered")]
    Registered {
        /// Its name.
        name: Title,
        /// How it is driven.
        runtime: RuntimeKind,
        /// What it is good at.
        skills: BTreeSet<Label>,
        /// Most attempts at the same time, over all instances.
        max_concurrency: u32,
    },
    /// Fields changed.
    #[serde(rename = "agent:updated")]
    Updated {
        /// The new name.
        name: Option<Title>,
        /// The new skills.
        skills: Option<BTreeSet<Label>>,
        /// The new bound.
        max_concurrency: Option<u32>,
    },
    /// What the agent does changed: it works, waits, is paused, is offline.
    #[serde(rename = "agent:status")]
    Status {
        /// What it does now.
        status: AgentStatus,
        /// Why.
        cause: String,
    },
    /// A person wants the agent to take work again, or no longer.
    #[serde(rename = "agent:availability")]
    Availability {
        /// What is wanted.
        wanted: super::agent::Availability,
    },
    /// A server of the agent is known. Its secrets are not in the log.
    #[serde(rename = "instance:added")]
    InstanceAdded {
        /// Which.
        instance: InstanceId,
        /// Where; or the script, for scripted agents.
        url: String,
        /// The model to ask for.
        model: Option<String>,
        /// Attempts at the same time.
        slots: u32,
        /// Model turns of one attempt.
        turns_max: u32,
    },
    /// A server of the agent is no longer used.
    #[serde(rename = "instance:removed")]
    InstanceRemoved {
        /// Which.
        instance: InstanceId,
    },
    /// A probe's result differs from the one before.
    #[serde(rename = "instance:probed")]
    InstanceProbed {
        /// Which.
        instance: InstanceId,
        /// Whether it answered.
        healthy: bool,
        /// Changes when the server restarts.
        boot: Option<String>,
        /// Why not.
        cause: Option<String>,
    },
}

/// What is remembered of an attempt's run, to find it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum SessionEvent {
    /// The instance has the work, and this finds it again.
    #[serde(rename = "session:bound")]
    Bound {
        /// The driver's own notes.
        remote: Value,
    },
    /// The stream was followed up to here.
    #[serde(rename = "session:followed")]
    Followed {
        /// The driver's own notes.
        cursor: Value,
    },
}

mod double_option {
    //! Tells "unchanged" (absent) from "taken away" (null).
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(value: &Option<Option<T>>, to: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(to)
    }
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(from).map(Some)
    }
}
