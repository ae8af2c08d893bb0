//! One transaction per command, as a backend without a writer would do it: the head of the workspace's log is a row
//! that each transaction locks, which gives contiguous offsets on any number of connections. Everything else goes
//! through Link's own functions, with batches of one. The lookup of the key is left out: its primary key would do.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use link::{
    actors::{Context, request::Receipt},
    domain::{
        event::{ConversationEvent, Event, Recorded},
        ids::{ConversationId, Subject, WorkspaceId},
        principal::Principal,
    },
    persistence::log::{self, Head, Lease, Remembered},
};
use sqlx::Row;

use crate::rooms::{Room, Rooms, parts};

/// The baseline's workspaces, under leases of this node that stay valid throughout.
pub struct Baseline {
    context: Arc<Context>,
    rooms: Rooms,
    leases: HashMap<WorkspaceId, Lease>,
    seqs: HashMap<ConversationId, AtomicU64>,
}

impl Baseline {
    /// Takes rooms over that Link has made and will not touch again.
    pub async fn over(context: Arc<Context>, rooms: Rooms) -> Self {
        let pool = &context.pool;
        sqlx::query(
            r#"CREATE TABLE IF NOT EXISTS bench_heads
               (workspace_id uuid PRIMARY KEY, "offset" bigint NOT NULL, hash bytea NOT NULL) WITH (fillfactor = 50)"#,
        )
        .execute(pool)
        .await
        .expect("the table can be made");
        let mut leases = HashMap::new();
        for Room { workspace, .. } in &rooms.all {
            if leases.contains_key(workspace) {
                continue;
            }
            let head = log::head(pool, *workspace).await.expect("the log can be read");
            sqlx::query("INSERT INTO bench_heads VALUES ($1, $2, $3)")
                .bind(workspace.0)
                .bind(head.offset as i64)
                .bind(&head.hash[..])
                .execute(pool)
                .await
                .expect("the row is new");
            leases.insert(*workspace, context.membership.lease(*workspace).await.expect("this node has all shards"));
        }
        let seqs = rooms.all.iter().map(|room| (room.conversation, AtomicU64::new(0))).collect();
        Self { context, rooms, leases, seqs }
    }

    /// Posts a message in a transaction of its own.
    pub async fn post(&self, caller: usize, nth: usize) {
        let room = self.rooms.room(caller, nth);
        self.commit(room).await.expect("the command is committed");
    }

    async fn commit(&self, room: Room) -> Result<(), log::Error> {
        let lease = &self.leases[&room.workspace];
        let key: uuid::Uuid = self.context.clock.id();
        let mut tx = self.context.pool.begin().await?;
        let row = sqlx::query(r#"SELECT "offset", hash FROM bench_heads WHERE workspace_id = $1 FOR UPDATE"#)
            .bind(room.workspace.0)
            .fetch_one(&mut *tx)
            .await?;
        let hash = row.try_get::<Vec<u8>, _>(1)?.try_into().expect("a hash has 32 bytes");
        let head = Head { offset: row.try_get::<i64, _>(0)? as u64, hash };
        let event = self.message(room, head.offset + 1, &key);
        let receipt = Receipt { subject: event.subject, offset: event.offset, made: None };
        let remembered = Remembered {
            key: key.to_string(),
            request_hash: vec![7; 32],
            answer: serde_json::to_value(receipt).expect("a receipt is plain data"),
        };
        let head = log::append_in(&mut tx, lease, room.workspace, &head, &[event], &[remembered]).await?;
        sqlx::query(r#"UPDATE bench_heads SET "offset" = $2, hash = $3 WHERE workspace_id = $1"#)
            .bind(room.workspace.0)
            .bind(head.offset as i64)
            .bind(&head.hash[..])
            .execute(&mut *tx)
            .await?;
        tx.commit().await.map_err(log::Error::Unknown)
    }

    fn message(&self, room: Room, offset: u64, trace: &uuid::Uuid) -> Recorded {
        let clock = &self.context.clock;
        let author = Principal::User(self.rooms.user);
        let seq = self.seqs[&room.conversation].fetch_add(1, Ordering::Relaxed) + 1;
        let (message, kind) = (clock.id(), Default::default());
        let event =
            ConversationEvent::Message { message, seq, author, parts: parts(), parent: None, mentions: vec![], kind };
        Recorded {
            offset,
            id: clock.id(),
            subject: Subject::Conversation(room.conversation),
            refs: vec![],
            actor: author,
            on_behalf_of: None,
            at: clock.now(),
            cause: None,
            trace: trace.simple().to_string(),
            audience: None,
            event: Event::Conversation(event),
        }
    }
}
