//! What every actor of a node needs, in one place.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::{
    agents::{AgentRuntime, peer::Peers},
    clock::Clock,
    cluster::Membership,
    domain::{
        agent::RuntimeKind,
        ids::{Subject, WorkspaceId},
        routing::Bulkheads,
        workspace::Patience,
    },
    persistence::{
        Pools,
        log::{self, Snapshot},
        secrets::Vault,
        tenant::Tenant,
    },
};

use super::{clients::Clients, feed::Feed, liveness::Silence, presence::Presence, webhooks::Postman};

/// Snapshots that are written at the same time; more are skipped, since the log has everything.
const SNAPSHOTS_MAX: usize = 4;

/// Ways to run agents: those that Link calls, and those that connect.
pub struct Runtimes {
    /// By the runtime's name.
    pub called: BTreeMap<&'static str, Arc<dyn AgentRuntime>>,
    /// Agents that connect to this node.
    pub peers: Arc<Peers>,
}

/// The node's database, clock, feed, leases, vault and agent runtimes.
pub struct Context {
    /// The database, for reads across workspaces, and those of the node itself.
    pub pool: PgPool,
    /// The database, for reads of one workspace.
    pub tenants: PgPool,
    /// The database, for the writers' commits.
    pub writes: PgPool,
    /// Time and ids.
    pub clock: Clock,
    /// Committed batches, to this node's clients.
    pub feed: Feed,
    /// Who is here.
    pub presence: Arc<Presence>,
    /// This node's leases.
    pub membership: Membership,
    /// Credentials of agent servers.
    pub vault: Vault,
    /// Sends events to endpoints outside.
    pub postman: Postman,
    /// Ways to run agents.
    pub runtimes: BTreeMap<&'static str, Arc<dyn AgentRuntime>>,
    /// Agents that are connected to this node.
    pub peers: Arc<Peers>,
    /// Who watches over the connected clients.
    pub clients: Clients,
    /// An entity that was not asked anything for this long leaves the memory.
    pub entity_idle: Duration,
    /// How much of a workspace's work may run at the same time.
    pub bulkheads: Bulkheads,
    /// After how long people are reminded of what waits for them.
    pub patience: Patience,
    /// How much silence of an agent there may be.
    pub silence: Silence,
    snapshots: Arc<Semaphore>,
}

/// What hosting keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Hosting {
    /// An entity that was not asked anything for this long leaves the memory.
    pub entity_idle: Duration,
    /// How much of a workspace's work may run at the same time.
    pub bulkheads: Bulkheads,
    /// After how long people are reminded of what waits for them.
    pub patience: Patience,
    /// How much silence of an agent there may be.
    pub silence: Silence,
}

impl Context {
    /// Puts a context together.
    pub fn new(
        pools: Pools,
        clock: Clock,
        membership: Membership,
        vault: Vault,
        postman: Postman,
        runtimes: Runtimes,
        Hosting { entity_idle, bulkheads, patience, silence }: Hosting,
    ) -> Self {
        let Runtimes { called: mut runtimes, peers } = runtimes;
        runtimes.insert(runtime_name(RuntimeKind::Peer), peers.clone());
        let snapshots = Arc::new(Semaphore::new(SNAPSHOTS_MAX));
        let Pools { reads: pool, tenants, writes } = pools;
        let presence = Arc::<Presence>::default();
        Self {
            pool,
            tenants,
            writes,
            feed: Feed::new(presence.clone(), clock.clone()),
            clock,
            presence,
            membership,
            vault,
            postman,
            runtimes,
            peers,
            clients: Clients::default(),
            entity_idle,
            bulkheads,
            patience,
            silence,
            snapshots,
        }
    }

    /// Returns the reads of one workspace.
    pub fn tenant(&self, workspace: WorkspaceId) -> Tenant {
        Tenant::new(self.tenants.clone(), workspace)
    }

    /// Returns the driver of a kind of agent.
    pub fn runtime(&self, kind: RuntimeKind) -> Option<Arc<dyn AgentRuntime>> {
        self.runtimes.get(runtime_name(kind)).cloned()
    }

    /// Saves a snapshot beside the work; skipped when too many are on their way.
    pub(super) fn save_snapshot(&self, workspace: WorkspaceId, subject: Subject, snapshot: Snapshot) {
        let Ok(permit) = self.snapshots.clone().try_acquire_owned() else { return };
        let pool = self.pool.clone();
        tokio::spawn(async move {
            let _permit = permit;
            if let Err(error) = log::save_snapshot(&pool, workspace, subject, &snapshot).await {
                tracing::warn!(%subject, %error, "snapshot not saved; the log still has everything");
            }
        });
    }
}

/// Returns the name of a runtime in metrics and settings.
pub fn runtime_name(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Penguin => "penguin",
        RuntimeKind::Scripted => "scripted",
        RuntimeKind::Peer => "peer",
    }
}
