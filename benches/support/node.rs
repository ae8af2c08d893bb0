//! A node with a Postgres of its own that waits for the disk, as in production. In memory the numbers would be about
//! another program.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use link::{
    actors::{Context, Directory},
    config::{Config, Rates},
    node::Node,
};
use sqlx::PgPool;

use crate::support::scratch;

/// A running node and its directory, which `stop` removes.
pub struct BenchNode {
    node: Node,
    root: PathBuf,
}

impl BenchNode {
    /// Starts a node.
    pub async fn start(name: &str) -> Self {
        let root = scratch(name);
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let config = Config {
            http_addr: any,
            cluster_addr: any,
            node: "bench".into(),
            rates: Rates { reads: 0, writes: 0, credentials: 0 },
            data_dir: root.clone(),
            pg_bin: std::env::var_os("LINK_PG_BIN").map(PathBuf::from),
            log: std::env::var("RUST_LOG").unwrap_or("warn".into()),
            ..Config::built_in()
        };
        link::telemetry::logs(&config.log, false);
        let node = Node::start(config).await.expect("a node starts: it needs PostgreSQL");
        Self { node, root }
    }

    /// Returns the workspaces.
    pub fn directory(&self) -> &Directory {
        &self.node.api().services().directory
    }

    /// Returns what all actors share.
    pub fn context(&self) -> &Arc<Context> {
        self.directory().context()
    }

    /// Returns the database.
    pub fn pool(&self) -> &PgPool {
        &self.context().pool
    }

    /// Returns a directory on the disk that Postgres writes to.
    pub fn disk(&self) -> &PathBuf {
        &self.root
    }

    /// Stops the node and removes everything.
    pub async fn stop(self) {
        self.node.stop().await;
        std::fs::remove_dir_all(&self.root).expect("nobody uses it any more");
    }
}
