//! The servers that are measured, and how each is talked to.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result};

use crate::{process::Process, socket::Socket, world::World};

/// A server that can be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Writes each message to each member.
    Floor,
    /// Gathers what came, and writes it to each member in one piece.
    Gather,
    /// nginx with nchan.
    Nchan,
    /// npm's ws.
    Ws,
    /// npm's Socket.IO.
    SocketIo,
    /// nats-server, over its WebSocket.
    Nats,
    /// Link.
    Link,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Floor, Self::Gather, Self::Nchan, Self::Ws, Self::SocketIo, Self::Nats, Self::Link];

    /// Tells how often what was said is in a frame, and how it is answered.
    pub fn hears(self, frame: &[u8]) -> (usize, Option<&'static str>) {
        match self {
            Self::Floor | Self::Gather | Self::Nchan | Self::Ws => (1, None),
            Self::SocketIo if frame == b"2" => (0, Some("3")),
            Self::SocketIo => (frame.starts_with(b"42").into(), None),
            // It cuts its lines into frames wherever it likes: only `MSG` has this letter.
            Self::Nats => {
                let pinged = frame.windows(6).any(|bytes| bytes == b"PING\r\n");
                (frame.iter().filter(|byte| **byte == b'M').count(), pinged.then_some("PONG\r\n"))
            }
            Self::Link => {
                let said =
                    [&b"{\"t\":\"signal\""[..], b"{\"t\":\"event\""].iter().any(|begin| frame.starts_with(begin));
                (said.into(), None)
            }
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Gather => "gather",
            Self::Nchan => "nchan",
            Self::Ws => "ws",
            Self::SocketIo => "socket.io",
            Self::Nats => "nats",
            Self::Link => "link",
        }
    }
}

/// A running server.
pub struct Peer {
    pub kind: Kind,
    pub port: u16,
    pub process: Process,
    /// Only Link has one.
    pub world: Option<World>,
    /// Removed at the end.
    root: PathBuf,
}

/// Says something of about 200 bytes, as long as Link's signal that someone writes.
fn words() -> String {
    "x".repeat(200)
}

fn written(root: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = root.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

/// Configures one process of nginx whose rooms hold nothing back.
fn nginx(port: u16, root: &Path) -> String {
    let root = root.display();
    format!(
        "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off; master_process off; worker_processes 1;
pid {root}/nginx.pid; error_log {root}/error.log;
events {{ worker_connections 20000; }}
http {{
  access_log off;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ nchan_pubsub websocket; nchan_channel_id $arg_room; nchan_message_buffer_length 0; }}
  }}
}}
"
    )
}

impl Peer {
    pub async fn start(kind: Kind, link: &str, people: usize) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let base = std::env::var("LINK_BENCH_DIR").unwrap_or("/var/tmp".into());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = PathBuf::from(base).join(format!("link-realtime-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&root)?;
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
        let command = match kind {
            Kind::Floor | Kind::Gather => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([kind.name(), &port.to_string()]);
                command
            }
            Kind::Nchan => {
                let mut command = Command::new("nginx");
                let configuration = written(&root, "nginx.conf", &nginx(port, &root))?;
                command.arg("-p").arg(&root).arg("-c").arg(configuration);
                command
            }
            Kind::Nats => {
                let mut command = Command::new("nats-server");
                let configuration = format!(
                    "listen: \"127.0.0.1:-1\"\nwebsocket {{ host: \"127.0.0.1\", port: {port}, no_tls: true }}\n"
                );
                command.arg("-c").arg(written(&root, "nats.conf", &configuration)?).env("GOMAXPROCS", "1");
                command
            }
            Kind::Ws | Kind::SocketIo => {
                let file = if kind == Kind::Ws { "ws.mjs" } else { "socketio.mjs" };
                let mut command = Command::new("node");
                command.current_dir(here).args([file, &port.to_string()]);
                command
            }
            Kind::Link => {
                let mut command = Command::new(link);
                command.arg("serve").env_remove("DATABASE_URL").env("LINK_DATA_DIR", &root);
                let address = format!("127.0.0.1:{port}");
                command.env("LINK_HTTP_ADDR", address).env("LINK_CLUSTER_ADDR", "127.0.0.1:0");
                let limits = ["LINK_RATE_READS", "LINK_RATE_WRITES", "LINK_RATE_CREDENTIALS"];
                command.envs(limits.map(|name| (name, "0"))).env("LINK_CONNECTIONS_MAX", "20000");
                command.env("TOKIO_WORKER_THREADS", "1").env("RUST_LOG", "warn");
                command
            }
        };
        let process = Process::start(command, port, 0, &root.with_extension("log")).await?;
        let world = match kind {
            Kind::Link => Some(World::build(port, people).await?),
            _ => None,
        };
        Ok(Self { kind, port, process, world, root })
    }

    /// Lets a member into a room, until it hears what is said there.
    pub async fn join(&self, room: usize, member: usize) -> Result<Socket> {
        match self.kind {
            Kind::Floor | Kind::Gather | Kind::Nchan | Kind::Ws => {
                Socket::open(self.port, &format!("/?room={room}")).await
            }
            Kind::Nats => {
                let mut socket = Socket::open(self.port, "/").await?;
                socket.until("INFO").await?;
                let hello = "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true}";
                socket.say(&format!("{hello}\r\nSUB room{room} 1\r\nPING\r\n")).await?;
                socket.until("PONG").await?;
                Ok(socket)
            }
            Kind::SocketIo => {
                let mut socket = Socket::open(self.port, "/socket.io/?EIO=4&transport=websocket").await?;
                socket.until("0{").await?;
                socket.say("40").await?;
                socket.until("40{").await?;
                socket.say(&format!("420[\"join\",\"{room}\"]")).await?;
                socket.until("430").await?;
                Ok(socket)
            }
            Kind::Link => {
                let mut socket = self.hello(member).await?;
                socket.say(&self.world()?.subscribe(Some(room), None)).await?;
                socket.until("\"t\":\"caught_up\"").await?;
                Ok(socket)
            }
        }
    }

    /// Opens a socket of Link as a member.
    pub async fn hello(&self, member: usize) -> Result<Socket> {
        let tokens = &self.world()?.tokens;
        let mut socket = Socket::open(self.port, "/ws").await?;
        socket.say(&format!("{{\"t\":\"hello\",\"token\":\"{}\"}}", tokens[member % tokens.len()])).await?;
        socket.until("\"t\":\"welcome\"").await?;
        Ok(socket)
    }

    pub fn world(&self) -> Result<&World> {
        self.world.as_ref().context("only Link has a world")
    }

    /// Returns what makes everyone in a room hear something; `durable` only with Link.
    pub fn said(&self, room: usize, durable: bool) -> Result<String> {
        Ok(match self.kind {
            Kind::Floor | Kind::Gather | Kind::Nchan | Kind::Ws => words(),
            Kind::Nats => format!("PUB room{room} {}\r\n{}\r\n", words().len(), words()),
            Kind::SocketIo => format!("42[\"say\",\"{}\"]", words()),
            Kind::Link if durable => self.world()?.post(7, room, "hello"),
            Kind::Link => self.world()?.typing(room),
        })
    }

    pub async fn stop(self) {
        self.process.stop().await;
        let _ = std::fs::remove_dir_all(&self.root);
        let _ = std::fs::remove_file(self.root.with_extension("log"));
    }
}
