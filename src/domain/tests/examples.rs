//! One value of every event, in the order of `events.jsonl`. New ones come last.

use chrono::DateTime;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{
    access::Effect,
    agent::{AgentStatus, Availability, RuntimeKind},
    conversation::{ConversationKind, MessageKind, Part},
    event::{
        AgentEvent, ArtifactName, ConversationEvent, Event, ProjectEvent, SessionEvent, TaskEvent, WorkspaceEvent,
    },
    failure::{FailureClass, Strategy},
    ids::Subject,
    permission::{Permission, Permissions},
    principal::{Principal, Service},
    routing::Standing,
    run::{InterruptKind, Usage},
    task::{Priority, QueueReason, Review, Reviewers, Route, Step, TaskStatus, Terms, Verdict},
    text::{Label, Prose, Title, Words},
    workspace::{Gate, MemberRole, Role},
};

pub(super) fn id<T: From<Uuid>>(n: u128) -> T {
    Uuid::from_u128(n).into()
}
pub(super) fn title(text: &str) -> Title {
    Title::fitted(text)
}
pub(super) fn prose(text: &str) -> Prose {
    Prose::fitted(text)
}
pub(super) fn person() -> Principal {
    Principal::User(id(1))
}

pub(crate) fn examples() -> Vec<Event> {
    let mut all: Vec<Event> = workspace().into_iter().map(Event::Workspace).collect();
    all.extend(project().into_iter().map(Event::Project));
    all.extend(task().into_iter().chain(delegation()).chain(attempt()).map(Event::Task));
    all.extend(conversation().into_iter().map(Event::Conversation));
    all.extend(agent().into_iter().map(Event::Agent));
    let notes = json!({"session": "s1", "n": 7});
    all.push(Event::Session(SessionEvent::Bound { remote: notes }));
    all.push(Event::Session(SessionEvent::Followed { cursor: Value::Null }));
    all.extend(super::examples_outside::webhook().into_iter().map(Event::Webhook));
    all.extend(access().into_iter().map(Event::Workspace));
    all.extend(services().into_iter().map(Event::Workspace));
    all.extend(standing().into_iter().map(Event::Agent));
    all.extend(recovery().into_iter().map(Event::Task));
    let left_out = vec!["the words of attempt 1".to_owned()];
    all.push(Event::Task(TaskEvent::InterruptLapsed { interrupt: id(40) }));
    all.push(Event::Task(TaskEvent::InterruptRenewed { interrupt: id(40), key: "q2".into() }));
    all.push(Event::Session(SessionEvent::Packed { hash: "ab12".into(), tokens: 900, left_out }));
    all.extend(super::examples_outside::document().into_iter().map(Event::Document));
    all.extend(super::examples_talk::talk().into_iter().map(Event::Conversation));
    all.extend(super::examples_squad::squad());
    all.extend(super::examples_desk::desk().into_iter().map(Event::Task));
    all.extend(super::examples_checkpoints::all());
    all.extend(super::examples_desk::more());
    all.extend(super::examples_squad::hand_offs_and_parts());
    all.extend(super::examples_squad::teams());
    all.extend(super::examples_squad::nudges());
    all.extend(super::examples_squad::skilled());
    all
}

fn standing() -> [AgentEvent; 2] {
    let (instance, kind) = (Uuid::from_u128(6).into(), Uuid::from_u128(2).into());
    let cause = "it takes work more slowly than it did".into();
    [
        AgentEvent::InstanceStanding { instance, standing: Standing::Degraded, cause },
        AgentEvent::Skill { kind: Some(kind), model: None, worse: true },
    ]
}

fn access() -> Vec<WorkspaceEvent> {
    use WorkspaceEvent as E;
    let (role, grant, principal, effect) = (id(70), id(71), Principal::Team(id(3)), Effect::Deny);
    let permissions = Permissions::of(&[Permission::Read, Permission::ManageAgents]);
    vec![
        E::RoleCreated { role, name: Label::fitted("sous-chef"), permissions },
        E::RoleUpdated { role, name: Label::fitted("chef"), permissions: Permissions::NONE },
        E::MemberAdded { user: id(2), role: MemberRole::Custom(role) },
        E::RoleDeleted { role },
        E::GrantSet { grant, subject: Subject::Task(id(11)), principal, effect, permissions: Permission::Work.into() },
        E::GrantRemoved { grant, subject: Subject::Task(id(11)), principal, effect },
    ]
}

fn services() -> Vec<WorkspaceEvent> {
    use WorkspaceEvent as E;
    let (service, key) = (id(72), id(73));
    let holder = Principal::Service(Service::Account(service));
    let expires_at = DateTime::from_timestamp(1_800_000_000, 0).expect("it is in range");
    let scopes = [Permission::Read, Permission::Work].into();
    vec![
        E::ServiceAdded { service, name: Label::fitted("build"), role: Role::Member.into() },
        E::KeyIssued { key, holder, name: title("ci"), prefix: "link_sk_abcdefgh".into(), scopes, expires_at },
        E::KeyRevoked { key, holder },
        E::ServiceRemoved { service },
    ]
}

