//! Random plans: rows of moves that mean something in whatever state they meet, and sometimes nothing.

use proptest::{collection::vec, prelude::*, sample::select};

use crate::domain::{
    agent::{AgentCommand, Availability, NewInstance, RuntimeKind, WorseAt},
    claim::{ClaimedPath, Claims},
    ids::*,
    model::Command,
    principal::{Principal, Service},
    project::ProjectCommand,
    routing::Standing,
    task::{NewTask, Parked, TaskChange, TaskCommand, TaskStatus},
    text::{Label, Prose, Title},
    workspace::{Gate, Role, WorkspaceCommand},
};

use super::{
    plan_work as work,
    world::{Ask, World},
};

const CONDUCTOR: Principal = Principal::Service(Service::Conductor);

/// What a move is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    CreateTask,
    CreateProject,
    ChangeProject,
    UpdateTask,
    Transition,
    MoveCard,
    AddDependency,
    RemoveDependency,
    Delegate,
    Dispatch,
    DispatchAnywhere,
    Report,
    Release,
    Repeat,
    Answer,
    Review,
    Pause,
    Resume,
    Reassign,
    HandOff,
    FanOut,
    Cancel,
    Agent,
    Probe,
    Member,
    Team,
    Access,
    Talk,
    Turn,
    Follow,
    Webhook,
    Document,
    Desk,
    Checkpoint,
}

/// How often each kind comes; what leads deep comes often.
const WEIGHTS: [(u32, Kind); 34] = [
    (4, Kind::CreateTask),
    (1, Kind::CreateProject),
    (1, Kind::ChangeProject),
    (1, Kind::UpdateTask),
    (4, Kind::Transition),
    (1, Kind::MoveCard),
    (4, Kind::AddDependency),
    (2, Kind::RemoveDependency),
    (10, Kind::Delegate),
    (16, Kind::Dispatch),
    (2, Kind::DispatchAnywhere),
    (40, Kind::Report),
    (2, Kind::Release),
    (5, Kind::Repeat),
    (7, Kind::Answer),
    (8, Kind::Review),
    (2, Kind::Pause),
    (4, Kind::Resume),
    (2, Kind::Reassign),
    (10, Kind::HandOff),
    (6, Kind::FanOut),
    (3, Kind::Cancel),
    (3, Kind::Agent),
    (2, Kind::Probe),
    (3, Kind::Member),
    (3, Kind::Team),
    (10, Kind::Access),
    (14, Kind::Talk),
    (8, Kind::Turn),
    (1, Kind::Follow),
    (2, Kind::Webhook),
    (3, Kind::Document),
    (12, Kind::Desk),
    (2, Kind::Checkpoint),
];

/// One random command, or two that race.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub kind: Kind,
    /// Choices; what they choose depends on the kind and on the state.
    pub pick: [usize; 3],
    pub ms: u16,
    pub late: Option<(Kind, [usize; 3])>,
}

/// Returns plans of up to so many moves.
pub(crate) fn plans(moves_max: usize) -> impl Strategy<Value = Vec<Move>> {
    let kinds: Vec<Kind> = WEIGHTS.iter().flat_map(|(weight, kind)| vec![*kind; *weight as usize]).collect();
    let picks = || prop::array::uniform3(0..10_000usize);
    let late = prop::option::weighted(0.15, (select(kinds.clone()), picks()));
    let one = (select(kinds), picks(), 0..600u16, late);
    vec(one.prop_map(|(kind, pick, ms, late)| Move { kind, pick, ms, late }), moves_max / 2..=moves_max)
}

/// Runs a plan on a new workspace and lets `check` see the world after each move.
pub(crate) fn play(plan: &[Move], mut check: impl FnMut(&World)) -> World {
    let mut world = founded();
    for each in plan {
        world.pass(i64::from(each.ms));
        let Some(ask) = ask(&world, each.kind, &each.pick) else { continue };
        match each.late.and_then(|(kind, pick)| self::ask(&world, kind, &pick)) {
            Some(late) => drop(world.race(ask, late)),
            None => drop(world.run(ask)),
        }
        check(&world);
    }
    world
}

