//! The embedded database keeps its promises, whatever happens to the process that owns it.

use link::persistence::embedded::{Durability, Error, Server, Settings};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::{MetadataExt, PermissionsExt},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    str::FromStr,
    time::{Duration, Instant},
};

use crate::support::data_dir::{Root, kill_all_in, processes_in, runs_as_root, wait_until};

const OWNED_ROOT: &str = "LINK_TEST_OWNED_ROOT";
/// Far beyond what anything here takes, on a machine that is busy compiling.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of its own that owns a database, like a Link that is about to be killed.
struct Owner(Child);

impl Owner {
    fn start(root: &Root) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("the test binary"))
            .args(["--exact", "embedded_pg::owner", "--nocapture", "--test-threads=1"])
            .env(OWNED_ROOT, &root.0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs now, so it runs again");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let serving = lines.map_while(Result::ok).any(|line| line.contains("serving"));
        assert!(serving, "the owner did not start its database");
        Self(child)
    }

    /// With SIGKILL, as every owner ends here.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn owner() {
    // Not a promise: the body of the process that the others start and kill.
    let Some(root) = std::env::var_os(OWNED_ROOT) else { return };
    let settings = Settings { root: root.into(), bin_dir: None, durability: Durability::None };
    let _server = Server::start(settings).await.expect("the database starts");
    println!("serving");
    tokio::time::sleep(PATIENCE).await;
}

