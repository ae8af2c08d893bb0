//! The supervisor of one workspace's actors: starts them, knows them, and decides what happens when one fails.

mod open;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

use dashmap::DashMap;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use ractor_cluster::RactorMessage;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::domain::{
    ids::*,
    workspace::{Runner, Running, RunningTurn, Schedule},
};

use super::{
    children::Child,
    conductor::{self, ConductorMessage},
    context::Context,
    documents::DocumentHandle,
    entity::{self, EntityArguments, EntityHandle},
    peers::{self, Connection, End, PeerArguments},
    probe::{self, ProbeMessage},
    run::{self, RunArguments, RunMessage},
    supervision::Intensity,
    turn::{self, TurnArguments},
    webhooks,
    workspace::{Hurt, Members, WorkspaceHandle},
    writer::{self, WriterArguments},
};

/// The most time between two looks for idle entities.
const SWEEP_EVERY_MAX: Duration = Duration::from_secs(30);

/// What a workspace's supervisor is told.
#[derive(RactorMessage)]
pub(super) enum SupervisorMessage {
    /// Find or start an entity; the second is one that was found dead.
    Activate(Subject, Option<ActorId>, RpcReplyPort<Result<EntityHandle, String>>),
    /// Make sure that a running attempt has its actor.
    Run(Running),
    /// Make sure that a running turn has its actor.
    Turn(RunningTurn),
    /// Make sure that exactly these instances are probed.
    Probe(Vec<(InstanceId, Runner)>),
    /// Make sure that exactly these webhooks have a courier.
    Deliver(Vec<WebhookId>),
    /// Look after an agent that has connected.
    Connect(PeerArguments, RpcReplyPort<()>),
    /// Find or start the host of a document.
    Open(DocumentId, RpcReplyPort<Result<DocumentHandle, String>>),
    /// Let idle entities go.
    Sweep,
    /// Let one of them panic.
    Hurt(Hurt),
}

pub(super) struct Supervisor;

pub(super) struct SupervisorState {
    pub(super) handle: WorkspaceHandle,
    pub(super) schedule: watch::Receiver<Arc<Schedule>>,
    pub(super) children: HashMap<ActorId, Child>,
    pub(super) probes: HashMap<InstanceId, ActorRef<ProbeMessage>>,
    pub(super) couriers: HashMap<WebhookId, ActorCell>,
    pub(super) peers: HashMap<ActorId, (InstanceId, Arc<Connection>)>,
    pub(super) failing: HashMap<Child, (Intensity, usize, Instant)>,
}

