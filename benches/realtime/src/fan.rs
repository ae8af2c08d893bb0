//! What one delivery costs: many members hear what one says.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::{sync::Notify, task::spawn_local};

use crate::{
    pace::Schedule,
    peers::{Kind, Peer},
    process::Cpu,
    socket::{Mouth, Socket},
};

/// Sockets that say something, where they are others than those that hear.
const SPEAKERS: usize = 4;
/// How long the last deliveries of a measurement may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is measured.
#[derive(Clone, Copy)]
pub struct Fan {
    pub name: &'static str,
    pub rooms: usize,
    pub members: usize,
    pub pace: Pace,
    /// Whether what is said is committed first; only with Link.
    pub durable: bool,
}

/// When the next thing is said.
#[derive(Clone, Copy)]
pub enum Pace {
    /// As soon as fewer than this many are on their way.
    InFlight(usize),
    /// So many a second.
    PerSecond(usize),
}

#[derive(Default)]
struct Heard {
    count: Cell<u64>,
    /// After how many deliveries somebody wants to know.
    every: Cell<u64>,
    progress: Notify,
    /// When each of them was said.
    said_at: RefCell<Vec<Instant>>,
    latencies: RefCell<Vec<Duration>>,
}

impl Heard {
    fn some(&self, times: usize) {
        (0..times).for_each(|_| self.one());
    }

    fn one(&self) {
        let count = self.count.get() + 1;
        self.count.set(count);
        if count.is_multiple_of(self.every.get()) {
            let nth = (count / self.every.get() - 1) as usize;
            if let Some(said) = self.said_at.borrow().get(nth) {
                self.latencies.borrow_mut().push(said.elapsed());
            }
            self.progress.notify_one();
        }
    }
}

/// Runs it for so long.
pub async fn run(peer: &Peer, fan: Fan, run_for: Duration) -> Result<Value> {
    let heard = Rc::new(Heard::default());
    heard.every.set(fan.members as u64);
    let publishing = match peer.kind {
        Kind::Link => publishing_alone(peer, fan).await?,
        _ => 0.0,
    };
    let mut mouths: Vec<Vec<Mouth>> = vec![];
    let mut listening = vec![];
    for room in 0..fan.rooms {
        let mut of_room = vec![];
        for member in 0..fan.members {
            let socket = peer.join(topic(fan, room), room * fan.members + member).await?;
            of_room.push(socket.mouth());
            listening.push(listen(peer, socket, heard.clone()));
        }
        mouths.push(of_room);
    }
    if fan.rooms == 1 && peer.kind == Kind::Link {
        let mut speakers = vec![];
        for speaker in 0..SPEAKERS {
            let socket = peer.hello(speaker).await?;
            speakers.push(socket.mouth());
            spawn_local(socket.listen(|_| None));
        }
        mouths = vec![speakers];
    }
    let (cpu, begun) = (peer.process.cpu(), Instant::now());
    let said = speak(peer, fan, &heard, &mouths, run_for).await?;
    let expected = said * fan.members as u64;
    let end = Instant::now() + PATIENCE;
    while heard.count.get() < expected && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (used, took) = (peer.process.cpu().since(cpu), begun.elapsed().as_secs_f64());
    listening.iter().for_each(tokio::task::JoinHandle::abort);
    Ok(row(peer, fan, used, took, said, &heard, publishing))
}

/// In rooms of their own, members leave out the hall.
fn topic(fan: Fan, room: usize) -> usize {
    if fan.rooms == 1 { 0 } else { room + 1 }
}

fn listen(peer: &Peer, socket: Socket, heard: Rc<Heard>) -> tokio::task::JoinHandle<()> {
    let kind = peer.kind;
    spawn_local(async move {
        let ear = |text: &[u8]| {
            let (times, answer) = kind.hears(text);
            heard.some(times);
            answer
        };
        let _ = socket.listen(ear).await;
    })
}

async fn speak(peer: &Peer, fan: Fan, heard: &Heard, mouths: &[Vec<Mouth>], run_for: Duration) -> Result<u64> {
    let (begun, mut said) = (Instant::now(), 0_u64);
    let texts: Vec<String> =
        (0..fan.rooms).map(|room| peer.said(topic(fan, room), fan.durable)).collect::<Result<_>>()?;
    while begun.elapsed() < run_for {
        let due = match fan.pace {
            Pace::PerSecond(rate) => Schedule::new(begun, rate).until(said).await,
            Pace::InFlight(most) => {
                while said >= heard.count.get() / fan.members as u64 + most as u64 {
                    let progress = tokio::time::timeout(PATIENCE, heard.progress.notified()).await;
                    let count = heard.count.get();
                    ensure!(progress.is_ok(), "{count} of {} deliveries, and no more", said * fan.members as u64);
                }
                Instant::now()
            }
        };
        let (room, speaker) = (said as usize % mouths.len(), said as usize / mouths.len());
        heard.said_at.borrow_mut().push(due);
        mouths[room][speaker % mouths[room].len()].say(&texts[room]).await?;
        said += 1;
    }
    Ok(said)
}

/// Measures what it costs to say something that nobody hears.
async fn publishing_alone(peer: &Peer, fan: Fan) -> Result<f64> {
    const TIMES: usize = 2_000;
    let sockets = match fan.pace {
        Pace::InFlight(most) => most,
        Pace::PerSecond(_) => SPEAKERS,
    };
    let cpu = peer.process.cpu();
    let mut speaking = vec![];
    for speaker in 0..sockets {
        let mut socket = peer.hello(speaker).await?;
        let texts: Vec<String> = (0..TIMES / sockets)
            .map(|nth| peer.said(topic(fan, nth % fan.rooms), fan.durable))
            .collect::<Result<_>>()?;
        speaking.push(spawn_local(async move {
            for text in texts {
                socket.say(&text).await?;
                if fan.durable {
                    socket.until("\"t\":\"ok\"").await?;
                } else {
                    socket.say("{\"t\":\"ping\",\"id\":1}").await?;
                    socket.until("\"t\":\"pong\"").await?;
                }
            }
            anyhow::Ok(())
        }));
    }
    for speaking in speaking {
        speaking.await??;
    }
    Ok(peer.process.cpu().since(cpu).total() / TIMES as f64)
}

fn row(peer: &Peer, fan: Fan, used: Cpu, took: f64, said: u64, heard: &Heard, publishing: f64) -> Value {
    let deliveries = heard.count.get().max(1) as f64;
    let net = (used.total() - publishing * said as f64).max(0.0);
    let mut latencies = heard.latencies.borrow().clone();
    latencies.sort_unstable();
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).map(|time| time.as_secs_f64() * 1e3);
    // Where several rooms or several at once are on their way, it is not known whose delivery is whose.
    let one_at_a_time = fan.rooms == 1 && matches!(fan.pace, Pace::InFlight(1) | Pace::PerSecond(_));
    json!({
        "scenario": fan.name, "peer": peer.kind.name(), "deliveries": heard.count.get(),
        "lost": (said * fan.members as u64).saturating_sub(heard.count.get()),
        "us_per_delivery": used.total() / deliveries * 1e6,
        "of_it_user": used.user / deliveries * 1e6,
        "us_per_publication_alone": publishing * 1e6,
        "us_per_delivery_without_publishing": net / deliveries * 1e6,
        "deliveries_per_second": deliveries / took,
        "server_core": used.total() / took,
        "to_last_p50_ms": at(0.5).filter(|_| one_at_a_time),
        "to_last_p99_ms": at(0.99).filter(|_| one_at_a_time),
    })
}
