//! Who watches over the clients: a client actor that fails takes its own socket along and no other, is counted, and
//! leaves a word in the log. It is not started anew: whoever was connected connects again and goes on after its cursor.

use std::sync::OnceLock;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use ractor_cluster::RactorMessage;

/// The supervisor of this node's clients, as soon as there is one.
#[derive(Default)]
pub struct Clients(OnceLock<ActorCell>);

impl Clients {
    /// Returns the supervisor; there is none before the node's directory has begun.
    pub fn supervisor(&self) -> Option<&ActorCell> {
        self.0.get()
    }

    /// Starts it, below the directory.
    pub(super) async fn begin(&self, directory: ActorCell) -> Result<(), SpawnErr> {
        let (watch, _) = Actor::spawn_linked(None, Watch, (), directory).await?;
        self.0.set(watch.get_cell()).map_err(|_| SpawnErr::ActorAlreadyStarted)
    }
}

/// It is told nothing but what becomes of its clients.
#[derive(RactorMessage)]
enum Nothing {}

struct Watch;

impl Actor for Watch {
    type Msg = Nothing;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Nothing>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Nothing>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(client, error) = event {
            metrics::counter!("link_actor_failures_total", "actor" => "client").increment(1);
            tracing::error!(client = %client.get_id(), %error, "a client's actor failed; its socket is closed");
        }
        Ok(())
    }
}