/// Spawns a workspace's actors below the directory.
pub(super) async fn spawn(
    context: Arc<Context>,
    id: WorkspaceId,
    directory: ractor::ActorCell,
) -> Result<WorkspaceHandle, ractor::SpawnErr> {
    let (schedule, seen) = watch::channel(Arc::new(Schedule::default()));
    let members = Arc::new(Members {
        writer: OnceLock::new(),
        conductor: OnceLock::new(),
        entities: DashMap::new(),
        runs: DashMap::new(),
        couriers: DashMap::new(),
        documents: DashMap::new(),
        turns: DashMap::new(),
        asked: DashMap::new(),
        schedule: seen,
    });
    let arguments = (context.clone(), id, members.clone(), schedule);
    let (supervisor, _) = Actor::spawn_linked(None, Supervisor, arguments, directory).await?;
    Ok(WorkspaceHandle { id, context, members, supervisor })
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = SupervisorState;
    type Arguments = (Arc<Context>, WorkspaceId, Arc<Members>, watch::Sender<Arc<Schedule>>);

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        (context, id, members, schedule): Self::Arguments,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let seen = members.schedule.clone();
        let arguments = WriterArguments { context: context.clone(), workspace: id, members: members.clone(), schedule };
        let handle = WorkspaceHandle { id, context, members, supervisor: myself.clone() };
        let writer = writer::spawn(arguments, myself.get_cell()).await?;
        let mut state = SupervisorState {
            handle,
            schedule: seen,
            children: HashMap::new(),
            probes: HashMap::new(),
            couriers: HashMap::new(),
            peers: HashMap::new(),
            failing: HashMap::new(),
        };
        let conductor = state.start_conductor(&myself).await?;
        // Both cells are new, so nobody has set them.
        let _ = state.handle.members.conductor.set(conductor);
        let _ = state.handle.members.writer.set(writer);
        let idle = state.handle.context.entity_idle;
        let every = (idle / 4).clamp(Duration::from_millis(50), SWEEP_EVERY_MAX);
        myself.send_interval(every, || SupervisorMessage::Sweep);
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Activate(subject, replacing, reply) => {
                answer(reply, state.activate(&myself, subject, replacing).await);
            }
            SupervisorMessage::Run(running) => state.run(&myself, running).await?,
            SupervisorMessage::Turn(running) => state.turn(&myself, running).await?,
            SupervisorMessage::Probe(wanted) => state.probe(&myself, wanted).await?,
            SupervisorMessage::Deliver(wanted) => state.deliver(&myself, wanted).await?,
            SupervisorMessage::Connect(arguments, reply) => {
                state.connect(&myself, arguments).await?;
                answer(reply, ());
            }
            SupervisorMessage::Open(id, reply) => answer(reply, state.open(&myself, id).await),
            SupervisorMessage::Hurt(Hurt::Run(task, attempt)) => {
                if let Some(run) = state.handle.members.run(task, attempt) {
                    let _ = run.cast(RunMessage::Panic);
                }
            }
            SupervisorMessage::Hurt(Hurt::Probe(instance)) => {
                if let Some(probe) = state.probes.get(&instance) {
                    let _ = probe.cast(ProbeMessage::Panic);
                }
            }
            SupervisorMessage::Sweep => {
                state.handle.members.entities.iter().for_each(|entity| entity.sweep());
                metrics::gauge!("link_entities_active").set(state.handle.members.entities.len() as f64);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, failure) = match event {
            SupervisionEvent::ActorTerminated(cell, _, _) => (cell, None),
            SupervisionEvent::ActorFailed(cell, error) => (cell, Some(error.to_string())),
            _ => return Ok(()),
        };
        // Only the writer is not in the table: without it nothing here can go on.
        let Some(child) = state.children.remove(&cell.get_id()) else {
            return Err(failure.unwrap_or_else(|| "the writer stopped".into()).into());
        };
        state.forget(&child, cell.get_id());
        let Some(error) = failure else { return Ok(()) };
        metrics::counter!("link_actor_failures_total", "actor" => child.name()).increment(1);
        let pause = state.failed(&child);
        tracing::error!(actor = child.name(), ?child, %error, pause_ms = pause.as_millis() as u64, "actor failed");
        state.recover(&myself, child, pause, error).await
    }
}

fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, answer: T) {
    if !reply.is_closed() {
        let _ = reply.send(answer);
    }
}

impl SupervisorState {
    async fn activate(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        subject: Subject,
        replacing: Option<ActorId>,
    ) -> Result<EntityHandle, String> {
        let entities = &self.handle.members.entities;
        if let Some(known) = entities.get(&subject)
            && Some(known.actor_id()) != replacing
        {
            return Ok(known.clone());
        }
        if let Some(until) = self.parked(&Child::Entity(subject)) {
            let left = until.saturating_duration_since(Instant::now());
            return Err(format!("{subject} keeps failing and is left alone; try again in {} ms", left.as_millis()));
        }
        let writer = self.handle.members.writer.get().cloned().ok_or("the workspace is stopping")?;
        let (context, workspace) = (self.handle.context.clone(), self.handle.id);
        let arguments = EntityArguments { context, workspace, subject, writer };
        let entity = entity::spawn(arguments, myself.get_cell()).await.map_err(|error| error.to_string())?;
        self.children.insert(entity.actor_id(), Child::Entity(subject));
        entities.insert(subject, entity.clone());
        Ok(entity)
    }

