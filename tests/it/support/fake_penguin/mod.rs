//! A scripted Penguin: the routes that the driver uses, with the shapes of the recordings, and faults on demand. It
//! counts how often each request was really run.

mod routes;
mod run;
mod script;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// One session.
#[derive(Default)]
pub struct Session {
    title: String,
    messages: Vec<Value>,
    history: Vec<Value>,
    events: Vec<Value>,
    busy: bool,
    /// It was opened before its first run; otherwise Penguin keeps no messages for a named agent.
    prepared: bool,
}

/// Everything that the fake knows.
#[derive(Default)]
pub struct World {
    boot: u32,
    numbers: u64,
    sessions: BTreeMap<String, Session>,
    receipts: HashMap<String, Value>,
    bodies: HashMap<String, Value>,
    runs: HashMap<String, u32>,
    prompts: Vec<String>,
    aborts: HashMap<String, watch::Sender<bool>>,
    waiting: BTreeMap<String, Value>,
    replies: HashMap<String, String>,
    /// Routes that answer 500, and how often still.
    broken: HashMap<&'static str, u32>,
    /// Streams show at most this many events, as if the rest were lost.
    events_max: Option<usize>,
    /// The next stream starts with a gap.
    gap: bool,
    keys: Option<(String, String)>,
}

impl World {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn session(&mut self, id: &str) -> &mut Session {
        self.sessions.entry(id.to_owned()).or_default()
    }
}

/// The world, shared between routes and runs.
pub struct Shared {
    world: Mutex<World>,
    news: watch::Sender<u64>,
    tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    fn edit<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().expect("no fake panics while it holds this"))
    }

    fn publish(&self, session: &str, kind: &str, properties: Value) {
        self.edit(|world| {
            let events = &mut world.session(session).events;
            let order = events.len() + 1;
            let id = format!("evt:session:{session}:{order:08}");
            events.push(json!({"id": id, "order": order, "time": run::time(), "type": kind, "properties": properties}));
        });
        self.news.send_modify(|version| *version += 1);
    }
}

/// A running fake behind a door that can be shut.
pub struct FakePenguin {
    shared: Arc<Shared>,
    port: u16,
    behind: u16,
    door: Mutex<Option<JoinSet<()>>>,
    _server: JoinSet<()>,
}

impl FakePenguin {
    /// Starts a fake that lets everybody in.
    pub async fn start() -> Self {
        Self::open(None).await
    }

    /// Starts a fake that wants an ordinary key and Link's key.
    pub async fn locked(ordinary: &str, link: &str) -> Self {
        Self::open(Some((ordinary.to_owned(), link.to_owned()))).await
    }

    async fn open(keys: Option<(String, String)>) -> Self {
        let world = World { keys, boot: 1, ..World::default() };
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            news: watch::Sender::new(0),
            tasks: Mutex::new(JoinSet::new()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let behind = listener.local_addr().expect("bound").port();
        let routes = routes::routes(Arc::clone(&shared));
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, routes).await.expect("the fake serves") });
        let front = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = front.local_addr().expect("bound").port();
        let fake = Self { shared, port, behind, door: Mutex::new(None), _server: server };
        fake.let_in(front);
        fake
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Breaks every connection; new ones are let in.
    pub async fn cut_connections(&self) {
        self.shut();
        self.reopen().await;
    }

    /// Breaks every connection and refuses new ones.
    pub fn shut(&self) {
        self.door.lock().expect("not poisoned").take();
    }

    /// Lets connections in again.
    pub async fn reopen(&self) {
        // The old listener's task was aborted; its port is free a moment later.
        let front = loop {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(front) => break front,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        };
        self.let_in(front);
    }

    fn let_in(&self, front: TcpListener) {
        let behind = self.behind;
        let mut door = JoinSet::new();
        door.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = front.accept().await {
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", behind)).await {
                        // Small events must not wait for each other's acknowledgement.
                        _ = (client.set_nodelay(true), server.set_nodelay(true));
                        _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        *self.door.lock().expect("not poisoned") = Some(door);
    }

    /// Dies and starts again: runs end, their marks and receipts stay, event ids start over.
    pub async fn restart(&self) {
        self.shut();
        let runs = std::mem::take(&mut *self.shared.tasks.lock().expect("not poisoned"));
        drop(runs);
        self.shared.edit(|world| {
            world.boot += 1;
            world.waiting.clear();
            // A session that was not prepared is saved only when its first run ends.
            world.sessions.retain(|_, session| session.prepared);
            world.sessions.values_mut().for_each(|session| session.events.clear());
        });
        self.reopen().await;
    }

    /// Lets a route answer 500 for the next calls.
    pub fn break_route(&self, route: &'static str, times: u32) {
        self.shared.edit(|world| world.broken.insert(route, times));
    }

    /// Loses all events of a session after the first ones.
    pub fn lose_events_after(&self, count: usize) {
        self.shared.edit(|world| world.events_max = Some(count));
    }

    /// Lets the next stream begin with a gap instead of what was missed.
    pub fn gap(&self) {
        self.shared.edit(|world| world.gap = true);
    }

    /// How often a request was really run.
    pub fn runs_of(&self, request: &str) -> u32 {
        self.shared.edit(|world| world.runs.get(request).copied().unwrap_or_default())
    }

    /// How often any request was really run.
    pub fn runs(&self) -> u32 {
        self.shared.edit(|world| world.runs.values().sum())
    }

    /// Everything that a session's stream told.
    pub fn events_of(&self, session: &str) -> Vec<Value> {
        self.shared.edit(|world| world.session(session).events.clone())
    }

    /// Lets a question expire, as Penguin does after five minutes.
    pub fn expire_questions(&self) {
        self.shared.edit(|world| {
            let waiting = std::mem::take(&mut world.waiting);
            waiting.into_keys().for_each(|id| drop(world.replies.insert(id, "reject".into())));
        });
    }

    /// What the fake was asked to do, oldest first.
    pub fn prompts(&self) -> Vec<String> {
        self.shared.edit(|world| world.prompts.clone())
    }

    /// Whether any session works.
    pub fn busy(&self) -> bool {
        self.shared.edit(|world| world.sessions.values().any(|session| session.busy))
    }

    /// How many questions wait.
    pub fn waiting(&self) -> usize {
        self.shared.edit(|world| world.waiting.len())
    }
}
