//! How long the first command to something that is not in memory waits: its actor starts, reads snapshot and log, and
//! answers. The command changes nothing, so that no commit is in the number.
//!
//! ```text
//! cargo bench --bench activate
//! ```

#[path = "support/node.rs"]
mod node;
mod support;

use std::time::{Duration, Instant};

use link::{
    actors::{Context, Directory, request::Meta},
    domain::{
        conversation::{ConversationCommand, ConversationKind, Part},
        event::{ConversationEvent, Event, ProjectEvent, Recorded, TaskEvent, WorkspaceEvent},
        ids::*,
        model::{Command, Model, SNAPSHOT_SCHEMA},
        principal::Principal,
        task::{Priority, TaskStatus},
        text::{Prose, Title, Words},
        workspace::{Role, Workspace, WorkspaceCommand},
    },
    persistence::log::{self, Snapshot},
};
use node::BenchNode;
use support::{Table, describe};

/// Activations of one row.
const SAMPLES: usize = 21;
/// Events of one append while the logs are filled.
const APPENDED: usize = 1_000;
/// Longer than saving a snapshot takes.
const SAVING: Duration = Duration::from_millis(100);
/// An entity saves a snapshot every 200 events: at worst it lacks the last 199.
const ENTITY_BEHIND: u64 = 199;
/// A workspace saves one every 2,000 events.
const WORKSPACE_BEHIND: u64 = 1_999;

fn main() {
    support::main(run());
}

async fn run() {
    let node = BenchNode::start("activate").await;
    describe(node.pool(), node.disk()).await;
    let columns = ["what", "snapshot", "events read", "p50 ms", "worst ms", "ratio"];
    let table = Table::begin("Activation until the first answer", 29, &columns);
    for events in [100, 1_000, 10_000] {
        Subjects::conversation(node.context(), events).await.measure(&table, ENTITY_BEHIND).await;
    }
    Subjects::workspace(node.context(), 10_000).await.measure(&table, WORKSPACE_BEHIND).await;
    node.stop().await;
}

/// Something with a history, and a command that says nothing new to it.
struct Subjects<'a> {
    context: &'a std::sync::Arc<Context>,
    name: &'static str,
    workspace: WorkspaceId,
    subject: Subject,
    command: Command,
    by: Principal,
    log: Vec<Recorded>,
}

impl<'a> Subjects<'a> {
    /// A conversation with one message per event, alone in its workspace.
    async fn conversation(context: &'a std::sync::Arc<Context>, events: usize) -> Self {
        let clock = &context.clock;
        let (workspace, conversation, user): (WorkspaceId, ConversationId, UserId) =
            (clock.id(), clock.id(), clock.id());
        let author = Principal::User(user);
        let created = ConversationEvent::Created {
            kind: ConversationKind::Channel,
            title: None,
            project: None,
            task: None,
            participants: [author].into(),
        };
        let text = Words::fitted("The review is done: two findings, both in the retry path. They are in the task.");
        let messages = (1..events as u64).map(|seq| ConversationEvent::Message {
            message: clock.id(),
            seq,
            author,
            parts: vec![Part::Text { text: text.clone() }],
            parent: None,
            mentions: vec![],
            kind: Default::default(),
        });
        let subject = Subject::Conversation(conversation);
        let events = [created].into_iter().chain(messages).map(|event| (subject, Event::Conversation(event)));
        let log = appended(context, workspace, author, events).await;
        let command = Command::Conversation(ConversationCommand::AddParticipant(author));
        Self { context, name: "conversation", workspace, subject, command, by: author, log }
    }

    /// A workspace in which every second event makes a task, and the one after starts it.
    async fn workspace(context: &'a std::sync::Arc<Context>, events: usize) -> Self {
        let clock = &context.clock;
        let (workspace, project, user): (WorkspaceId, ProjectId, UserId) = (clock.id(), clock.id(), clock.id());
        let name = Title::fitted("Bench");
        let subject = Subject::Workspace(workspace);
        let beginning = [
            (subject, Event::Workspace(WorkspaceEvent::Created { name: name.clone(), owner: user })),
            (
                Subject::Project(project),
                Event::Project(ProjectEvent::Created { name, key: "BENCH".into(), description: Prose::default() }),
            ),
        ];
        let tasks = (1..events as u64 / 2).flat_map(|number| {
            let task = Subject::Task(clock.id());
            let (from, to) = (TaskStatus::Ready, TaskStatus::InProgress);
            let started = TaskEvent::Transitioned { from, to, reason: "moved by hand".into() };
            [(task, Event::Task(task_created(project, number))), (task, Event::Task(started))]
        });
        let by = Principal::User(user);
        let log = appended(context, workspace, by, beginning.into_iter().chain(tasks)).await;
        let command = Command::Workspace(WorkspaceCommand::AddMember { user, role: Role::Owner.into() });
        Self { context, name: "workspace", workspace, subject, command, by, log }
    }

