//! One Postgres, `link serve` as a process over one database of it, and a node in this process over another.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use link::{
    api::Api,
    config::{Config, Rates},
    node::Node,
    persistence::embedded::{Durability, Server, Settings},
};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

use crate::{cpu::Cpu, support::scratch};

/// A server that is not ready by now is broken.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Everything that is measured.
pub struct Machine {
    root: PathBuf,
    database: Server,
    postgres: u32,
    child: Child,
    addr: SocketAddr,
    node: Node,
}

impl Machine {
    pub async fn start() -> Self {
        let root = scratch("doors");
        let home = root.join("database");
        let settings = Settings { root: home.clone(), bin_dir: None, durability: Durability::Full };
        let database = Server::start(settings).await.expect("PostgreSQL is installed");
        let mut connection = database.options("link").connect().await.expect("it has just started");
        sqlx::query("CREATE DATABASE inside").execute(&mut connection).await.expect("the name is free");
        connection.close().await.expect("nothing is open");
        let addr = free();
        let child = serve(&root.join("server"), addr, &database.url("link"));
        let node = node(&root.join("node"), database.url("inside")).await;
        Self { postgres: postmaster(&home), root, database, child, addr, node }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn database(&self) -> PgConnectOptions {
        self.database.options("link")
    }

    /// Where the process listens.
    pub fn server_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where the node in this process listens.
    pub fn node_url(&self) -> String {
        format!("http://{}", self.node.addr())
    }

    /// The operations of the node in this process.
    pub fn api(&self) -> &Api {
        self.node.api()
    }

    pub fn server_cpu(&self) -> Cpu {
        Cpu { link: self.child.id(), postgres: self.postgres }
    }

    pub fn own_cpu(&self) -> Cpu {
        Cpu { link: std::process::id(), postgres: self.postgres }
    }

    pub async fn stop(mut self) {
        let interrupt = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        assert!(interrupt.expect("there is a kill").success(), "the server is our child");
        self.child.wait().expect("the server is our child");
        self.node.stop().await;
        self.database.stop().await.expect("the database stops");
        std::fs::remove_dir_all(&self.root).expect("nobody uses it any more");
    }
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound")
}

fn postmaster(home: &Path) -> u32 {
    let file = std::fs::read_to_string(home.join("postgres/data/postmaster.pid")).expect("Postgres runs");
    file.lines().next().and_then(|pid| pid.parse().ok()).expect("the file begins with the pid")
}

fn serve(data: &Path, addr: SocketAddr, database: &str) -> Child {
    std::fs::create_dir_all(data).expect("the directory can be made");
    let mut command = Command::new(env!("CARGO_BIN_EXE_link"));
    command.arg("serve").env("DATABASE_URL", database).env("LINK_DATA_DIR", data).env("LINK_NODE", "bench");
    for limit in ["LINK_RATE_READS", "LINK_RATE_WRITES", "LINK_RATE_CREDENTIALS"] {
        command.env(limit, "0");
    }
    command.env("LINK_HTTP_ADDR", addr.to_string()).env("RUST_LOG", "warn").stdin(Stdio::null());
    let child = command.spawn().expect("cargo has built the binary");
    let begun = Instant::now();
    while std::net::TcpStream::connect(addr).is_err() {
        assert!(begun.elapsed() < READY_WITHIN, "the server is not ready");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

async fn node(data: &Path, database: String) -> Node {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let config = Config {
        http_addr: any,
        cluster_addr: any,
        node: "inside".into(),
        database_url: Some(database),
        data_dir: data.to_owned(),
        rates: Rates { reads: 0, writes: 0, credentials: 0 },
        log: "warn".into(),
        ..Config::built_in()
    };
    link::telemetry::logs(&config.log, false);
    Node::start(config).await.expect("a node starts")
}