fn workspace() -> Vec<WorkspaceEvent> {
    use WorkspaceEvent as E;
    let members = [person(), Principal::Agent(id(5))].into();
    vec![
        E::Created { name: title("Küche"), owner: id(1) },
        E::Renamed { name: title("Kitchen") },
        E::MemberAdded { user: id(2), role: Role::Guest.into() },
        E::MemberUpdated { user: id(2), role: Role::Admin.into() },
        E::MemberRemoved { user: id(2) },
        E::TeamFormed { team: id(3), name: title("cooks"), members, lead: None, policy: Default::default() },
    ]
}

fn project() -> Vec<ProjectEvent> {
    use ProjectEvent as E;
    vec![
        E::Created { name: title("Link"), key: "LINK".into(), description: prose("") },
        E::Updated { name: Some(title("Link 2")), description: None },
        E::Archived {},
    ]
}

fn task() -> Vec<TaskEvent> {
    use TaskEvent as E;
    let updated = |assignee| E::Updated {
        title: Some(title("t")),
        description: None,
        priority: None,
        assignee,
        claims: None,
        skills: None,
    };
    vec![
        E::Created {
            project: id(10),
            number: 12,
            identifier: "LINK-12".into(),
            title: title("cook"),
            description: prose("a **soup**"),
            status: TaskStatus::Blocked,
            priority: Priority::High,
            assignee: Some(Principal::Team(id(3))),
            parent: Some(id(11)),
            depends_on: [id(11), id(12)].into(),
            claims: Default::default(),
            skills: Default::default(),
        },
        updated(None),
        updated(Some(None)),
        updated(Some(Some(person()))),
        E::Transitioned { from: TaskStatus::InProgress, to: TaskStatus::AwaitingInput, reason: "asks".into() },
        E::Ready { by: Some(id(11)) },
        E::Moved { rank: "a0".into() },
        E::DependencyAdded { depends_on: id(11), gate: Gate::ReviewReadyOk },
        E::DependencyRemoved { depends_on: id(11) },
        E::Progress { attempt: id(30), percent: Some(40), phase: "test".into(), message: None },
    ]
}

fn delegation() -> Vec<TaskEvent> {
    use TaskEvent as E;
    let delegation = id(20);
    vec![
        E::DelegationQueued {
            delegation,
            agent: Some(id(5)),
            team: None,
            instructions: prose("with salt"),
            delegator: person(),
            review: Review::by(2, Reviewers::Others),
            not_before: DateTime::from_timestamp_millis(1_700_000_000_500),
            tries: 1,
            round: 2,
            reason: QueueReason::Retry,
            step: None,
            terms: Terms::default(),
        },
        E::DelegationRunning { delegation },
        E::DelegationAwaiting { delegation, interrupt: id(40) },
        E::DelegationPaused { delegation },
        E::DelegationSubmitted { delegation, attempt: id(30), text: prose("soup"), evidence: vec![id(50), id(51)] },
        E::DelegationReviewing { delegation, required: 2 },
        E::DelegationReviewed {
            delegation,
            reviewer: person(),
            verdict: Verdict::RequestChanges,
            comment: prose("more salt"),
        },
        E::DelegationCompleted { delegation },
        E::DelegationRecovering { delegation, class: FailureClass::StreamCut, blame: None, fingerprint: None },
        E::DelegationEscalated {
            delegation,
            reason: "no".into(),
            options: vec!["resume".into(), "cancel".into()],
            owner: None,
            evidence: vec![],
            proposal: None,
            step: None,
        },
        E::DelegationCancelling { delegation, reason: "late".into() },
        E::DelegationCancelled { delegation, reason: "stopped".into() },
        E::DelegationFailed { delegation, reason: "rejected in review".into() },
    ]
}