/// Returns one of six people; not all of them are members.
pub(super) fn person(n: usize) -> UserId {
    UserId(uuid::Uuid::from_u128(100 + n as u128 % 6))
}

pub(super) fn title(text: impl Into<String>) -> Title {
    Title::new(text).expect("short enough")
}

/// Chooses from a list that may be empty.
pub(super) fn choose<T>(from: impl IntoIterator<Item = T>, pick: usize) -> Option<T> {
    let mut from: Vec<T> = from.into_iter().collect();
    let n = from.len();
    (n > 0).then(|| from.swap_remove(pick % n))
}

/// A workspace with members of each role, a project, two tasks and two agents.
pub(super) fn founded() -> World {
    let mut world = World::new();
    let owner = Principal::User(person(0));
    let ask = |command| Ask { subject: Subject::Workspace(WorkspaceId(uuid::Uuid::from_u128(1))), by: owner, command };
    let create = WorkspaceCommand::Create { name: title("w"), owner: person(0) };
    world.run(ask(Command::Workspace(create))).expect("it is new");
    for (n, role) in [(1, Role::Admin), (2, Role::Member), (3, Role::Guest)] {
        let add = WorkspaceCommand::AddMember { user: person(n), role: role.into() };
        world.run(ask(Command::Workspace(add))).expect("an owner may");
    }
    let first = [Kind::CreateProject, Kind::CreateTask, Kind::CreateTask, Kind::CreateTask];
    for (n, kind) in first.into_iter().enumerate() {
        let ask = self::ask(&world, kind, &[n, 1, 1]).expect("a project is there");
        world.run(ask).expect("nothing clashes");
    }
    for n in 0..2 {
        let ask = register(&world, &[n, 1 + n, 1]);
        world.run(ask).expect("nothing clashes");
    }
    world
}

