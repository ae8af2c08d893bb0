//! Shared documents: found, or brought into memory.

use ractor::ActorRef;
use tokio::time::Instant;

use crate::{
    actors::documents::{self, DocumentHandle},
    domain::ids::DocumentId,
};

use super::{Child, SupervisorMessage, SupervisorState};

impl SupervisorState {
    pub(super) async fn open(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        id: DocumentId,
    ) -> Result<DocumentHandle, String> {
        if let Some(known) = self.handle.members.documents.get(&id).filter(|known| known.1.is_open()) {
            return Ok(known.1.clone());
        }
        if let Some(until) = self.parked(&Child::Document(id)) {
            let left = until.saturating_duration_since(Instant::now());
            return Err(format!("the document keeps failing and is left alone; try again in {} ms", left.as_millis()));
        }
        let started = documents::spawn(self.handle.clone(), id, myself.get_cell()).await;
        let (actor, document) = started.map_err(|error| error.to_string())?;
        self.children.insert(actor.get_id(), Child::Document(id));
        self.handle.members.documents.insert(id, (actor.get_id(), document.clone()));
        Ok(document)
    }
}
