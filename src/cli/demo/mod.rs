//! `link demo`: a whole node with people, a project and scripted agents, and the story of two delegations, told live.
//! Everything goes through the public doors, as a real client would.

mod play;
mod seed;

use std::{
    net::{SocketAddr, TcpListener},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::ArgMatches;

use crate::{api::Table, config::Config, node::Node, telemetry};

use super::{
    Ending,
    error::Error,
    narrator::Narrator,
    output::{note, write},
    paint::Paint,
    serve::told_to_stop,
    socket::{Heard, Socket, Subscription},
};
use seed::Scene;

/// After this the story has failed.
const STORY_MAX: Duration = Duration::from_secs(120);

/// A data directory that goes away with the demo.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the demo.
pub(super) async fn run(table: Arc<Table>, given: &ArgMatches) -> Result<Ending, Error> {
    let mut config = Config::load().context("reading the settings")?;
    let logs = if std::env::var_os("RUST_LOG").is_some() { config.log.clone() } else { "error".to_owned() };
    telemetry::logs(&logs, false);
    let scratch = match std::env::var_os("LINK_DATA_DIR") {
        Some(_) => None,
        None => Some(scratch()?),
    };
    if let Some(Scratch(dir)) = &scratch {
        config.data_dir.clone_from(dir);
    }
    config.http_addr = free(config.http_addr);
    config.node = format!("demo-{}", std::process::id());
    write("Starting a node with a database of its own ...\n")?;
    let node = Node::start(config).await?;
    let ending = on_stage(table, &node, given.get_flag("exit")).await;
    node.stop().await;
    ending
}

/// Makes a directory that the database's own user can enter too.
fn scratch() -> Result<Scratch, Error> {
    let path = std::env::temp_dir().join(format!("link-demo-{}", std::process::id()));
    let made = std::fs::DirBuilder::new().mode(0o755).create(&path);
    made.with_context(|| format!("making {}", path.display()))?;
    Ok(Scratch(path))
}

/// Returns the address, or one with a free port when it is taken.
fn free(addr: SocketAddr) -> SocketAddr {
    match TcpListener::bind(addr) {
        Ok(_) => addr,
        Err(_) => SocketAddr::new(addr.ip(), 0),
    }
}

async fn on_stage(table: Arc<Table>, node: &Node, exit: bool) -> Result<Ending, Error> {
    let paint = Paint::detect();
    let server = format!("http://{}", node.addr());
    write(&format!("{} {server}   docs: {server}/docs\n\n", paint.bold("Link runs at")))?;
    let scene = tokio::select! {
        scene = seed::seed(table, &server) => scene?,
        () = told_to_stop() => return Ok(Ending::Failed),
    };
    let mut narrator = Narrator::new(paint);
    narrator.introduce(&scene.ada, &scene.workspace).await;
    let wanted = Subscription { workspace: scene.workspace.clone(), topics: vec![], after: Some(0) };
    let mut socket = Socket::new(scene.ada.clone(), wanted);
    let story = tokio::time::timeout(STORY_MAX, play::play(&scene, &mut socket, &mut narrator));
    let ending = tokio::select! {
        ending = story => ending.unwrap_or_else(|_| {
            note(&format!("the story did not end within {STORY_MAX:?}"));
            Ok(Ending::Failed)
        })?,
        () = told_to_stop() => return Ok(Ending::Failed),
    };
    narrator.aside(&match ending {
        Ending::Done => paint.dyed("1;32", "\nBoth tasks are done, reviewed by a person.\n"),
        Ending::Failed | Ending::NeedsHuman => paint.dyed("1;31", "\nA delegation did not complete: see above.\n"),
    })?;
    narrator.aside(&ways_on(&scene, &server, paint))?;
    if exit {
        return Ok(ending);
    }
    narrator.aside(&paint.dim("What you do shows up here. Ctrl-C ends the demo."))?;
    tokio::select! {
        stopped = listen(&mut socket, &mut narrator) => stopped?,
        () = told_to_stop() => {}
    }
    Ok(ending)
}

/// Goes on telling what happens.
async fn listen(socket: &mut Socket, narrator: &mut Narrator) -> Result<(), Error> {
    loop {
        match socket.heard().await? {
            Heard::Event(event) => narrator.event(&event)?,
            Heard::Signal(signal) => narrator.signal(&signal)?,
            Heard::CaughtUp => {}
            Heard::Broken(cause) => note(&format!("connection lost ({cause}); connecting again")),
        }
    }
}

fn ways_on(scene: &Scene, server: &str, paint: Paint) -> String {
    let link = std::env::args().next().unwrap_or_else(|| "link".into());
    let token = scene.ada.login().map(|login| login.access_token).unwrap_or_default();
    let Scene { workspace, project, .. } = scene;
    let heading = paint.bold("Go on from here, in another terminal:");
    format!(
        "{heading}\n\n  \
         export LINK_SERVER={server} LINK_TOKEN={token}\n  \
         curl -H \"Authorization: Bearer $LINK_TOKEN\" {server}/api/v1/projects/{project}/board\n  \
         {link} task list --project {project}\n  \
         {link} events --workspace {workspace} --follow\n\n\
         The token lives for 15 minutes; log in for longer (people: {ada}, {ben}):\n\n  \
         {link} login --server {server} --email {ada} --password {password}\n",
        ada = seed::ADA,
        ben = seed::BEN,
        password = seed::PASSWORD,
    )
}
