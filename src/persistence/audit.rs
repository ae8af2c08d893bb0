//! The hash chain: each event's hash covers the one before, so that nobody can change or drop an event unseen.

use aws_lc_rs::digest::{Context, SHA256};
use sqlx::PgPool;

use crate::domain::{event::Recorded, ids::WorkspaceId};

use super::log;

/// The hash before the first event.
pub const GENESIS: [u8; 32] = [0; 32];

/// Returns the hash of an event that follows `previous`.
///
/// SHA-256 over `previous` and, each ended by a zero byte: offset, id, type, subject, actor, on_behalf_of, time in
/// milliseconds, data as the log stores it.
pub fn chained(previous: &[u8], event: &Recorded, kind: &str, data: &str) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    digest.update(previous);
    let on_behalf_of = event.on_behalf_of.map(|who| who.to_string()).unwrap_or_default();
    let fields = [
        event.offset.to_string(),
        event.id.to_string(),
        kind.to_owned(),
        event.subject.to_string(),
        event.actor.to_string(),
        on_behalf_of,
        event.at.timestamp_millis().to_string(),
        data.to_owned(),
    ];
    for field in fields {
        digest.update(field.as_bytes());
        digest.update(&[0]);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.finish().as_ref());
    hash
}

/// What a check of the chain found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every event up to this offset is as it was written.
    Whole {
        /// The last offset.
        head: u64,
    },
    /// The event at this offset, or the one before, is not.
    Broken {
        /// Where.
        offset: u64,
    },
}

/// Walks the whole chain of a workspace.
pub async fn verify(pool: &PgPool, workspace: WorkspaceId) -> Result<Verdict, log::Error> {
    let (mut previous, mut head) = (GENESIS, 0);
    loop {
        let page = log::page_with_hashes(pool, workspace, head, 1_000).await?;
        if page.is_empty() {
            return Ok(Verdict::Whole { head });
        }
        for (event, kind, data, stored) in page {
            let expected = chained(&previous, &event, &kind, &data);
            if event.offset != head + 1 || stored != expected {
                return Ok(Verdict::Broken { offset: event.offset });
            }
            (previous, head) = (expected, event.offset);
        }
    }
}