fn attempt() -> Vec<TaskEvent> {
    use TaskEvent as E;
    let attempt = id(30);
    let interrupt = id(40);
    let message = || "gone".to_owned();
    vec![
        E::AttemptStarted {
            attempt,
            delegation: id(20),
            agent: id(5),
            instance: id(6),
            fence: 3,
            route: Route { reason: "least loaded".into(), candidates: 2, team: None, decision: None },
        },
        E::AttemptAccepted { attempt },
        E::AttemptTool { attempt, tool: "shell".into(), ok: false, summary: "exit 1".into() },
        E::AttemptUsage { attempt, usage: Usage { input_tokens: 10, output_tokens: 5, cost_usd: 0.25 } },
        E::AttemptSucceeded { attempt },
        E::AttemptFailed { attempt, class: FailureClass::EvidenceMissing, message: message(), retry_after_ms: None },
        E::AttemptLost { attempt, class: FailureClass::InstanceLost, message: message() },
        E::AttemptCancelled { attempt, late_result: Some(prose("late soup")) },
        E::AttemptSuperseded { attempt },
        E::InterruptOpened {
            interrupt,
            attempt,
            key: "q1".into(),
            kind: InterruptKind::Approval,
            prompt: "may I?".into(),
            details: json!({"options": ["yes", "no"]}),
            expires_at: None,
        },
        E::InterruptResolved { interrupt, answer: json!("yes"), by: person(), policy: None },
        E::InterruptDelivered { interrupt },
        E::InterruptClosed { interrupt, reason: "withdrawn".into(), policy: None },
        E::ArtifactRecorded {
            artifact: id(50),
            attempt,
            kind: Label::fitted("diff"),
            name: ArtifactName::fitted("src/soup.rs"),
            content: Some("+ salt\n".into()),
            details: Value::Null,
        },
    ]
}

fn recovery() -> Vec<TaskEvent> {
    use TaskEvent as E;
    let (attempt, delegation, class) = (id(30), id(20), FailureClass::StreamCut);
    let step = Box::new(Step {
        strategy: Strategy::OtherInstance,
        why: "the first step after a failure of this kind".into(),
        class,
        message: "cut at 7".into(),
        owner: Some(person()),
        blame: class.blame(),
        fingerprint: "stream_cut: cut at <n>".into(),
        attempt,
        agent: id(5),
        instance: id(6),
        failed_instances: [id(6)].into(),
        failed_agents: [id(5)].into(),
        otherwise: vec![Strategy::OtherAgent, Strategy::AskPerson],
        passed_over: vec![Strategy::SameInstance],
    });
    vec![
        E::AttemptFailed { attempt, class, message: "cut at 7".into(), retry_after_ms: Some(1500) },
        E::DelegationRecovering {
            delegation,
            class,
            blame: Some(class.blame()),
            fingerprint: Some(step.fingerprint.clone()),
        },
        E::DelegationQueued {
            delegation,
            agent: None,
            team: None,
            instructions: prose(""),
            delegator: person(),
            review: Review::by(1, Reviewers::Others),
            not_before: DateTime::from_timestamp_millis(1_700_000_000_500),
            tries: 1,
            round: 0,
            reason: QueueReason::Retry,
            step: Some(step.clone()),
            terms: Terms::default(),
        },
        E::DelegationEscalated {
            delegation,
            reason: "cut".into(),
            options: vec!["resume".into()],
            owner: Some(person()),
            evidence: vec![id(50)],
            proposal: Some("split it".into()),
            step: Some(step),
        },
        E::AttemptReleased { attempt, stopped: true, late_result: Some(prose("late soup")) },
    ]
}

fn conversation() -> Vec<ConversationEvent> {
    use ConversationEvent as E;
    let parts = vec![
        Part::Text { text: Words::fitted("hello") },
        Part::File { name: title("soup.md"), url: title("https://example.org/soup.md") },
        Part::Data { data: json!({"n": 1.5}) },
    ];
    vec![
        E::Created {
            kind: ConversationKind::AgentSession,
            title: Some(title("soup")),
            project: None,
            task: Some(id(11)),
            participants: [person()].into(),
        },
        E::ParticipantAdded { participant: Principal::Agent(id(5)) },
        E::ParticipantRemoved { participant: Principal::Agent(id(5)) },
        E::Message {
            message: id(60),
            seq: 1,
            author: person(),
            parts: parts.clone(),
            parent: None,
            mentions: vec![],
            kind: MessageKind::Said,
        },
        E::MessageEdited { message: id(60), parts },
    ]
}

fn agent() -> Vec<AgentEvent> {
    use AgentEvent as E;
    let instance = id(6);
    vec![
        E::Registered {
            name: title("cook"),
            runtime: RuntimeKind::Penguin,
            skills: [Label::fitted("soup")].into(),
            max_concurrency: 2,
        },
        E::Updated { name: None, skills: Some([Label::fitted("salad")].into()), max_concurrency: None },
        E::Status { status: AgentStatus::Working, cause: "an attempt runs".into() },
        E::Availability { wanted: Availability::Draining },
        E::InstanceAdded {
            instance,
            url: "http://localhost:8080".into(),
            model: Some("m".into()),
            slots: 2,
            turns_max: 50,
        },
        E::InstanceRemoved { instance },
        E::InstanceProbed { instance, healthy: false, boot: None, cause: Some("connection refused".into()) },
        E::InstanceConnected { instance, slots: 3, skills: [Label::fitted("soup")].into(), boot: "b1".into() },
    ]
}
