//! The clock of a world: what happens next, and what is looked at after each step.

use std::collections::BTreeMap;

use crate::domain::{
    agent::{AgentCommand, NewInstance},
    event::{Event, TaskEvent},
    ids::*,
    model::Command,
    principal::{Principal, Service},
    project::ProjectCommand,
    routing::Draws,
    task::TaskCommand,
    text::{Label, Prose, Title},
    workspace::{Role, WorkspaceCommand},
};

use super::{
    Setting,
    following::Follow,
    link::{Answer, Ask, Node},
    outside::Server,
    people::Act,
    together::SKILL,
    trouble::Trouble,
    watch::{BULKHEADS, Watch},
    witness::LOOK_EVERY,
};

pub(super) const CONDUCTOR: Principal = Principal::Service(Service::Conductor);
/// When everybody is there and nothing breaks, everything ends in this time.
const CALM_MAX: u64 = 12 * 3_600_000;
/// A new delegation comes about this often.
const ARRIVE_EVERY: f64 = 25_000.0;
/// A command in so many kills the node that carries it out.
const KILLS: f64 = 0.004;

/// What happens at a time.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A person makes a task, or delegates it.
    Arrive(Option<TaskId>, u32),
    /// The conductor of a node looks at the queue.
    Conduct(u32),
    /// Somebody asks an instance whether it lives.
    Probe(InstanceId),
    /// A run at an instance does the next thing; the number is the instance's boot.
    Step(InstanceId, AttemptId, u32),
    /// What a run said reaches Link.
    Heard(InstanceId, AttemptId, usize),
    /// Link looks after a run; the number is the node.
    Look(AttemptId, u32),
    /// A person, or an agent that lies, does something.
    Act(Box<Act>),
    /// Somebody takes a task back to a checkpoint.
    GoBack(TaskId, CheckpointId),
    /// Something breaks.
    Break,
    /// Something is mended.
    Mend(Trouble),
    /// Everything is looked at.
    Watch,
    /// From now on nothing breaks, and everybody is there.
    Calm,
}

/// One workspace with all that is around it.
pub(super) struct World {
    pub setting: Setting,
    pub now: u64,
    pub draws: Draws,
    pub node: Node,
    pub servers: BTreeMap<InstanceId, Server>,
    pub follows: BTreeMap<AttemptId, Follow>,
    pub watch: Watch,
    pub people: Vec<UserId>,
    pub agents: Vec<AgentId>,
    pub project: ProjectId,
    pub team: Option<TeamId>,
    /// Delegations that were made.
    pub made: u32,
    pub calm: Option<u64>,
    /// When the last fault happened.
    pub broke: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    queued: u64,
}

impl World {
    /// Lets a world live until all of its work has ended.
    pub fn lived(setting: Setting) -> Self {
        let mut world = Self::founded(setting);
        while let Some(((at, _), happening)) = world.queue.pop_first() {
            world.now = at;
            world.happens(happening);
            let over = world.made == setting.delegations && world.watch.cards.is_empty();
            let late = world.calm.is_some_and(|since| world.now > since + CALM_MAX);
            // A mistake that was found is enough: what follows from it has no end.
            let found = setting.mistake.is_some() && !world.watch.tally.found.is_empty();
            if over || late || found {
                break;
            }
        }
        if setting.mistake.is_some() {
            return world;
        }
        let left: Vec<_> = world.watch.cards.iter().map(|(id, card)| (*id, card.status)).collect();
        for (id, status) in left {
            world.watch.tally.found("I9", format!("delegation {id} never ended: it is {status}"));
        }
        world.watch.examine();
        world
    }

    fn founded(setting: Setting) -> Self {
        let (node, draws) = (Node::new(setting.mistake), Draws::from_seed(setting.seed));
        let people = (1..=4).map(|n| UserId(uuid::Uuid::from_u128(n))).collect();
        let project = ProjectId(uuid::Uuid::from_u128(10));
        let (servers, follows, watch, queue) = Default::default();
        let mut world = Self {
            setting,
            now: 0,
            draws,
            node,
            servers,
            follows,
            watch,
            people,
            agents: vec![],
            project,
            team: None,
            made: 0,
            calm: None,
            broke: 0,
            queue,
            queued: 0,
        };
        world.found();
        world.later(10, Happening::Arrive(None, 0));
        world.later(20, Happening::Conduct(0));
        world.later(60_000, Happening::Break);
        world.later(LOOK_EVERY, Happening::Watch);
        world
    }

    fn found(&mut self) {
        let owner = Principal::User(self.people[0]);
        let workspace = Subject::Workspace(self.node.id);
        let mut say = |subject, command| {
            let ask = Ask { subject, by: owner, command, key: None };
            let answer = self.node.execute(0, &ask);
            assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
        };
        let name = |text: &str| Title::fitted(text);
        let create = WorkspaceCommand::Create { name: name("w"), owner: self.people[0] };
        say(workspace, Command::Workspace(create));
        for user in &self.people[1..] {
            let add = WorkspaceCommand::AddMember { user: *user, role: Role::Member.into() };
            say(workspace, Command::Workspace(add));
        }
        let create = ProjectCommand::Create { name: name("link"), key: None, description: Prose::default() };
        say(Subject::Project(self.project), Command::Project(create));
        for nth in 0..3 {
            self.agent(nth);
        }
        self.team_up();
        self.read(0);
    }

