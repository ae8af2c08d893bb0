//! Who watches over the clients: a client actor that fails takes its own socket along and no other, is counted, and
//! leaves a word in the log. It is not started anew: whoever was connected connects again and goes on after its cursor.
//! Those that have nothing to do are sent to sleep.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use ractor_cluster::RactorMessage;

use super::{
    client_handle::{ClientHandle, WeakClient},
    context::Context,
};

/// How often those are looked for that have nothing to do; one that had nothing to do since the last time falls asleep.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// This node's clients.
#[derive(Default)]
pub struct Clients {
    supervisor: OnceLock<ActorCell>,
    awake: Mutex<Vec<WeakClient>>,
}

impl Clients {
    /// Returns the supervisor; there is none before the node's directory has begun.
    pub fn supervisor(&self) -> Option<&ActorCell> {
        self.supervisor.get()
    }

    /// Starts it, below the directory.
    pub(super) async fn begin(context: &Arc<Context>, directory: ActorCell) -> Result<(), SpawnErr> {
        let (watch, _) = Actor::spawn_linked(None, Watch, context.clone(), directory).await?;
        context.clients.supervisor.set(watch.get_cell()).map_err(|_| SpawnErr::ActorAlreadyStarted)
    }

    /// Notes that a client is awake.
    pub(super) fn woke(&self, client: &ClientHandle) {
        self.lock().push(client.downgrade());
    }

    /// Sends to sleep who has had nothing to do since the last time.
    pub fn sweep(&self) {
        let mut awake = std::mem::take(&mut *self.lock());
        awake.retain(|client| client.upgrade().is_some_and(|client| client.sweep()));
        let mut known = self.lock();
        known.append(&mut awake);
        metrics::gauge!("link_clients_awake").set(known.len() as f64);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<WeakClient>> {
        self.awake.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the supervisor is told, besides what becomes of its clients.
#[derive(RactorMessage)]
enum WatchMessage {
    /// Send to sleep who has nothing to do.
    Sweep,
}

struct Watch;

impl Actor for Watch {
    type Msg = WatchMessage;
    type State = Arc<Context>;
    type Arguments = Arc<Context>;

    async fn pre_start(
        &self,
        myself: ActorRef<WatchMessage>,
        context: Arc<Context>,
    ) -> Result<Arc<Context>, ActorProcessingErr> {
        myself.send_interval(SWEEP_EVERY, || WatchMessage::Sweep);
        Ok(context)
    }

    async fn handle(
        &self,
        _: ActorRef<WatchMessage>,
        WatchMessage::Sweep: WatchMessage,
        context: &mut Arc<Context>,
    ) -> Result<(), ActorProcessingErr> {
        context.clients.sweep();
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<WatchMessage>,
        event: SupervisionEvent,
        _: &mut Arc<Context>,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(client, error) = event {
            metrics::counter!("link_actor_failures_total", "actor" => "client").increment(1);
            tracing::error!(client = %client.get_id(), %error, "a client's actor failed; its socket is closed");
        }
        Ok(())
    }
}
