//! How long the pure core takes: deciding a command and folding its events in, without actors and without a database;
//! and merging what somebody writes into a shared document.
//!
//! ```text
//! cargo bench --bench decide
//! ```

use std::{
    collections::BTreeSet,
    hint::black_box,
    time::{Duration, Instant},
};

use chrono::DateTime;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use link::{
    actors::documents::{Splice, Text},
    domain::{
        agent::RuntimeKind,
        conversation::{ConversationCommand, ConversationKind, Part},
        event::{AgentEvent, ConversationEvent, Event, ProjectEvent, TaskEvent, WorkspaceEvent},
        ids::*,
        model::{Command, Model},
        principal::Principal,
        routing::Bulkheads,
        task::*,
        text::{Prose, Title, Words},
        workspace::{Fact, Workspace},
    },
};
use uuid::Uuid;

/// Tasks that the workspace knows already.
const TASKS: u64 = 10_000;
/// Delegations that wait.
const QUEUED: u64 = 1_000;
/// Commands on one large state before it is made anew.
const STEPS: u64 = 1_000;
/// Bytes of the large document, and of what is added to it at a time.
const DOCUMENT: usize = 2_500_000;
const ADDED: usize = 128;

const WORKSPACE: WorkspaceId = WorkspaceId(Uuid::from_u128(1));
const USER: UserId = UserId(Uuid::from_u128(2));
const PROJECT: ProjectId = ProjectId(Uuid::from_u128(3));
const AGENT: AgentId = AgentId(Uuid::from_u128(4));
const INSTANCE: InstanceId = InstanceId(Uuid::from_u128(5));
const ATTEMPT: AttemptId = AttemptId(Uuid::from_u128(6));
const DELEGATION: DelegationId = DelegationId(Uuid::from_u128(7));

/// Ids that are spread like real ones, and the same in every run.
fn id<T: From<Uuid>>(nth: u64) -> T {
    T::from(Uuid::from_u64_pair(nth.wrapping_mul(0x9e37_79b9_7f4a_7c15), nth))
}

fn circumstance(by: Principal) -> Circumstance {
    Circumstance { by, now: DateTime::UNIX_EPOCH }
}

/// Measures one command on an entity: decide, and fold in what was decided.
fn on_entity(criterion: &mut Criterion, name: &str, model: &Model, by: Principal, command: &Command) {
    let fresh = || (model.clone(), command.clone());
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched(
            fresh,
            |(mut model, command)| {
                let events = model.decide(circumstance(by), command).expect("the command is allowed");
                for event in &events {
                    model.apply(9, event);
                }
                (model, events)
            },
            BatchSize::SmallInput,
        );
    });
}

fn folded(subject: Subject, events: impl IntoIterator<Item = Event>) -> Model {
    let mut model = Model::empty(subject).expect("the subject has a model");
    for (offset, event) in (1..).zip(events) {
        model.apply(offset, &event);
    }
    model
}

fn post_a_message(criterion: &mut Criterion) {
    let created = ConversationEvent::Created {
        kind: ConversationKind::Channel,
        title: None,
        project: Some(PROJECT),
        task: None,
        participants: (0..8).map(|nth| Principal::User(id(nth))).collect(),
    };
    let model = folded(Subject::Conversation(id(1)), [Event::Conversation(created)]);
    let parts = vec![Part::Text { text: Words::fitted("The review is done: two findings, both in the retry path.") }];
    let post = ConversationCommand::Post { message: id(2), parts, parent: None, mentions: Default::default() };
    on_entity(criterion, "post a message", &model, Principal::User(USER), &Command::Conversation(post));
}

fn move_a_task(criterion: &mut Criterion) {
    let model = folded(Subject::Task(id(1)), [Event::Task(created(&[]))]);
    let command = TaskCommand::Transition(TaskStatus::InProgress);
    on_entity(criterion, "move a task", &model, Principal::User(USER), &Command::Task(Box::new(command)));
}

fn report_progress(criterion: &mut Criterion) {
    let events = [created(&[]), queued(DELEGATION), started(ATTEMPT), TaskEvent::AttemptAccepted { attempt: ATTEMPT }];
    let model = folded(Subject::Task(id(1)), events.into_iter().map(Event::Task));
    let message = Some("reads src/retry.rs".to_owned());
    let report = Report::Progress { percent: Some(40), phase: "working".into(), message };
    let command = TaskCommand::Report { attempt: ATTEMPT, fence: 1, report };
    on_entity(criterion, "report progress", &model, Principal::Agent(AGENT), &Command::Task(Box::new(command)));
}

/// Measures completing one fact in a workspace that is made anew before it has grown much.
fn on_workspace(criterion: &mut Criterion, name: &str, workspace: &Workspace, fact: impl Fn(u64) -> Fact) {
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let mut taken = Duration::ZERO;
            for begin in (0..times).step_by(STEPS as usize) {
                let mut workspace = workspace.clone();
                let facts: Vec<Fact> = (begin..times.min(begin + STEPS)).map(&fact).collect();
                let begun = Instant::now();
                for fact in facts {
                    let completed =
                        workspace.complete(9, DateTime::UNIX_EPOCH, vec![fact]).expect("nothing is in its way");
                    black_box(completed);
                }
                taken += begun.elapsed();
            }
            taken
        });
    });
}