    fn agent(&mut self, nth: usize) {
        let id: AgentId = self.node.fresh();
        let mut instances = vec![];
        for _ in 0..1 + self.draws.below(3) {
            let instance: InstanceId = self.node.fresh();
            let model = [None, Some("small"), Some("large")][self.draws.below(3)].map(String::from);
            let slots = 1 + self.draws.below(3) as u32;
            instances.push(NewInstance { id: instance, url: "http://agent".into(), model, slots, turns_max: 20 });
            self.servers.insert(instance, Server::new(id));
            self.later(100, Happening::Probe(instance));
        }
        let register = AgentCommand::Register {
            name: Title::fitted(&format!("agent {nth}")),
            runtime: Default::default(),
            skills: Some(Label::fitted(SKILL)).into_iter().filter(|_| nth < 2).collect(),
            max_concurrency: 2 + self.draws.below(4) as u32,
            instances,
        };
        let (subject, by) = (Subject::Agent(id), Principal::User(self.people[0]));
        let answer = self.node.execute(0, &Ask { subject, by, command: Command::Agent(register), key: None });
        assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
        self.agents.push(id);
    }

    /// Lets something happen in so many milliseconds.
    pub fn later(&mut self, ms: u64, happening: Happening) {
        self.queued += 1;
        self.queue.insert((self.now + ms, self.queued), happening);
    }

    /// Draws a time between the two, in milliseconds.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + (self.draws.unit() * (to - from) as f64) as u64
    }

    pub fn happens_in(&mut self, share: f64) -> bool {
        self.draws.unit() < share
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive(task, tried) => self.arrive(task, tried),
            Happening::Conduct(life) => self.conduct(life),
            Happening::Probe(instance) => self.probe(instance),
            Happening::Step(instance, attempt, boot) => self.step(instance, attempt, boot),
            Happening::Heard(instance, attempt, nth) => self.heard(instance, attempt, nth),
            Happening::Look(attempt, life) => self.look(attempt, life),
            Happening::Act(act) => self.act(*act),
            Happening::GoBack(task, to) => self.go_back(task, to),
            Happening::Break => self.something_breaks(),
            Happening::Mend(trouble) => self.mend(trouble),
            Happening::Watch => self.look_at_all(),
            Happening::Calm => self.become_calm(),
        }
    }

    /// When the next delegation comes, if there is one more.
    pub fn next_arrival(&mut self) {
        if self.made < self.setting.delegations {
            let wait = (-(1.0 - self.draws.unit()).ln() * ARRIVE_EVERY) as u64;
            self.later(1 + wait.min(200_000), Happening::Arrive(None, 0));
        } else if self.calm.is_none() {
            let wait = self.between(600_000, 3_600_000);
            self.later(wait, Happening::Calm);
        }
    }

    /// Hands a command to Link, which may be killed before or after it has carried it out.
    pub fn tell(&mut self, ask: &Ask) -> Answer {
        if !self.node.up {
            return Answer::Lost;
        }
        let dies = self.may_break() && self.happens_in(KILLS);
        if dies && self.happens_in(0.5) {
            self.kill_node("Link is killed before a commit");
            return Answer::Lost;
        }
        let answer = self.node.execute(self.now, ask);
        if let Answer::Done(from) = answer {
            if let Some(key) = &ask.key {
                self.watch.carried_out(key);
            }
            self.read(from);
        }
        if dies {
            self.kill_node("Link is killed after a commit");
            return Answer::Lost;
        }
        answer
    }

    /// Everybody sees what was committed.
    fn read(&mut self, from: usize) {
        let (mut conducts, mut touched) = (false, vec![]);
        for nth in from..self.node.log.len() {
            let of = self.watch.read(&self.node.log[nth], self.now, self.node.life);
            touched.extend(of);
            if let Event::Task(event) = &self.node.log[nth].event {
                conducts |= of.is_some() || matches!(event, TaskEvent::AttemptReleased { .. });
            }
            self.react(nth);
        }
        if conducts {
            self.follow_all();
            self.later(5, Happening::Conduct(self.node.life));
        }
        for id in touched {
            self.look_at(id);
        }
    }

    pub fn conduct(&mut self, life: u32) {
        if !self.node.up || life != self.node.life {
            return;
        }
        let clock = self.node.clock(self.now);
        let seed = self.draws.word();
        for (agent, command) in self.node.workspace.schedule().news(clock) {
            let (subject, command) = (Subject::Agent(agent), Command::Agent(command));
            self.tell(&Ask { subject, by: CONDUCTOR, command, key: None });
        }
        let agenda = self.node.workspace.schedule().agenda(clock, seed, BULKHEADS);
        for offer in agenda.dispatch {
            let attempt = self.node.fresh();
            let (delegation, agent, instance, route) = (offer.delegation, offer.agent, offer.instance, offer.route);
            let command = TaskCommand::Dispatch { delegation, attempt, agent, instance, route };
            self.tell(&Ask::task(offer.task, CONDUCTOR, command));
        }
        if self.node.up {
            self.run_errands();
        }
    }

    fn probe(&mut self, instance: InstanceId) {
        let Some(server) = self.servers.get(&instance) else { return };
        let (healthy, agent, boot) = (server.reachable(), server.agent, server.boot.to_string());
        let cause = (!healthy).then(|| "no answer".to_owned());
        let command = AgentCommand::Probed { instance, healthy, boot: Some(boot), cause };
        let by = Principal::Service(Service::Probe);
        let ask = Ask { subject: Subject::Agent(agent), by, command: Command::Agent(command), key: None };
        let told = self.tell(&ask);
        if matches!(told, Answer::Done(from) if from < self.node.log.len()) {
            self.follow_all();
            self.later(5, Happening::Conduct(self.node.life));
        }
        self.later(if healthy { 5_000 } else { 1_000 }, Happening::Probe(instance));
    }
}
