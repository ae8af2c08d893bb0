//! Agents that connect to Link by themselves. Link never calls them: whoever wants something of one waits until it is
//! there. A lost connection is no failure: the attempt waits for the agent until its lease is over.
//!
//! ```text
//! door ─▶ Peers::hear ─▶ line ─▶ desk: one attempt ─▶ reports
//! door ◀─ Connection  ◀─ line ◀─ desk               ◀─ control
//! ```

mod desk;
mod frame;
mod gather;
mod ledger;
mod line;
mod told;

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use super::{AgentRuntime, Assignment, Bookmark, Control, Endpoint, Failure, Fate, Health, Outcome, Report};
use crate::domain::{
    failure::FailureClass,
    ids::{AttemptId, InstanceId},
};

pub use frame::{CONTENT_MAX, Heard, Held, Hello, Said, Unusable, What, hello, read};
pub use line::{Connection, End, OUTBOX_MAX};
pub use told::{Limits, Server, Told, Welcome};

use desk::Desk;
use line::Lines;

/// How long Link waits for an agent that is connected, or was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// How often an agent says that it lives.
    pub heartbeat: Duration,
    /// Silent for so long, it gets no new work.
    pub suspect: Duration,
    /// Silent or away for so long, what it has is another one's.
    pub lost: Duration,
}

/// How long an agent may take to accept what it was given.
const ACCEPT_MAX: Duration = Duration::from_secs(30);

/// Agents that are connected, and the drivers of their attempts.
pub struct Peers {
    /// What is waited for.
    pub pace: Pace,
    lines: Lines,
}

impl Peers {
    /// Starts with nobody connected.
    pub fn new(pace: Pace) -> Self {
        Self { pace, lines: Lines::default() }
    }

    /// Lets a connection in, in the place of the one before it. Frames for the agent come out of the receiver.
    pub fn connect(&self, instance: InstanceId, id: Uuid, running: &[Held]) -> (Arc<Connection>, mpsc::Receiver<Told>) {
        self.lines.connect(instance, id, running)
    }

    /// Takes a connection away; returns whether it was the one of its instance.
    pub fn disconnect(&self, instance: InstanceId, connection: &Connection) -> bool {
        self.lines.disconnect(instance, connection)
    }

    /// Tells whether an instance is connected.
    pub fn is_connected(&self, instance: InstanceId) -> bool {
        self.lines.current(instance).is_some()
    }

    /// Hands a frame to the driver of its attempt; waits while that one has too much to do. One without a driver is
    /// not taken: either its driver is about to sit down, and will ask for it, or nobody wants it any more.
    pub async fn hear(&self, instance: InstanceId, connection: &Connection, said: Said) {
        match self.lines.inbox(instance, said.attempt) {
            Some(inbox) => {
                let _ = inbox.send((connection.id, said)).await;
            }
            None if connection.has(said.attempt) => {}
            None => connection.tell(not_held(said.attempt, said.fence)),
        }
    }

    /// Tells an agent that it no longer holds an attempt.
    pub fn release(&self, connection: &Connection, held: Held) {
        connection.let_go(held.attempt);
        connection.tell(not_held(held.attempt, held.fence));
    }
}

fn not_held(attempt: AttemptId, fence: u64) -> Told {
    Told::Cancel { attempt, fence, reason: "not_held" }
}

impl AgentRuntime for Peers {
    fn probe<'a>(&'a self, endpoint: &'a Endpoint) -> BoxFuture<'a, Result<Health, Failure>> {
        let health = match self.lines.current(endpoint.instance) {
            None => Err(Failure::new(FailureClass::InstanceLost, "not connected")),
            Some(connection) if connection.is_suspect() => {
                Err(Failure::new(FailureClass::InstanceLost, "connected, and silent"))
            }
            Some(connection) => Ok(Health { boot: Some(connection.id.to_string()), version: None, busy: None }),
        };
        std::future::ready(health).boxed()
    }

    fn run<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        bookmark: Bookmark,
        reports: mpsc::Sender<Report>,
        control: mpsc::Receiver<Control>,
    ) -> BoxFuture<'a, Result<Outcome, Failure>> {
        let span = info_span!("agents.peer.run", instance = %endpoint.instance, attempt = %work.attempt);
        let desk = Desk::new(&self.lines, self.pace, endpoint.instance, work, &bookmark, reports, control);
        desk.run().instrument(span).boxed()
    }

    fn out_of_reach(&self, instance: InstanceId) -> Option<&'static str> {
        (!self.is_connected(instance)).then_some("the agent is not connected")
    }

    fn settled(&self, instance: InstanceId, attempt: AttemptId, fence: u64) {
        let (word, connection) = self.lines.forget(instance, attempt);
        let Some(connection) = connection else { return };
        match word {
            Some(Some(seq)) => connection.tell(Told::Ack { attempt, seq }),
            Some(None) => {}
            None if connection.has(attempt) => connection.tell(not_held(attempt, fence)),
            None => {}
        }
        connection.let_go(attempt);
    }

    fn inspect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        work: &'a Assignment,
        bookmark: &'a Bookmark,
    ) -> BoxFuture<'a, Result<Fate, Failure>> {
        let fate = match self.lines.current(endpoint.instance) {
            None => Err(Failure::new(FailureClass::InstanceLost, "not connected: nothing is known of the run")),
            Some(connection) if connection.has(work.attempt) => Ok(Fate::Running),
            Some(_) if bookmark.remote.is_some() => Ok(Fate::Missing(desk::came_back_without())),
            Some(_) => Ok(Fate::NotStarted),
        };
        std::future::ready(fate).boxed()
    }
}
