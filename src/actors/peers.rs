//! The actor of a connected agent: it tells the workspace that the instance lives, watches for its signs of life, and
//! says so when it has gone. What the agent says about its work does not pass through here; see `agents::peer`.

use std::{sync::Arc, time::Duration};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    agents::{Failure, Health},
    domain::{
        agent::{AgentCommand, PEER},
        failure::FailureClass,
        ids::{AgentId, InstanceId, Subject, WorkspaceId},
        model::Command,
        principal::Principal,
    },
    persistence::{
        peers,
        queries::{self, Listed},
        views::AgentView,
    },
};

use super::{probe, request::CommandError, supervisor::SupervisorMessage, workspace::WorkspaceHandle};

pub use crate::agents::peer::{
    CONTENT_MAX, Connection, End, Heard, Hello, Limits, Said, Server, Told, Unusable, Welcome, hello, read,
};

/// How often an agent's signs of life are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// An agent's server that has connected.
pub struct Connected {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Which of the agent's servers it is.
    pub instance: InstanceId,
    /// The connection.
    pub connection: Arc<Connection>,
    handle: WorkspaceHandle,
}

impl Connected {
    /// Takes a frame about an attempt; waits while the attempt has too much to do.
    pub async fn hear(&self, said: Said) {
        self.handle.context.peers.hear(self.instance, &self.connection, said).await;
    }

    /// Returns how often the agent has to say that it lives, and after what silence it is suspect, and lost.
    pub fn pace(&self) -> [Duration; 3] {
        let pace = self.handle.context.peers.pace;
        [pace.heartbeat, pace.suspect, pace.lost]
    }
}

impl WorkspaceHandle {
    /// Lets one of an agent's servers in that has connected. The same name again is the same server. What has to be sent
    /// to it comes out of the receiver.
    #[tracing::instrument(name = "actors.workspace.connect", skip_all, fields(%agent))]
    pub async fn connect(
        &self,
        agent: AgentId,
        hello: Hello,
    ) -> Result<(Connected, mpsc::Receiver<Told>), CommandError> {
        let unavailable = |error: &dyn std::error::Error| CommandError::Unavailable(error.to_string());
        let context = &self.context;
        let (id, boot): (InstanceId, Uuid) = (context.clock.id(), context.clock.id());
        let url = format!("{PEER}{}", hello.name);
        let Hello { name, capacity: slots, skills, running, .. } = hello;
        let command = AgentCommand::Connect { id, name, slots, skills, boot: boot.to_string() };
        let meta = self.meta(Principal::Agent(agent), None);
        self.execute(Subject::Agent(agent), Command::Agent(command), meta).await?;
        let tenant = context.tenant(self.id);
        let known = queries::get::<AgentView>(&tenant, Listed::Agents, agent.0).await;
        let known = known.map_err(|error| unavailable(&error))?;
        let instance = known.and_then(|agent| agent.instances.into_iter().find(|one| one.url == url));
        let instance = instance.ok_or_else(|| CommandError::Unavailable("the instance was removed".into()))?.id;
        let (connection, frames) = context.peers.connect(instance, boot, &running);
        let arguments = PeerArguments { handle: self.clone(), agent, instance, connection: connection.clone() };
        let spawned = ractor::call_t!(self.supervisor, SupervisorMessage::Connect, 5_000, arguments);
        spawned.map_err(|error| unavailable(&error))?;
        let connected = Connected { workspace: self.id, instance, connection, handle: self.clone() };
        // Asked after the connection is in its place: what is handed out from here on goes to it.
        let held = peers::held(&tenant, instance).await.map_err(|error| unavailable(&error))?;
        for one in running {
            if !held.contains(&(one.attempt, one.fence)) {
                context.peers.release(&connected.connection, one);
            }
        }
        Ok((connected, frames))
    }
}

/// The connection goes with whoever holds this: the door, or the actor, whichever ends first.
impl Drop for Connected {
    fn drop(&mut self) {
        self.handle.context.peers.disconnect(self.instance, &self.connection);
        self.connection.end(End::Going);
    }
}

/// What a connected agent's actor is told.
#[derive(RactorMessage)]
pub(super) enum PeerMessage {
    /// Look for signs of life.
    Look,
    /// The connection has ended.
    Ended,
}

#[derive(Clone)]
pub(super) struct PeerArguments {
    pub handle: WorkspaceHandle,
    pub agent: AgentId,
    pub instance: InstanceId,
    pub connection: Arc<Connection>,
}

pub(super) struct Peer;

/// Spawns it below the workspace's supervisor.
pub(super) async fn spawn(
    arguments: PeerArguments,
    supervisor: ractor::ActorCell,
) -> Result<ActorRef<PeerMessage>, ractor::SpawnErr> {
    let (actor, _) = Actor::spawn_linked(None, Peer, arguments, supervisor).await?;
    Ok(actor)
}

/// Killed or stopped, its connection ends with it.
pub(super) struct PeerState(PeerArguments);

impl Drop for PeerState {
    fn drop(&mut self) {
        self.0.connection.end(End::Going);
        metrics::gauge!("link_peers_connected").decrement(1.0);
    }
}

impl Actor for Peer {
    type Msg = PeerMessage;
    type State = PeerState;
    type Arguments = PeerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<PeerMessage>,
        arguments: PeerArguments,
    ) -> Result<PeerState, ActorProcessingErr> {
        metrics::gauge!("link_peers_connected").increment(1.0);
        myself.send_interval(LOOK_EVERY, || PeerMessage::Look);
        let (connection, actor) = (arguments.connection.clone(), myself.clone());
        // Ends with the connection, which does not outlive the actor.
        tokio::spawn(async move {
            connection.ended().await;
            let _ = actor.cast(PeerMessage::Ended);
        });
        Ok(PeerState(arguments))
    }

    async fn handle(
        &self,
        myself: ActorRef<PeerMessage>,
        message: PeerMessage,
        PeerState(state): &mut PeerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PeerMessage::Look => state.look().await,
            PeerMessage::Ended => {
                state.gone().await;
                myself.stop(None);
            }
        }
        Ok(())
    }
}

impl PeerArguments {
    async fn look(&self) {
        let (pace, silence) = (self.handle.context.peers.pace, self.connection.heard().elapsed());
        if silence >= pace.lost {
            self.connection.end(End::Silent);
        } else if self.connection.suspect(silence >= pace.suspect) {
            let health = match self.connection.is_suspect() {
                true => Err(silent(&format!("no sign of life for {:?}", pace.suspect))),
                false => Ok(Health { boot: Some(self.connection.id.to_string()), version: None, busy: None }),
            };
            self.record(&health).await;
        }
    }

    /// Says that the instance is away, unless another connection has taken its place.
    async fn gone(&self) {
        let peers = &self.handle.context.peers;
        peers.disconnect(self.instance, &self.connection);
        if !peers.is_connected(self.instance) {
            self.record(&Err(silent("not connected"))).await;
        }
    }

    async fn record(&self, health: &Result<Health, Failure>) {
        if let Err(error) = probe::record(&self.handle, self.instance, self.agent, health, None).await {
            tracing::debug!(%error, "whether the agent is there was not recorded; the next probe does it");
        }
    }
}

fn silent(why: &str) -> Failure {
    Failure::new(FailureClass::InstanceLost, why)
}