fn create_a_task(criterion: &mut Criterion) {
    let workspace = workspace_with_tasks();
    let fact = |nth, depends_on: &[TaskId]| Fact {
        subject: Subject::Task(id(TASKS + 1 + nth)),
        event: Event::Task(created(depends_on)),
    };
    on_workspace(criterion, "create a task beside 10,000", &workspace, |nth| fact(nth, &[]));
    on_workspace(criterion, "create a task that waits for 3 of 10,000", &workspace, |nth| {
        fact(nth, &[id(nth % TASKS), id((nth * 7 + 1) % TASKS), id((nth * 13 + 2) % TASKS)])
    });
}

fn look_at_the_queue(criterion: &mut Criterion) {
    let mut workspace = workspace_with_tasks();
    for nth in 0..QUEUED {
        workspace.apply(nth, DateTime::UNIX_EPOCH, &Subject::Task(id(nth)), &Event::Task(queued(id(nth))));
    }
    let name = |what: &str| format!("agenda with 1,000 queued, {what}");
    criterion.bench_function(&name("64 slots free"), |bencher| {
        bencher.iter(|| black_box(workspace.schedule().agenda(DateTime::UNIX_EPOCH, 7, Bulkheads::default())));
    });
    for nth in 0..64 {
        workspace.apply(
            nth,
            DateTime::UNIX_EPOCH,
            &Subject::Task(id(QUEUED + nth)),
            &Event::Task(started(id(QUEUED + nth))),
        );
    }
    criterion.bench_function(&name("no slot free"), |bencher| {
        bencher.iter(|| black_box(workspace.schedule().agenda(DateTime::UNIX_EPOCH, 7, Bulkheads::default())));
    });
    criterion.bench_function("publish the schedule with 1,000 queued", |bencher| {
        bencher.iter(|| black_box(workspace.schedule().clone()));
    });
}

/// A workspace with a person, a project, tasks, and an agent whose server takes 64 attempts.
fn workspace_with_tasks() -> Workspace {
    let mut workspace = Workspace::default();
    let name = Title::fitted("Bench");
    let agent = Subject::Agent(AGENT);
    let beginning = [
        (Subject::Workspace(WORKSPACE), Event::Workspace(WorkspaceEvent::Created { name: name.clone(), owner: USER })),
        (
            Subject::Project(PROJECT),
            Event::Project(ProjectEvent::Created {
                name: name.clone(),
                key: "BENCH".into(),
                description: Prose::default(),
            }),
        ),
        (
            agent,
            Event::Agent(AgentEvent::Registered {
                name,
                runtime: RuntimeKind::Scripted,
                skills: BTreeSet::new(),
                max_concurrency: 64,
            }),
        ),
        (
            agent,
            Event::Agent(AgentEvent::InstanceAdded {
                instance: INSTANCE,
                url: "script:".into(),
                model: None,
                slots: 64,
                turns_max: 20,
            }),
        ),
    ];
    let tasks = (0..TASKS).map(|nth| (Subject::Task(id(nth)), Event::Task(created(&[]))));
    for (offset, (subject, event)) in (1..).zip(beginning.into_iter().chain(tasks)) {
        workspace.apply(offset, DateTime::UNIX_EPOCH, &subject, &event);
    }
    workspace
}

fn created(depends_on: &[TaskId]) -> TaskEvent {
    TaskEvent::Created {
        project: PROJECT,
        number: 1,
        identifier: "BENCH-1".into(),
        title: Title::fitted("Make the retry path idempotent"),
        description: Prose::fitted("A repeated request must not post twice."),
        status: TaskStatus::Ready,
        priority: Priority::Medium,
        assignee: Some(Principal::User(USER)),
        parent: None,
        depends_on: depends_on.iter().copied().collect(),
        claims: Default::default(),
        skills: Default::default(),
    }
}

fn queued(delegation: DelegationId) -> TaskEvent {
    TaskEvent::DelegationQueued {
        delegation,
        agent: None,
        team: None,
        instructions: Prose::default(),
        delegator: Principal::User(USER),
        review: Review::default(),
        not_before: None,
        tries: 0,
        round: 0,
        reason: QueueReason::Created,
        step: None,
        terms: Default::default(),
    }
}

fn started(attempt: AttemptId) -> TaskEvent {
    TaskEvent::AttemptStarted {
        attempt,
        delegation: if attempt == ATTEMPT { DELEGATION } else { DelegationId(attempt.0) },
        agent: AGENT,
        instance: INSTANCE,
        fence: 1,
        route: Route::default(),
    }
}

/// Measures what a document's host does with what is written at the end of a text: an operation's words become an update,
/// and a socket's update is decoded and merged, and what of it was new is encoded.
fn write_into_a_document(criterion: &mut Criterion) {
    let words = [Splice::Append("x".repeat(ADDED))];
    let mut measure = |what: &str, size: usize, by_operation: bool| {
        criterion.bench_function(&format!("append {ADDED} B to a document of {size} B, {what}"), |bencher| {
            bencher.iter_custom(|times| {
                let (mut author, mut host) = (Text::default(), Text::default());
                let before = author.splice(&[Splice::Append("y".repeat(size))]).expect("there is room");
                host.merge(&before).expect("it is an update");
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    let begun = Instant::now();
                    let update = author.splice(&words).expect("there is room");
                    let written = Instant::now();
                    black_box(host.merge(&update).expect("it is an update"));
                    taken += if by_operation { written - begun } else { written.elapsed() };
                }
                taken
            });
        });
    };
    for size in [0, DOCUMENT] {
        measure("by an operation", size, true);
        measure("from a socket", size, false);
    }
}

criterion_group!(entities, post_a_message, move_a_task, report_progress);
criterion_group!(workspaces, create_a_task, look_at_the_queue);
criterion_group!(documents, write_into_a_document);
criterion_main!(entities, workspaces, documents);