#[tokio::test]
async fn a_warm_start_finds_the_data_of_the_cold_one() {
    let root = Root::new();

    let begun = Instant::now();
    let server = Server::start(root.settings()).await.expect("a cold start");
    println!("cold start: {:?}", begun.elapsed());
    remember(&server, "kept").await;
    server.stop().await.expect("a clean stop");
    assert!(processes_in(&root.data()).is_empty(), "stop waits for the end");

    let begun = Instant::now();
    let server = Server::start(root.settings()).await.expect("a warm start");
    println!("warm start: {:?}", begun.elapsed());
    assert_eq!(recall(&server).await, "kept");
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn the_url_leads_to_the_same_database_as_the_options() {
    let root = Root::below("/tmp/link it, \"50%\"+");
    let server = Server::start(root.settings()).await.expect("a start in a path full of special characters");
    remember(&server, "one place").await;

    let options = PgConnectOptions::from_str(&server.url("link")).expect("a URL");
    let mut connection = options.connect().await.expect("the URL connects");

    assert_eq!(recall_by(&mut connection).await, "one place");
    drop(connection);
    server.stop().await.expect("a clean stop");
    drop(root);
    let _ = fs::remove_dir("/tmp/link it, \"50%\"+");
}

#[tokio::test]
async fn a_data_directory_too_deep_for_a_socket_gets_a_short_private_one() {
    let root = Root::below("/tmp");
    let deep = Settings { root: root.0.join("deep/".repeat(25)), ..root.settings() };

    let server = Server::start(deep).await.expect("a start in a long path");

    let sockets = server.options("link").get_socket().expect("a unix socket").clone();
    assert!(sockets.as_os_str().len() < 60, "{}", sockets.display());
    assert_eq!(fs::metadata(&sockets).expect("it exists").mode() & 0o777, 0o700);
    remember(&server, "reachable").await;
    server.stop().await.expect("a clean stop");
    assert!(!sockets.exists(), "nothing is left in the common directory");
}

#[tokio::test]
async fn a_second_link_on_the_same_directory_is_refused_and_told_who_holds_it() {
    let root = Root::new();
    let owner = Owner::start(&root);

    let refusal = Server::start(root.settings()).await.expect_err("the directory is taken");

    assert!(matches!(refusal, Error::InUse { .. }), "{refusal}");
    assert!(refusal.to_string().contains(&format!("pid {}", owner.0.id())), "{refusal}");
    assert!(is_running(root.postmaster()), "the first one's server is left alone");
    owner.kill();
}

#[tokio::test]
async fn a_killed_link_takes_its_server_along_and_the_next_one_finds_the_data() {
    let root = Root::new();
    let server = Server::start(root.settings()).await.expect("a cold start");
    remember(&server, "survives").await;
    server.stop().await.expect("a clean stop");
    let owner = Owner::start(&root);
    let orphan = root.postmaster();

    owner.kill();
    wait_until("the orphan ends by itself", || !is_running(orphan));

    let server = Server::start(root.settings()).await.expect("a start after the kill");
    assert_eq!(recall(&server).await, "survives");
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_start_right_after_the_kill_waits_for_the_old_server_to_end() {
    let root = Root::new();
    let owner = Owner::start(&root);
    let orphan = root.postmaster();

    owner.kill();
    let server = Server::start(root.settings()).await.expect("a start in the middle of the old one's shutdown");

    assert_ne!(root.postmaster(), orphan);
    assert!(!is_running(orphan));
    remember(&server, "works").await;
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_frozen_server_of_a_killed_link_is_replaced() {
    let root = Root::new();
    let owner = Owner::start(&root);
    let frozen = root.postmaster();
    // A stopped process cannot act on the signal that its owner's death sends.
    send("STOP", frozen);

    owner.kill();
    assert!(is_running(frozen), "it was left behind");
    let server = Server::start(root.settings()).await.expect("a start beside a frozen server");

    assert!(!is_running(frozen));
    remember(&server, "works").await;
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_server_that_nobody_owns_is_replaced_by_one_that_we_own() {
    let root = Root::new();
    Server::start(root.settings()).await.expect("a cold start").stop().await.expect("a clean stop");
    let mut stray = start_by_hand(&root);

    let server = Server::start(root.settings()).await.expect("a start beside a stray server");

    wait_until("the stray is gone", || stray.try_wait().expect("it is our child").is_some());
    assert_ne!(root.postmaster(), stray.id());
    remember(&server, "works").await;
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_pid_file_that_names_a_stranger_or_a_zombie_does_not_keep_the_server_from_starting() {
    let root = Root::new();
    let server = Server::start(root.settings()).await.expect("a cold start");
    remember(&server, "still here").await;
    server.stop().await.expect("a clean stop");
    let owner = fs::metadata(root.data()).expect("a cluster").uid();
    let mut stranger = Command::new("sleep").arg("60").uid(owner).spawn().expect("a process of the same user");
    let mut zombie = Command::new("true").uid(owner).spawn().expect("a process that ends at once");
    wait_until("it has ended, unreaped", || !is_running(zombie.id()));

    for pid in [stranger.id(), zombie.id()] {
        write_stale_files(&root, pid);
        let server = Server::start(root.settings()).await.expect("a start beside stale files");
        assert_eq!(recall(&server).await, "still here");
        server.stop().await.expect("a clean stop");
    }

    assert!(stranger.try_wait().expect("it is our child").is_none(), "a stranger is not signalled");
    stranger.kill().expect("our child may be killed");
    stranger.wait().expect("it was killed");
    zombie.wait().expect("it is to be reaped");
}

#[tokio::test]
async fn a_server_killed_together_with_its_link_replays_its_log() {
    let root = Root::new();
    let server = Server::start(Settings { durability: Durability::Full, ..root.settings() }).await.expect("a start");
    remember(&server, "replayed").await;

    kill_all_in(&root.data());
    drop(server);

    let server = Server::start(root.settings()).await.expect("a start after a crash");
    assert_eq!(recall(&server).await, "replayed");
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_dropped_server_ends_and_the_directory_is_free_again() {
    let root = Root::new();
    let dropped = Server::start(root.settings()).await.expect("a cold start");
    let postmaster = root.postmaster();

    drop(dropped);
    let server = Server::start(root.settings()).await.expect("a start right after the drop");

    assert!(!is_running(postmaster));
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn a_half_made_cluster_is_removed_and_made_anew() {
    let root = Root::new();
    let half = root.0.join("postgres/data.new");
    fs::create_dir_all(half.join("base")).expect("a temporary directory");
    fs::set_permissions(root.0.join("postgres"), fs::Permissions::from_mode(0o711)).expect("it is ours");
    fs::write(half.join("PG_VERSION"), "15\n").expect("it is ours");

    let server = Server::start(root.settings()).await.expect("a start after a killed initdb");

    assert!(!half.exists());
    remember(&server, "whole").await;
    server.stop().await.expect("a clean stop");
}

#[tokio::test]
async fn the_log_is_cut_when_it_has_grown_too_large() {
    let root = Root::new();
    let log = root.0.join("postgres/server.log");
    Server::start(root.settings()).await.expect("a cold start").stop().await.expect("a clean stop");
    fs::write(&log, vec![b'x'; 11 * 1024 * 1024]).expect("it is ours");

    Server::start(root.settings()).await.expect("a warm start").stop().await.expect("a clean stop");

    assert!(fs::metadata(&log).expect("it is there").len() < 1024 * 1024);
}

async fn remember(server: &Server, text: &str) {
    let mut connection = server.options("link").connect().await.expect("a connection");
    sqlx::query("CREATE TABLE memory (text TEXT)").execute(&mut connection).await.expect("a table");
    sqlx::query("INSERT INTO memory VALUES ($1)").bind(text).execute(&mut connection).await.expect("a row");
    connection.close().await.expect("a clean end");
}

async fn recall(server: &Server) -> String {
    let mut connection = server.options("link").connect().await.expect("a connection");
    recall_by(&mut connection).await
}

async fn recall_by(connection: &mut PgConnection) -> String {
    sqlx::query_scalar("SELECT text FROM memory").fetch_one(connection).await.expect("the row")
}

/// Starts the server as another program would: without tying it to any owner.
fn start_by_hand(root: &Root) -> Child {
    let found = fs::metadata(root.data()).expect("a cluster");
    let bin = Command::new("pg_config").arg("--bindir").output().expect("pg_config is installed").stdout;
    let mut command = Command::new(Path::new(String::from_utf8_lossy(&bin).trim()).join("postgres"));
    command.arg("-D").arg(root.data()).args(["-c", "listen_addresses=", "-c"]);
    command.arg(format!("unix_socket_directories={}", root.0.join("postgres/sock").display()));
    command.current_dir("/").stderr(Stdio::null());
    if runs_as_root() {
        command.gid(found.gid()).uid(found.uid());
    }
    let child = command.spawn().expect("postgres runs");
    let pid_file = root.data().join("postmaster.pid");
    wait_until("it is ready", || fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready")));
    child
}

fn write_stale_files(root: &Root, pid: u32) {
    let sockets = root.0.join("postgres/sock");
    let text = format!("{pid}\n{}\n1\n5432\n{}\n\n", root.data().display(), sockets.display());
    for file in [root.data().join("postmaster.pid"), sockets.join(".s.PGSQL.5432.lock")] {
        fs::write(&file, &text).expect("it is ours");
        let owner = fs::metadata(root.data()).expect("a cluster");
        std::os::unix::fs::chown(&file, Some(owner.uid()), Some(owner.gid())).expect("it is ours");
    }
}

/// A zombie does not count.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().expect("kill is installed");
    assert!(sent.success());
}
