//! Nodes under test: in this process over a database of their own, or as a process that can be killed.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use link::{
    config::{Config, Rates},
    node::Node,
    persistence::{
        self,
        embedded::{Durability, Server, Settings},
        migrations,
    },
};
use sqlx::{ConnectOptions, Connection, PgPool};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);
/// A test asks for more than any person does; what is tested is rarely that.
const NO_LIMIT: Rates = Rates { reads: 0, writes: 0, credentials: 0 };
const TEMPLATE: &str = "link_template";

struct Cluster {
    server: Server,
    /// Removed by the process that comes after: a static is never dropped.
    _root: PathBuf,
}

/// One throw-away Postgres for all tests of this process.
async fn cluster() -> &'static Cluster {
    let start = || async {
        let root = scratch("cluster");
        let settings = Settings { root: root.clone(), bin_dir: None, durability: Durability::None };
        let server = Server::start(settings).await.expect("Postgres is installed: apt-get install postgresql");
        let mut connection = server.options("postgres").connect().await.expect("it has just started");
        let create = format!("CREATE DATABASE {TEMPLATE}");
        sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.expect("the name is free");
        connection.close().await.expect("nothing is open");
        let pool = persistence::connect(server.options(TEMPLATE), 2).await.expect("it has just been made");
        migrations::migrate(&pool).await.expect("migrations run on an empty database");
        pool.close().await;
        Cluster { server, _root: root }
    };
    CLUSTER.get_or_init(start).await
}

/// A directory in memory, where there is one. Those of dead processes are removed.
pub fn scratch(name: &str) -> PathBuf {
    let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let owner = file.strip_prefix("link-test-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(format!("{base}/link-test-{}-{name}-{count}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the directory is new");
    path
}

/// A database of its own, with the schema; returns its URL.
pub async fn database() -> String {
    let cluster = cluster().await;
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = cluster.server.options("postgres").connect().await.expect("the cluster runs");
    let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.expect("the name is free");
    connection.close().await.expect("nothing is open");
    cluster.server.url(&name)
}

/// A node in this process.
pub struct TestNode {
    pub node: Node,
    pub url: String,
    pub database: String,
    pub config: Config,
    root: PathBuf,
}

impl TestNode {
    pub async fn start() -> Self {
        Self::on(database().await, scratch("node")).await
    }

    /// Starts with settings of its own.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (database, root) = (database().await, scratch("node"));
        let mut config = config(&root, Some(database.clone()));
        change(&mut config);
        Self::configured(config, database, root).await
    }

    /// Starts on a database and a directory that exist.
    pub async fn on(database: String, root: PathBuf) -> Self {
        let config = config(&root, Some(database.clone()));
        Self::configured(config, database, root).await
    }

    async fn configured(config: Config, database: String, root: PathBuf) -> Self {
        link::telemetry::logs(&config.log, false);
        let node = Node::start(config.clone()).await.expect("a node starts");
        let url = format!("http://{}", node.addr());
        Self { node, url, database, config, root }
    }

    /// Stops it in order and starts it again on what it left behind.
    pub async fn restart(self) -> Self {
        let Self { node, database, root, .. } = self;
        node.stop().await;
        Self::on(database, root).await
    }

    /// Moves the time that the node goes by.
    pub fn advance(&self, by: chrono::TimeDelta) {
        self.node.api().services().context().clock.advance(by);
    }

    pub fn pool(&self) -> &PgPool {
        &self.node.api().services().context().pool
    }
}

fn config(root: &Path, database_url: Option<String>) -> Config {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let node = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
    Config {
        http_addr: any,
        cluster_addr: any,
        node,
        database_url,
        data_dir: root.to_owned(),
        rates: NO_LIMIT,
        log: std::env::var("LINK_TEST_LOG").unwrap_or("warn".into()),
        ..Config::built_in()
    }
}

/// Where all goes that a process under test says, below its directory.
const LOG: &str = "stderr.log";

/// A node as a process of its own, with its own database below its directory.
pub struct TestProcess {
    child: Child,
    pub url: String,
    root: PathBuf,
    port: u16,
    settings: Vec<(&'static str, &'static str)>,
}

impl TestProcess {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with settings of its own.
    pub async fn with(settings: &[(&'static str, &'static str)]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        Self::on(scratch("process"), port, settings.to_vec()).await
    }

    async fn on(root: PathBuf, port: u16, settings: Vec<(&'static str, &'static str)>) -> Self {
        let log = std::fs::File::options().append(true).create(true).open(root.join(LOG)).expect("the root is there");
        let child = Command::new(env!("CARGO_BIN_EXE_link"))
            .arg("serve")
            .env_remove("DATABASE_URL")
            .env("LINK_DATA_DIR", &root)
            .env("LINK_HTTP_ADDR", format!("127.0.0.1:{port}"))
            .env("LINK_NODE", "killed")
            .env("LINK_RATE_READS", "0")
            .env("LINK_RATE_WRITES", "0")
            .env("LINK_RATE_CREDENTIALS", "0")
            .env("RUST_LOG", std::env::var("LINK_TEST_LOG").unwrap_or("error".into()))
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("it is open"))
            .stderr(log)
            .spawn()
            .expect("the binary was built with this test");
        let url = format!("http://127.0.0.1:{port}");
        let mut process = Self { child, url, root, port, settings };
        process.wait_until_ready().await;
        process
    }

    async fn wait_until_ready(&mut self) {
        let ready = format!("{}/readyz", self.url);
        let http = super::person::http();
        for _ in 0..4_800 {
            let answer = http.get(&ready).timeout(Duration::from_secs(1)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the node ended before it was ready: {status}\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the node was not ready within 30 seconds");
    }

    /// Kills it with SIGKILL and returns when it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Asks it to stop and returns when it has.
    pub async fn terminate(&mut self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().expect("there is a shell");
        assert!(asked.success() && self.ended().await.success(), "it did not stop in order");
    }

    /// Starts it again on what it left behind.
    pub async fn revive(&mut self) {
        let root = std::mem::take(&mut self.root);
        let next = Self::on(root, self.port, self.settings.clone()).await;
        let mut dead = std::mem::replace(self, next);
        dead.root = PathBuf::new();
    }

    /// Waits until it has ended by itself. That may take long on a busy disk: a process does not end while one of its
    /// threads has the kernel write a new cluster out.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        for _ in 0..4_800 {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it still runs after two minutes; its log:\n{}", self.log());
    }

    /// Returns what it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.root.join(LOG)).expect("the log is text")
    }

    /// Returns how much memory it takes.
    pub fn resident_bytes(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says it");
        let kilobytes: usize = line.trim().trim_end_matches(" kB").parse().expect("it is a number");
        kilobytes * 1_024
    }

    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for TestProcess {
    fn drop(&mut self) {
        if self.root.as_os_str().is_empty() {
            return;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its Postgres notices the death by itself; until then the directory is in use.
        for _ in 0..200 {
            if std::fs::read_to_string(self.root.join("postgres/data/postmaster.pid")).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
