//! A small workspace for examples: one agent with one instance of two slots, and tasks by number.

use serde_json::json;

use crate::domain::{
    agent::{AgentCommand, NewInstance},
    claim::{ClaimedPath, Claims},
    event::{Event, TaskEvent},
    failure::FailureClass,
    ids::*,
    model::Command,
    principal::{Principal, Service},
    project::ProjectCommand,
    rejection::Rejection,
    routing::Bulkheads,
    run::InterruptKind,
    task::{NewDelegation, NewTask, Report, Review, Reviewers, TaskCommand, TaskStatus, Verdict},
    text::Prose,
    workspace::{Completed, Gate, Role, WorkspaceCommand},
};

use super::{
    ledger::Phase,
    plan::{person, title},
    plan_work::task_ask,
    world::{Ask, World},
};

pub(super) type Done = Result<Vec<Completed>, Rejection>;

pub(super) struct Scene {
    pub world: World,
    pub agent: AgentId,
    pub instance: InstanceId,
    project: ProjectId,
}

pub(super) fn user(n: usize) -> Principal {
    Principal::User(person(n))
}

pub(super) fn paths_of(paths: &[&str]) -> Claims {
    paths.iter().map(|path| ClaimedPath::try_from((*path).to_owned()).expect("it is one")).collect()
}

impl Scene {
    pub fn new() -> Self {
        let world = World::new();
        let [project, agent, instance] = [world.fresh(), world.fresh(), world.fresh()];
        let (agent, instance) = (agent.into(), instance.into());
        let mut scene = Self { world, agent, instance, project: project.into() };
        let create = WorkspaceCommand::Create { name: title("w"), owner: person(0) };
        scene.ask(Subject::Workspace(WorkspaceId(uuid::Uuid::from_u128(1))), Command::Workspace(create)).unwrap();
        for n in [1, 2] {
            let add = WorkspaceCommand::AddMember { user: person(n), role: Role::Member.into() };
            scene.ask(Subject::Workspace(WorkspaceId(uuid::Uuid::from_u128(1))), Command::Workspace(add)).unwrap();
        }
        let create = ProjectCommand::Create { name: title("link"), key: None, description: Prose::default() };
        scene.ask(Subject::Project(project.into()), Command::Project(create)).unwrap();
        let instances = vec![NewInstance { id: instance, url: "x".into(), model: None, slots: 2, turns_max: 9 }];
        let (name, runtime, skills) = (title("agent"), Default::default(), Default::default());
        scene.agent(AgentCommand::Register { name, runtime, skills, max_concurrency: 2, instances }).unwrap();
        scene
    }

    fn ask(&mut self, subject: Subject, command: Command) -> Done {
        self.world.run(Ask { subject, by: user(0), command })
    }

    pub fn agent(&mut self, command: AgentCommand) -> Done {
        self.ask(Subject::Agent(self.agent), Command::Agent(command))
    }

    pub fn task(&mut self) -> TaskId {
        self.task_at(&[])
    }

    /// Makes a task that claims paths.
    pub fn task_at(&mut self, paths: &[&str]) -> TaskId {
        let id = TaskId(self.world.fresh());
        let new = NewTask {
            project: self.project,
            title: title("t"),
            description: Prose::fitted("do it"),
            parked: Default::default(),
            priority: Default::default(),
            assignee: None,
            parent: None,
            depends_on: Default::default(),
            claims: paths_of(paths),
            skills: Default::default(),
        };
        self.run(id, 0, TaskCommand::Create(new)).unwrap();
        id
    }

    pub fn run(&mut self, task: TaskId, by: usize, command: TaskCommand) -> Done {
        self.world.run(task_ask(task, user(by), command))
    }

    /// Delegates to the agent by name, as person 0.
    pub fn delegate(&mut self, task: TaskId, approvals: u8, by: Reviewers) -> DelegationId {
        let id = DelegationId(self.world.fresh());
        let review = Review::by(approvals, by);
        let new = NewDelegation {
            id,
            agent: Some(self.agent),
            team: None,
            instructions: Prose::fitted("please"),
            review,
            terms: Default::default(),
        };
        self.run(task, 0, TaskCommand::Delegate(new)).unwrap();
        id
    }

