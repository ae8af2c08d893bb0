//! Who is in a document and where their cursors are: never in the log, gone with the socket that said it.

use std::collections::HashMap;

use yrs::{
    ClientID,
    sync::{AwarenessUpdate, awareness::AwarenessUpdateEntry},
};

use super::SocketId;

/// Bytes of one client's state.
const STATE_BYTES_MAX: usize = 8 * 1024;
/// Clients that one socket may speak for.
const CLIENTS_OF_SOCKET_MAX: usize = 16;
/// What says that a client is gone.
const GONE: &str = "null";

/// What every client of a document says of itself.
#[derive(Default)]
pub(super) struct Awareness {
    clients: HashMap<ClientID, (SocketId, AwarenessUpdateEntry)>,
}

impl Awareness {
    /// Takes in what a socket says, and returns what of it was new. What is too large, no JSON, or
    /// speaks for too many, is left out: it is ephemeral.
    pub fn said(&mut self, socket: SocketId, update: AwarenessUpdate) -> Option<AwarenessUpdate> {
        let mut new = HashMap::new();
        for (client, entry) in update.clients {
            let known = self.clients.get(&client);
            let newer = known.is_none_or(|(_, known)| {
                entry.clock > known.clock || (entry.clock == known.clock && &*entry.json == GONE)
            });
            let own = || self.clients.values().filter(|(whose, _)| *whose == socket).count();
            let shown = entry.json.len() <= STATE_BYTES_MAX && is_json(&entry.json);
            if !newer || !shown || (known.is_none() && own() >= CLIENTS_OF_SOCKET_MAX) {
                continue;
            }
            if &*entry.json == GONE {
                if self.clients.remove(&client).is_none() {
                    continue;
                }
            } else {
                self.clients.insert(client, (socket, entry.clone()));
            }
            new.insert(client, entry);
        }
        (!new.is_empty()).then_some(AwarenessUpdate { clients: new })
    }

    /// Forgets everything that a socket said, and returns what tells the others.
    pub fn left(&mut self, socket: SocketId) -> Option<AwarenessUpdate> {
        let gone = self.clients.extract_if(|_, (whose, _)| *whose == socket);
        let gone =
            gone.map(|(client, (_, entry))| (client, AwarenessUpdateEntry { clock: entry.clock, json: GONE.into() }));
        let clients: HashMap<_, _> = gone.collect();
        (!clients.is_empty()).then_some(AwarenessUpdate { clients })
    }

    /// Returns everything.
    pub fn all(&self) -> Option<AwarenessUpdate> {
        let clients: HashMap<_, _> = self.clients.iter().map(|(client, (_, entry))| (*client, entry.clone())).collect();
        (!clients.is_empty()).then_some(AwarenessUpdate { clients })
    }
}

/// Every client of the document parses it, and the stock one fails over what is no JSON.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(client: u64, clock: u32, json: &str) -> AwarenessUpdate {
        AwarenessUpdate { clients: [(ClientID::new(client), AwarenessUpdateEntry { clock, json: json.into() })].into() }
    }

    #[test]
    fn the_newest_word_counts_and_ends_with_its_socket() {
        let (mut awareness, one, two) = (Awareness::default(), SocketId(1), SocketId(2));
        assert!(awareness.said(one, says(7, 2, r#"{"at":1}"#)).is_some());
        assert!(awareness.said(one, says(7, 1, r#"{"at":0}"#)).is_none(), "it is older");
        // The same client came back by another socket before the first was found to be dead.
        assert!(awareness.said(two, says(7, 3, r#"{"at":2}"#)).is_some());
        assert!(awareness.left(one).is_none());
        assert_eq!(awareness.all().map(|all| all.clients.len()), Some(1));
        assert_eq!(awareness.left(two), Some(says(7, 3, "null")));
        assert!(awareness.all().is_none());
    }

    #[test]
    fn what_no_client_could_parse_reaches_none() {
        let mut awareness = Awareness::default();
        for broken in ["{", "", "undefined", r#"{"at":}"#, &"[".repeat(4_000)] {
            assert!(awareness.said(SocketId(1), says(7, 2, broken)).is_none(), "{broken}");
        }
        assert!(awareness.all().is_none());
        assert!(awareness.said(SocketId(1), says(7, 2, r#"{"user":{"name":"Ada 🐧"},"at":[1,null]}"#)).is_some());
    }

    #[test]
    fn nobody_fills_the_memory_with_what_they_say_of_themselves() {
        let mut awareness = Awareness::default();
        assert!(awareness.said(SocketId(1), says(1, 1, &"x".repeat(STATE_BYTES_MAX + 1))).is_none());
        for client in 0..100 {
            let _ = awareness.said(SocketId(1), says(client, 1, "{}"));
        }
        assert_eq!(awareness.all().map(|all| all.clients.len()), Some(CLIENTS_OF_SOCKET_MAX));
    }
}