/// Makes a command of a kind, about something that is there.
pub(super) fn ask(world: &World, kind: Kind, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    let ledger = &world.ledger;
    let task = choose(ledger.tasks.keys().copied(), a);
    let about = |command| {
        Some(Ask {
            subject: Subject::Task(task?),
            by: Principal::User(person(c)),
            command: Command::Task(Box::new(command)),
        })
    };
    match kind {
        Kind::CreateTask if ledger.tasks.len() > 7 => None,
        Kind::CreateTask => {
            let depends_on = ledger.tasks.keys().copied().filter(|_| b % 5 == 0).skip(a % 5).step_by(3).collect();
            let new = NewTask {
                project: choose(ledger.projects.keys().copied(), c)?,
                title: title("t"),
                description: Prose::fitted(if a % 7 == 0 { " " } else { "do it" }),
                parked: if b % 6 == 0 { Parked::Backlog } else { Parked::No },
                priority: Default::default(),
                assignee: (c % 9 == 0).then(|| Principal::User(person(b))),
                parent: task.filter(|_| c % 4 == 0),
                depends_on,
                claims: claims(a / 7),
                skills: Default::default(),
            };
            let subject = Subject::Task(TaskId(world.fresh()));
            let by = Principal::User(person(c));
            Some(Ask { subject, by, command: Command::Task(Box::new(TaskCommand::Create(new))) })
        }
        Kind::CreateProject => {
            let key = choose([None, Some("KEY"), Some("LTB"), Some("LTB2"), Some("bad")], a)?.map(String::from);
            let create = ProjectCommand::Create { name: title("link the b"), key, description: Prose::default() };
            let subject = Subject::Project(ProjectId(world.fresh()));
            Some(Ask { subject, by: Principal::User(person(c)), command: Command::Project(create) })
        }
        Kind::ChangeProject => {
            let subject = Subject::Project(choose(ledger.projects.keys().copied().skip(1), a)?);
            let command = match b % 2 {
                0 => ProjectCommand::Archive,
                _ => ProjectCommand::Update { name: Some(title("new")), description: None },
            };
            Some(Ask { subject, by: Principal::User(person(c)), command: Command::Project(command) })
        }
        Kind::UpdateTask => {
            let assignee = choose([None, Some(None), Some(Some(Principal::User(person(b))))], b)?;
            let expected_version = (c % 3 == 0).then_some(world.head() - c as u64 % 7);
            let claims = (b % 4 == 1).then(|| claims(c));
            let skills = b.is_multiple_of(5).then(|| work::skills(c).filter(|_| c.is_multiple_of(3)).collect());
            about(TaskCommand::Update(TaskChange { assignee, expected_version, claims, skills, ..Default::default() }))
        }
        Kind::Transition => {
            let from = ledger.tasks[&task?].status;
            let cancel = |to: TaskStatus| to == TaskStatus::Cancelled && b % 4 != 0;
            let sensible =
                TaskStatus::ALL.iter().copied().filter(|to| c % 4 == 0 || from.may_become(*to) && !cancel(*to));
            about(TaskCommand::Transition(choose(sensible, b)?))
        }
        Kind::MoveCard => {
            let status = choose(TaskStatus::ALL.iter().copied(), b);
            about(TaskCommand::Move { status: status.filter(|_| c % 2 == 0), rank: "m".into() })
        }
        Kind::AddDependency => {
            let depends_on = choose(ledger.tasks.keys().copied(), b)?;
            let gate = choose([Gate::Blocks, Gate::Blocks, Gate::ReviewReadyOk, Gate::Relates, Gate::Duplicates], c)?;
            about(TaskCommand::AddDependency { depends_on, gate })
        }
        Kind::RemoveDependency => {
            let gates = ledger.tasks[&task?].gates.keys().copied();
            about(TaskCommand::RemoveDependency { depends_on: choose(gates, b).or(task)? })
        }
        Kind::Delegate => {
            let mut ask = about(work::delegate(world, task, pick))?;
            if b % 7 == 5 {
                ask.by = Principal::Agent(choose(ledger.agents.keys().copied(), c)?);
            }
            Some(ask)
        }
        Kind::Dispatch => work::dispatch(world, pick),
        Kind::DispatchAnywhere => work::dispatch_anywhere(world, pick),
        Kind::Report => work::report(world, pick),
        Kind::Release => work::release(world, pick),
        Kind::Repeat => {
            let reports = world.accepted.iter().rev().filter(|ask| work::is_report(ask));
            choose(reports.take(20), a * a % 20).cloned()
        }
        Kind::Answer => work::answer(world, pick),
        Kind::Review => work::review(world, pick),
        Kind::Pause | Kind::Resume | Kind::Reassign | Kind::Cancel => work::manage(world, kind, pick),
        Kind::FanOut => super::plan_squad::fan_out(world, pick),
        Kind::HandOff => super::plan_squad::hand_off(world, pick),
        Kind::Agent => agent(world, pick),
        Kind::Probe => probe(world, pick),
        Kind::Member => super::plan_people::member(world, pick),
        Kind::Team => super::plan_people::team(world, pick),
        Kind::Access => super::plan_people::access(world, pick),
        Kind::Talk => super::plan_talk::talk(world, pick),
        Kind::Turn => super::plan_talk::turn(world, pick),
        Kind::Follow => super::plan_talk::follow(world, pick),
        Kind::Webhook => super::plan_talk::webhook(world, pick),
        Kind::Document => super::plan_talk::document(world, pick),
        Kind::Desk => super::plan_desk::desk(world, pick),
        Kind::Checkpoint => super::plan_checkpoints::checkpoint(world, pick),
    }
}

/// A few paths that often overlap those of others.
fn claims(pick: usize) -> Claims {
    let paths = [&[][..], &["src"], &["src/a"], &["src/b", "docs"], &["docs/x"], &[]][pick % 6];
    paths.iter().map(|path| ClaimedPath::try_from((*path).to_owned()).expect("it is one")).collect()
}

