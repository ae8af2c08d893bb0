//! How long `link serve` takes from its process's start until it is ready, and what it weighs when nobody uses it.
//!
//! ```text
//! cargo bench --bench start
//! ```

mod support;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use link::persistence::{
    self,
    embedded::{Durability, Server, Settings},
};
use support::{Table, describe, scratch};

/// Starts of one row, except where each needs a new cluster.
const STARTS: usize = 11;
/// Starts that make their own database first.
const COLD_STARTS: usize = 3;
/// A server that is not ready by now is broken.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// After this long without a request, what a start needed is given back or stays.
const IDLE: Duration = Duration::from_secs(5);

fn main() {
    support::main(run());
}

async fn run() {
    let root = scratch("start");
    let settings = Settings { root: root.join("database"), bin_dir: None, durability: Durability::Full };
    let server = Server::start(settings).await.expect("PostgreSQL is installed");
    let url = server.url("link");
    let pool = persistence::connect(server.options("link"), 1).await.expect("it has just started");
    describe(&pool, &root).await;
    pool.close().await;
    let table =
        Table::begin("From the process's start to the first 200 of /readyz", 37, &["database", "p50 ms", "worst ms"]);
    // The first start makes the schema.
    Serving::start(&root.join("node"), Some(&url)).stop();
    let row = |name: &str, starts: usize, database: Option<&str>, root: &dyn Fn(usize) -> PathBuf| {
        let mut times: Vec<Duration> = (0..starts)
            .map(|nth| {
                let serving = Serving::start(&root(nth), database);
                let ready = serving.ready;
                serving.stop();
                ready
            })
            .collect();
        times.sort_unstable();
        let ms = |time: Duration| format!("{:.0}", time.as_secs_f64() * 1e3);
        table.row(&[name.into(), ms(times[starts / 2]), ms(times[starts - 1])]);
    };
    row("runs already", STARTS, Some(&url), &|_| root.join("node"));
    Serving::start(&root.join("own"), None).stop();
    row("Link's own, stopped in order before", STARTS, None, &|_| root.join("own"));
    row("Link's own, made at this start", COLD_STARTS, None, &|nth| root.join(format!("cold-{nth}")));
    let serving = Serving::start(&root.join("node"), Some(&url));
    std::thread::sleep(IDLE);
    let table = Table::begin("Memory of an idle server, Postgres not counted", 37, &["what", "MiB"]);
    for (name, field) in [("resident", "VmRSS:"), ("of that, not shared with a file", "RssAnon:")] {
        table.row(&[name.into(), format!("{:.1}", serving.kib(field) as f64 / 1024.0)]);
    }
    serving.stop();
    server.stop().await.expect("the database stops");
    std::fs::remove_dir_all(&root).expect("nobody uses it any more");
}

/// A server that is ready.
struct Serving {
    child: Child,
    ready: Duration,
}

impl Serving {
    fn start(data: &Path, database: Option<&str>) -> Self {
        std::fs::create_dir_all(data).expect("the directory can be made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        drop(listener);
        let mut command = Command::new(env!("CARGO_BIN_EXE_link"));
        command.arg("serve").env_remove("DATABASE_URL").env("LINK_DATA_DIR", data).env("LINK_NODE", "bench");
        command.env("LINK_HTTP_ADDR", addr.to_string()).env("RUST_LOG", "warn").stdin(Stdio::null());
        if let Some(url) = database {
            command.env("DATABASE_URL", url);
        }
        let begun = Instant::now();
        let child = command.spawn().expect("cargo has built the binary");
        while !is_ready(addr).unwrap_or(false) {
            assert!(begun.elapsed() < READY_WITHIN, "the server is not ready");
            std::thread::sleep(Duration::from_millis(1));
        }
        Self { child, ready: begun.elapsed() }
    }

    /// Reads a field of the process's status.
    fn kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server lives");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("Linux has the field");
        line.trim().trim_end_matches(" kB").parse().expect("it is a number")
    }

    /// Stops it as Ctrl-C does, so that the next start finds everything in order.
    fn stop(mut self) {
        let interrupt = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        assert!(interrupt.expect("there is a kill").success(), "the server is our child");
        self.child.wait().expect("the server is our child");
    }
}

fn is_ready(addr: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}