    /// Prints a row without a snapshot, one with a new and one with the oldest possible.
    async fn measure(&self, table: &Table, behind: u64) {
        let all = self.log.len() as u64;
        let without = self.row(table, "none", None, None).await;
        let new = self.snapshot(all);
        self.row(table, "new", Some(new), Some(without)).await;
        if all > behind + 1 {
            let oldest = self.snapshot(all - behind);
            self.row(table, "oldest", Some(oldest), Some(without)).await;
        }
    }

    async fn row(&self, table: &Table, name: &str, snapshot: Option<Snapshot>, without: Option<Duration>) -> Duration {
        let read = self.log.len() as u64 - snapshot.as_ref().map_or(0, |snapshot| snapshot.offset);
        let mut times = vec![];
        for _ in 0..SAMPLES {
            self.keep_only(snapshot.as_ref()).await;
            times.push(self.activate().await);
            // What read a long log saves a snapshot beside its answer: it must not outrun the next `keep_only`.
            tokio::time::sleep(SAVING).await;
        }
        times.sort_unstable();
        let (median, worst) = (times[SAMPLES / 2], times[SAMPLES - 1]);
        let ms = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e3);
        let ratio = without.map_or("1.0x".into(), |all| format!("{:.1}x", all.as_secs_f64() / median.as_secs_f64()));
        let what = format!("{} with {} events", self.name, self.log.len());
        table.row(&[what, name.into(), read.to_string(), ms(median), ms(worst), ratio]);
        median
    }

    /// A directory of its own has nothing in memory.
    async fn activate(&self) -> Duration {
        let (directory, task) = Directory::start(self.context.clone()).await.expect("a directory starts");
        let handle = directory.workspace(self.workspace).await.expect("a workspace starts");
        let clock = &self.context.clock;
        let meta = Meta {
            by: self.by,
            on_behalf_of: None,
            now: clock.now(),
            key: None,
            trace: "bench".into(),
            made: None,
            cause: None,
        };
        let begun = Instant::now();
        handle.execute(self.subject, self.command.clone(), meta).await.expect("the command changes nothing");
        let taken = begun.elapsed();
        directory.stop();
        task.await.expect("the directory stops");
        taken
    }

    fn snapshot(&self, offset: u64) -> Snapshot {
        let events = &self.log[..offset as usize];
        let state = match Model::empty(self.subject) {
            Some(mut model) => {
                events.iter().for_each(|event| model.apply(event.offset, &event.event));
                model.to_snapshot()
            }
            None => {
                let mut state = Workspace::default();
                events.iter().for_each(|event| state.apply(event.offset, event.at, &event.subject, &event.event));
                rmp_serde::to_vec_named(&state)
            }
        };
        Snapshot { offset, schema: SNAPSHOT_SCHEMA, state: state.expect("a state can be written down") }
    }

    async fn keep_only(&self, snapshot: Option<&Snapshot>) {
        let pool = &self.context.pool;
        sqlx::query("DELETE FROM snapshots WHERE workspace_id = $1")
            .bind(self.workspace.0)
            .execute(pool)
            .await
            .expect("snapshots can be removed");
        if let Some(snapshot) = snapshot {
            log::save_snapshot(pool, self.workspace, self.subject, snapshot).await.expect("a snapshot can be saved");
        }
    }
}

fn task_created(project: ProjectId, number: u64) -> TaskEvent {
    TaskEvent::Created {
        project,
        number,
        identifier: format!("BENCH-{number}"),
        title: Title::fitted("Make the retry path idempotent"),
        description: Prose::fitted("A repeated request must not post twice."),
        status: TaskStatus::Ready,
        priority: Priority::Medium,
        assignee: None,
        parent: None,
        depends_on: Default::default(),
        claims: Default::default(),
        skills: Default::default(),
    }
}

/// Fills a workspace's log in large batches.
async fn appended(
    context: &Context,
    workspace: WorkspaceId,
    actor: Principal,
    events: impl Iterator<Item = (Subject, Event)>,
) -> Vec<Recorded> {
    let clock = &context.clock;
    let recorded = (1..).zip(events).map(|(offset, (subject, event))| Recorded {
        offset,
        id: clock.id(),
        subject,
        refs: vec![],
        actor,
        on_behalf_of: None,
        at: clock.now(),
        cause: None,
        trace: "bench".into(),
        audience: None,
        event,
    });
    let recorded: Vec<Recorded> = recorded.collect();
    let lease = context.membership.lease(workspace).await.expect("this node has all shards");
    let mut head = log::head(&context.pool, workspace).await.expect("the log is empty");
    for batch in recorded.chunks(APPENDED) {
        head = log::append(&context.pool, &lease, workspace, &head, batch, &[]).await.expect("the log takes events");
    }
    recorded
}