    async fn run(&mut self, myself: &ActorRef<SupervisorMessage>, running: Running) -> Result<(), ActorProcessingErr> {
        let child = Child::Run(running.clone());
        if self.handle.members.has_run(running.task, running.attempt) || self.parked(&child).is_some() {
            return Ok(());
        }
        let runner = self.schedule.borrow().runner(running.agent, running.instance).cloned();
        let arguments = RunArguments { handle: self.handle.clone(), running: running.clone(), runner };
        let actor = run::spawn(arguments, myself.get_cell()).await?;
        self.children.insert(actor.get_id(), child);
        self.handle.members.runs.entry(running.task).or_default().push((running.attempt, actor.clone()));
        // Only now that it can be found: whatever is decided from here on reaches it.
        Ok(actor.cast(RunMessage::Start)?)
    }

    async fn turn(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        running: RunningTurn,
    ) -> Result<(), ActorProcessingErr> {
        let child = Child::Turn(running.clone());
        if self.handle.members.turns.contains_key(&running.turn) || self.parked(&child).is_some() {
            return Ok(());
        }
        let (turn, conversation, schedule) = (running.turn, running.conversation, self.schedule.borrow().clone());
        // What the conductor saw may be over by now.
        if !schedule.turns().any(|known| *known == running) {
            return Ok(());
        }
        let arguments = TurnArguments { handle: self.handle.clone(), running, schedule };
        let actor = turn::spawn(arguments, myself.get_cell()).await?;
        self.children.insert(actor.get_id(), child);
        self.handle.members.turns.insert(turn, (conversation, actor.clone()));
        // Only now that it can be found: whatever is decided from here on reaches it.
        actor.cast(RunMessage::Start)?;
        Ok(())
    }

    async fn probe(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        wanted: Vec<(InstanceId, Runner)>,
    ) -> Result<(), ActorProcessingErr> {
        let asked = &self.handle.members.asked;
        self.probes.retain(|id, actor| {
            let keep = wanted.iter().any(|(wanted, _)| wanted == id);
            if !keep {
                actor.stop(Some("the instance was removed".into()));
                asked.remove(id);
            }
            keep
        });
        // What an agent has no longer must not stay connected.
        let known: HashSet<InstanceId> = self.schedule.borrow().runners().map(|(id, _)| id).collect();
        let unwanted = self.peers.values().filter(|(id, _)| !known.contains(id));
        unwanted.for_each(|(_, connection)| connection.end(End::Removed));
        for (id, runner) in wanted {
            if !self.probes.contains_key(&id) && self.parked(&Child::Probe(id)).is_none() {
                let actor = probe::spawn(self.handle.clone(), id, runner, myself.get_cell()).await?;
                self.children.insert(actor.get_id(), Child::Probe(id));
                self.probes.insert(id, actor);
            }
        }
        Ok(())
    }

    async fn connect(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        arguments: PeerArguments,
    ) -> Result<(), ActorProcessingErr> {
        let (instance, connection) = (arguments.instance, arguments.connection.clone());
        let actor = peers::spawn(arguments, myself.get_cell()).await?;
        self.children.insert(actor.get_id(), Child::Peer(instance));
        self.peers.insert(actor.get_id(), (instance, connection));
        Ok(())
    }

    async fn deliver(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        wanted: Vec<WebhookId>,
    ) -> Result<(), ActorProcessingErr> {
        let unwanted = self.couriers.iter().filter(|(id, _)| !wanted.contains(id));
        unwanted.for_each(|(_, courier)| courier.stop(Some("the webhook is switched off".into())));
        for id in wanted {
            if !self.couriers.contains_key(&id) && self.parked(&Child::Courier(id)).is_none() {
                let wake = Arc::new(Notify::new());
                let courier = webhooks::spawn(self.handle.clone(), id, wake.clone(), myself.get_cell()).await?;
                self.children.insert(courier.get_id(), Child::Courier(id));
                self.couriers.insert(id, courier.get_cell());
                self.handle.members.couriers.insert(id, wake);
            }
        }
        Ok(())
    }

    async fn start_conductor(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<ActorRef<ConductorMessage>, ActorProcessingErr> {
        let conductor = conductor::spawn(self.handle.clone(), self.schedule.clone(), myself.get_cell()).await?;
        self.children.insert(conductor.get_id(), Child::Conductor);
        Ok(conductor)
    }
}
