//! Finds or starts workspaces on this node. When one falls, it is started again after a pause that grows.

use std::{collections::HashMap, sync::Arc, time::Duration};

use dashmap::DashMap;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use ractor_cluster::RactorMessage;
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    domain::ids::WorkspaceId,
    persistence::{queries, webhooks},
};

use super::{
    clients::Clients, context::Context, presence::Keeper, request::CommandError, supervision::Intensity, supervisor,
    workspace::WorkspaceHandle,
};

/// A cheap handle on all workspaces of this node.
#[derive(Clone)]
pub struct Directory {
    context: Arc<Context>,
    active: Arc<DashMap<WorkspaceId, WorkspaceHandle>>,
    actor: ActorRef<DirectoryMessage>,
}

impl Directory {
    /// Starts the directory; its task ends when the directory has stopped.
    pub async fn start(context: Arc<Context>) -> Result<(Self, JoinHandle<()>), ractor::SpawnErr> {
        let active: Arc<DashMap<WorkspaceId, WorkspaceHandle>> = Arc::default();
        let (actor, task) = Actor::spawn(None, Root, (context.clone(), active.clone())).await?;
        Ok((Self { context, active, actor }, task))
    }

    /// Returns what every actor of this node shares.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Finds or starts a workspace. It need not exist: creating one is a command like any other.
    pub async fn workspace(&self, id: WorkspaceId) -> Result<WorkspaceHandle, CommandError> {
        if let Some(known) = self.active.get(&id) {
            return Ok(known.clone());
        }
        let answer = ractor::call_t!(self.actor, DirectoryMessage::Activate, 5_000, id);
        let answer = answer.map_err(|error| CommandError::Unavailable(error.to_string()))?;
        answer.map_err(CommandError::Unavailable)
    }

    /// Returns a workspace that is in memory already.
    pub fn active(&self, id: WorkspaceId) -> Option<WorkspaceHandle> {
        self.active.get(&id).map(|known| known.clone())
    }

    /// Starts every workspace that has work open or a webhook to tell, so that runs and deliveries are picked up
    /// without anybody asking.
    pub async fn pick_up(&self) -> Result<usize, sqlx::Error> {
        let mut open = queries::workspaces_with_open_work(&self.context.pool).await?;
        open.extend(webhooks::workspaces(&self.context.pool).await?);
        open.sort_unstable();
        open.dedup();
        for id in &open {
            self.actor.cast(DirectoryMessage::Revive(*id)).map_err(|_| sqlx::Error::WorkerCrashed)?;
        }
        Ok(open.len())
    }

    /// Stops all workspaces; what was acknowledged is in the log.
    pub fn stop(&self) {
        self.actor.stop(Some("the node stops".into()));
    }
}

/// What the directory is told.
#[derive(RactorMessage)]
enum DirectoryMessage {
    /// Find or start a workspace.
    Activate(WorkspaceId, RpcReplyPort<Result<WorkspaceHandle, String>>),
    /// Start a workspace and have it look for open work.
    Revive(WorkspaceId),
    /// Start the keeper of presence.
    Keep,
}

struct Root;

struct RootState {
    context: Arc<Context>,
    active: Arc<DashMap<WorkspaceId, WorkspaceHandle>>,
    names: HashMap<ActorId, WorkspaceId>,
    failing: HashMap<WorkspaceId, (Intensity, Instant)>,
    keeper: Option<ActorId>,
    keeper_failing: Intensity,
}

impl Actor for Root {
    type Msg = DirectoryMessage;
    type State = RootState;
    type Arguments = (Arc<Context>, Arc<DashMap<WorkspaceId, WorkspaceHandle>>);

    async fn pre_start(
        &self,
        myself: ActorRef<DirectoryMessage>,
        (context, active): Self::Arguments,
    ) -> Result<RootState, ActorProcessingErr> {
        Clients::begin(&context, myself.get_cell()).await?;
        myself.cast(DirectoryMessage::Keep)?;
        let (names, failing) = (HashMap::new(), HashMap::new());
        Ok(RootState { context, active, names, failing, keeper: None, keeper_failing: Intensity::default() })
    }

    async fn handle(
        &self,
        myself: ActorRef<DirectoryMessage>,
        message: DirectoryMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            DirectoryMessage::Activate(id, reply) => {
                let answer = state.activate(&myself, id).await;
                if !reply.is_closed() {
                    let _ = reply.send(answer);
                }
            }
            DirectoryMessage::Revive(id) => match state.activate(&myself, id).await {
                Ok(handle) => {
                    if let Some(writer) = handle.members.writer.get() {
                        writer.wake();
                    }
                }
                Err(error) => tracing::warn!(workspace = %id, error, "workspace not started"),
            },
            DirectoryMessage::Keep => {
                let keeper = Actor::spawn_linked(None, Keeper, state.context.clone(), myself.get_cell()).await?.0;
                state.keeper = Some(keeper.get_id());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<DirectoryMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, error) = match event {
            SupervisionEvent::ActorTerminated(cell, _, reason) => (cell, reason.unwrap_or_default()),
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            _ => return Ok(()),
        };
        if state.keeper == Some(cell.get_id()) {
            metrics::counter!("link_actor_failures_total", "actor" => "presence").increment(1);
            let pause = state.keeper_failing.failed(Instant::now());
            tracing::error!(error, pause_ms = pause.as_millis() as u64, "the keeper of presence stopped");
            myself.send_after(pause + Duration::from_millis(1), || DirectoryMessage::Keep);
            return Ok(());
        }
        let Some(id) = state.names.remove(&cell.get_id()) else { return Ok(()) };
        state.active.remove_if(&id, |_, known| known.supervisor.get_id() == cell.get_id());
        let now = Instant::now();
        state.failing.retain(|_, (_, until)| now < *until + Intensity::WINDOW);
        let (intensity, until) = state.failing.entry(id).or_insert_with(|| (Intensity::default(), now));
        let pause = intensity.failed(now);
        *until = now + pause;
        metrics::counter!("link_actor_failures_total", "actor" => "workspace").increment(1);
        tracing::error!(workspace = %id, error, pause_ms = pause.as_millis() as u64, "workspace stopped");
        myself.send_after(pause + Duration::from_millis(1), move || DirectoryMessage::Revive(id));
        Ok(())
    }
}

impl RootState {
    async fn activate(
        &mut self,
        myself: &ActorRef<DirectoryMessage>,
        id: WorkspaceId,
    ) -> Result<WorkspaceHandle, String> {
        if let Some(known) = self.active.get(&id) {
            return Ok(known.clone());
        }
        let now = Instant::now();
        if let Some((_, until)) = self.failing.get(&id).filter(|(_, until)| *until > now) {
            let left = until.saturating_duration_since(now);
            return Err(format!("the workspace keeps failing and is left alone; try again in {} ms", left.as_millis()));
        }
        let handle =
            supervisor::spawn(self.context.clone(), id, myself.get_cell()).await.map_err(|error| error.to_string())?;
        self.names.insert(handle.supervisor.get_id(), id);
        self.active.insert(id, handle.clone());
        metrics::gauge!("link_workspaces_active").set(self.active.len() as f64);
        Ok(handle)
    }
}