fn register(world: &World, pick: &[usize; 3]) -> Ask {
    let [a, b, c] = *pick;
    let instances = (0..c % 3).map(|n| instance(world, b + n)).collect();
    let id = world.fresh();
    let command = AgentCommand::Register {
        name: title(if a % 5 == 4 { "same".to_owned() } else { format!("agent {id}") }),
        runtime: if c % 3 == 0 { RuntimeKind::Peer } else { RuntimeKind::Penguin },
        skills: work::skills(a + c).collect(),
        max_concurrency: 1 + b as u32 % 3,
        instances,
    };
    Ask { subject: Subject::Agent(id.into()), by: Principal::User(person(0)), command: Command::Agent(command) }
}

fn instance(world: &World, pick: usize) -> NewInstance {
    let (url, slots) = ("http://agent".to_owned(), 1 + pick as u32 % 2);
    NewInstance { id: world.fresh().into(), url, model: None, slots, turns_max: 10 }
}

fn agent(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    if a % 8 == 0 && world.ledger.agents.len() < 5 {
        return Some(register(world, pick));
    }
    let (id, staff) = choose(&world.ledger.agents, b)?;
    let known = choose(staff.slots.keys().copied(), c);
    let wanted = [Availability::Active, Availability::Paused, Availability::Draining];
    let command = match a % 8 {
        1 | 3 | 6 if staff.peer => AgentCommand::Connect {
            id: world.fresh().into(),
            name: Label::fitted(["one", "two"][c % 2]),
            slots: 1 + c as u32 % 2,
            skills: work::skills(b).collect(),
            boot: world.fresh().to_string(),
        },
        1 => AgentCommand::AddInstance(instance(world, c)),
        2 if b % 3 == 0 => AgentCommand::RemoveInstance(known?),
        3 => AgentCommand::AddInstance(NewInstance { id: known?, ..instance(world, c) }),
        4 => AgentCommand::Update {
            name: None,
            skills: Some(work::skills(b).collect()),
            max_concurrency: Some(1 + c as u32 % 3),
        },
        // Most come back to work, or nothing would be left to do.
        5 | 6 => AgentCommand::Want(Availability::Active),
        _ if c % 6 == 0 => AgentCommand::Want(Availability::Retired),
        _ => AgentCommand::Want(choose(wanted, c)?),
    };
    Some(Ask { subject: Subject::Agent(*id), by: Principal::User(person(0)), command: Command::Agent(command) })
}

/// Probes what the last probe of the same instance said, most of the time.
fn probe(world: &World, pick: &[usize; 3]) -> Option<Ask> {
    let [a, b, c] = *pick;
    if c % 3 == 2 {
        let (id, command) = choose(world.workspace.schedule().news(world.now), a)?;
        return Some(Ask { subject: Subject::Agent(id), by: CONDUCTOR, command: Command::Agent(command) });
    }
    let (id, staff) = choose(&world.ledger.agents, a)?;
    let instance = choose(staff.slots.keys().copied(), b)?;
    // What nothing in the log tells, too.
    let told = match c % 12 {
        1 => Some(AgentCommand::Stand { instance, standing: choose(Standing::ALL, b)?, cause: "so".into() }),
        4 => Some(AgentCommand::Fare { at: WorseAt::default(), worse: b % 2 == 0 }),
        _ => None,
    };
    if let Some(command) = told {
        return Some(Ask { subject: Subject::Agent(*id), by: CONDUCTOR, command: Command::Agent(command) });
    }
    let boot = choose([None, Some("one"), Some("two")], c)?.map(String::from);
    let healthy = c % 4 != 0;
    let cause = (!healthy).then(|| "no answer\0".to_owned());
    let command = AgentCommand::Probed { instance, healthy, boot, cause };
    let by = Principal::Service(Service::Probe);
    Some(Ask { subject: Subject::Agent(*id), by, command: Command::Agent(command) })
}