    /// Starts what the agenda offers for the task, later than any backoff.
    pub fn start(&mut self, task: TaskId) -> (AttemptId, u64) {
        self.world.pass(60_000);
        let agenda = self.world.workspace.schedule().agenda(self.world.now, 7, Bulkheads::default());
        let offer = agenda.dispatch.into_iter().find(|offer| offer.task == task).expect("it is offered");
        let attempt = AttemptId(self.world.fresh());
        let (delegation, agent, instance, route) = (offer.delegation, offer.agent, offer.instance, offer.route);
        let command = TaskCommand::Dispatch { delegation, attempt, agent, instance, route };
        self.world.run(task_ask(task, Principal::Service(Service::Conductor), command)).unwrap();
        (attempt, self.world.ledger.attempts[&attempt].fence)
    }

    pub fn report(&mut self, task: TaskId, (attempt, fence): (AttemptId, u64), report: Report) -> Done {
        let command = TaskCommand::Report { attempt, fence, report };
        self.world.run(task_ask(task, Principal::Agent(self.agent), command))
    }

    pub fn submit(&mut self, task: TaskId, attempt: (AttemptId, u64)) -> Done {
        let artifact = ArtifactId(self.world.fresh());
        self.report(task, attempt, Report::Submitted { text: Prose::fitted("done"), artifact })
    }

    pub fn fail(&mut self, task: TaskId, attempt: (AttemptId, u64), class: FailureClass) -> Done {
        self.report(task, attempt, Report::Failed { class, message: "broke".into(), retry_after_ms: None })
    }

    pub fn asks(&mut self, task: TaskId, attempt: (AttemptId, u64), key: &str) -> InterruptId {
        let interrupt = InterruptId(self.world.fresh());
        let (key, kind, prompt) = (key.to_owned(), InterruptKind::Question, "may I?".to_owned());
        self.report(task, attempt, Report::Asked { interrupt, key, kind, prompt, details: json!(null) }).unwrap();
        interrupt
    }

    pub fn review(&mut self, task: TaskId, by: Principal, delegation: DelegationId, verdict: Verdict) -> Done {
        let command = TaskCommand::Review { delegation, verdict, comment: Prose::fitted("hm") };
        self.world.run(task_ask(task, by, command))
    }

    pub fn cancel(&mut self, task: TaskId, delegation: DelegationId) -> Done {
        self.run(task, 0, TaskCommand::Cancel { delegation, reason: "enough".into() })
    }

    pub fn waits_for(&mut self, task: TaskId, depends_on: TaskId) {
        self.run(task, 0, TaskCommand::AddDependency { depends_on, gate: Gate::Blocks }).unwrap();
    }

    pub fn moves(&mut self, task: TaskId, path: &[TaskStatus]) {
        for to in path {
            self.run(task, 0, TaskCommand::Transition(*to)).unwrap();
        }
    }

    pub fn status(&self, task: TaskId) -> TaskStatus {
        self.world.ledger.tasks[&task].status
    }

    pub fn phase(&self, delegation: DelegationId) -> Phase {
        self.world.ledger.delegations[&delegation].phase
    }

    /// Returns where the task went, from the first of its states on.
    pub fn path(&self, task: TaskId) -> Vec<TaskStatus> {
        let own = self.world.log.iter().filter(|entry| entry.fact.subject == Subject::Task(task));
        own.filter_map(|entry| match &entry.fact.event {
            Event::Task(TaskEvent::Created { status, .. }) => Some(*status),
            Event::Task(TaskEvent::Transitioned { to, .. }) => Some(*to),
            Event::Task(TaskEvent::Ready { .. }) => Some(TaskStatus::Ready),
            _ => None,
        })
        .collect()
    }

    /// Returns the tasks that the agenda offers, later than any backoff.
    pub fn offered(&mut self) -> Vec<TaskId> {
        self.world.pass(60_000);
        let agenda = self.world.workspace.schedule().agenda(self.world.now, 7, Bulkheads::default());
        agenda.dispatch.into_iter().map(|offer| offer.task).collect()
    }
}
