//! What only Link is asked: idle sockets, readers that stall, storms of resumes, and a long day.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_local};

use crate::{
    pace::Schedule,
    peers::{Kind, Peer},
    socket::Socket,
    world::ROOMS,
};

/// Sockets that connect at the same time.
const AT_ONCE: usize = 32;
/// How long one client may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens sockets and holds them.
pub async fn idle(peer: &Peer, sockets: usize, hold: Duration) -> Result<Value> {
    let (cpu, memory, begun) = (peer.process.cpu(), peer.process.resident_bytes(), Instant::now());
    let mut held = Vec::with_capacity(sockets);
    let rooms = if peer.kind == Kind::Link { ROOMS } else { sockets / 10 };
    while held.len() < sockets {
        let next = (held.len()..sockets.min(held.len() + AT_ONCE)).map(|nth| peer.join(nth % rooms + 1, nth));
        for socket in futures_of(next).await {
            held.push(socket?);
        }
    }
    let (used, took) = (peer.process.cpu().since(cpu).total(), begun.elapsed().as_secs_f64());
    let grown = peer.process.resident_bytes() - memory;
    let listening: Vec<_> = held.into_iter().map(|socket| spawn_local(socket.listen(|_| None))).collect();
    let cpu = peer.process.cpu();
    tokio::time::sleep(hold).await;
    let idle = peer.process.cpu().since(cpu).total() / hold.as_secs_f64() / sockets as f64;
    let held_bytes = peer.process.resident_bytes() - memory;
    listening.iter().for_each(tokio::task::JoinHandle::abort);
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(json!({
        "scenario": "idle", "peer": peer.kind.name(), "sockets": sockets,
        "cpu_us_per_connect": used / sockets as f64 * 1e6,
        "connects_per_second": sockets as f64 / took,
        "resident_kb_per_socket": grown / sockets as f64 / 1024.0,
        "resident_kb_per_socket_held": held_bytes / sockets as f64 / 1024.0,
        "cpu_us_per_socket_second": idle * 1e6,
    }))
}

/// Waits for some at once, in their order.
async fn futures_of<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        let mut ready = true;
        for (one, done) in &mut all {
            if done.is_none() {
                match one.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *done = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

/// Some of a hundred readers stop reading while much is said.
pub async fn stalled(peer: &Peer, stall: bool, run_for: Duration) -> Result<Value> {
    const READERS: usize = 100;
    const STALLED: usize = 5;
    const PER_SECOND: usize = 500;
    let world = peer.world()?;
    let memory = peer.process.resident_bytes();
    let (latencies, said_at) = (Rc::<RefCell<Vec<f64>>>::default(), Rc::<RefCell<BTreeMap<usize, Instant>>>::default());
    let mut listening = vec![];
    let mut held = vec![];
    for nth in 0..READERS {
        let socket = peer.join(0, nth).await?;
        if stall && nth < STALLED {
            held.push(socket);
            continue;
        }
        let (latencies, said_at) = (latencies.clone(), said_at.clone());
        listening.push(spawn_local(socket.listen(move |text| {
            if let Some(nth) = number(text, b"nth=") {
                let said = said_at.borrow().get(&(nth as usize)).copied();
                latencies.borrow_mut().extend(said.map(|said| said.elapsed().as_secs_f64() * 1e3));
            }
            None
        })));
    }
    let speaker = peer.hello(0).await?;
    let mouth = speaker.mouth();
    spawn_local(speaker.listen(|_| None));
    let (begun, cut) = (Instant::now(), Rc::<Cell<Option<f64>>>::default());
    let (mut said, mut most) = (0, memory);
    let padding = "x".repeat(4_000);
    while begun.elapsed() < run_for {
        let due = Schedule::new(begun, PER_SECOND).until(said as u64).await;
        said_at.borrow_mut().insert(said, due);
        mouth.say(&world.post(said as u64, 0, &format!("nth={said} {padding}"))).await?;
        said += 1;
        most = most.max(peer.process.resident_bytes());
        if stall && cut.get().is_none() && cut_off(peer.port).await? >= STALLED as f64 {
            cut.set(Some(begun.elapsed().as_secs_f64()));
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    listening.iter().for_each(tokio::task::JoinHandle::abort);
    let mut latencies = latencies.borrow().clone();
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies.get((latencies.len() as f64 * share) as usize).copied();
    Ok(json!({
        "scenario": if stall { "stalled" } else { "stalled, none" }, "peer": "link", "said": said,
        "deliveries": latencies.len(), "p50_ms": at(0.5), "p99_ms": at(0.99),
        "grown_mb": (most - memory) / 1048576.0, "all_cut_after_s": cut.get(),
    }))
}

/// Returns how many sockets were too slow so far; asked seldom, since the answer is long.
async fn cut_off(port: u16) -> Result<f64> {
    thread_local! { static ASKED: Cell<Option<(Instant, f64, f64)>> = const { Cell::new(None) }; }
    if let Some((asked, first, last)) = ASKED.get()
        && asked.elapsed() < Duration::from_millis(250)
    {
        return Ok(last - first);
    }
    let page = crate::world::page(port, "/metrics").await?;
    let line = page.lines().find_map(|line| line.strip_prefix("link_clients_too_slow_total"));
    let count = line.and_then(|line| line.trim().rsplit(' ').next()?.parse().ok()).unwrap_or_default();
    let first = ASKED.get().map_or(count, |(_, first, _)| first);
    ASKED.set(Some((Instant::now(), first, count)));
    Ok(count - first)
}

/// Returns the number after a name.
fn number(text: &[u8], name: &[u8]) -> Option<u64> {
    let at = text.windows(name.len()).position(|bytes| bytes == name)? + name.len();
    let digits = text[at..].iter().take_while(|byte| byte.is_ascii_digit());
    Some(digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Many come back at once after something was said that they have not heard.
pub async fn resume(peer: &Peer, clients: usize, within: Duration) -> Result<Value> {
    let world = peer.world()?;
    let mut socket = peer.hello(0).await?;
    socket.say(&world.subscribe(None, None)).await?;
    let subscribed: Value = serde_json::from_str(&socket.until("\"t\":\"subscribed\"").await?)?;
    let head = subscribed["head"].as_u64().context("a head")?;
    socket.until("\"t\":\"caught_up\"").await?;
    const MISSED: u64 = 100;
    for nth in 0..MISSED {
        socket.say(&world.post(nth, 0, "hello")).await?;
        socket.until("\"t\":\"ok\"").await?;
    }
    let (cpu, begun) = (peer.process.cpu(), Instant::now());
    let mut coming = JoinSet::new();
    let (tokens, port, frame) = (Rc::new(world.tokens.clone()), peer.port, Rc::new(world.subscribe(None, Some(head))));
    for nth in 0..clients {
        let (tokens, frame) = (tokens.clone(), frame.clone());
        coming.spawn_local(async move {
            tokio::time::sleep(within.mul_f64(nth as f64 / clients as f64)).await;
            let begun = Instant::now();
            let coming = async {
                let mut socket = Socket::open(port, "/ws").await?;
                socket.say(&format!("{{\"t\":\"hello\",\"token\":\"{}\"}}", tokens[nth % tokens.len()])).await?;
                socket.until("\"t\":\"welcome\"").await?;
                socket.say(&frame).await?;
                let (mut next, mut wrong) = (head + 1, 0);
                loop {
                    let text = socket.next().await?;
                    if text.contains("\"t\":\"caught_up\"") {
                        break;
                    }
                    if text.starts_with("{\"t\":\"event\"") {
                        wrong += u64::from(number(text.as_bytes(), b"\"offset\":") != Some(next));
                        next += 1;
                    }
                }
                wrong += u64::from(next != head + MISSED + 1);
                anyhow::Ok((socket, begun.elapsed().as_secs_f64() * 1e3, wrong))
            };
            tokio::time::timeout(PATIENCE, coming).await?
        });
    }
    let (mut times, mut held, mut wrong, mut failed) = (vec![], vec![], 0, 0);
    while let Some(came) = coming.join_next().await {
        match came? {
            Ok((socket, time, gaps)) => {
                times.push(time);
                held.push(socket);
                wrong += gaps;
            }
            Err(_) => failed += 1,
        }
    }
    let (used, took) = (peer.process.cpu().since(cpu).total(), begun.elapsed());
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).copied();
    Ok(json!({
        "scenario": "resume", "peer": "link", "clients": clients, "missed_each": MISSED, "within_s": within.as_secs_f64(),
        "cpu_us_per_resume": used / clients as f64 * 1e6, "p50_ms": at(0.5), "p99_ms": at(0.99), "worst_ms": at(1.0),
        "all_after_s": took.as_secs_f64(), "failed": failed, "gaps": wrong,
    }))
}

/// A day with everybody in: typing, posting, moving cards; nothing may be missing, and memory may not grow.
pub async fn soak(peer: &Peer, run_for: Duration, per_second: usize) -> Result<Value> {
    let world = peer.world()?;
    let (gaps, errors, heard) = (Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default(), Rc::<Cell<u64>>::default());
    let asked = Rc::<RefCell<BTreeMap<u64, Instant>>>::default();
    let answers = Rc::<RefCell<Vec<f64>>>::default();
    let mut mouths = vec![];
    for member in 0..world.tokens.len() {
        let mut socket = peer.hello(member).await?;
        socket.say(&world.subscribe(None, None)).await?;
        socket.until("\"t\":\"caught_up\"").await?;
        mouths.push(socket.mouth());
        let (gaps, errors, heard) = (gaps.clone(), errors.clone(), heard.clone());
        let (asked, answers) = (asked.clone(), answers.clone());
        let mut last = None;
        spawn_local(async move {
            let end_errors = errors.clone();
            socket
                .listen(move |text| {
                    if text.starts_with(b"{\"t\":\"event\"") {
                        let offset = number(text, b"\"offset\":");
                        let follows = last.is_none_or(|last: u64| offset == Some(last + 1));
                        gaps.set(gaps.get() + u64::from(!follows));
                        heard.set(heard.get() + 1);
                        last = offset;
                    } else if text.starts_with(b"{\"t\":\"ok\"") {
                        let asked = number(text, b"\"id\":").and_then(|id| asked.borrow_mut().remove(&id));
                        answers.borrow_mut().extend(asked.map(|asked| asked.elapsed().as_secs_f64() * 1e3));
                    } else if text.starts_with(b"{\"t\":\"error\"") {
                        if errors.replace(errors.get() + 1) == 0 {
                            eprintln!("the first error: {}", String::from_utf8_lossy(text));
                        }
                    }
                    None
                })
                .await;
            end_errors.set(end_errors.get() + 1);
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (memory, cpu, begun) = (peer.process.resident_bytes(), peer.process.cpu(), Instant::now());
    let (mut done, mut dice, mut half) = (0_u64, 0x9e37_79b9_7f4a_7c15_u64, None);
    while begun.elapsed() < run_for {
        let due = Schedule::new(begun, per_second).until(done).await;
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let roll = (dice >> 33) as usize;
        let mouth = &mouths[roll % mouths.len()];
        let (room, cards) = (roll % (ROOMS + 1), world.cards.len());
        let frame = match roll % 10 {
            0..=5 => world.typing(room),
            6..=8 => world.post(done, room, "a message of the length that most have, which is not much"),
            _ => world.shift(done, roll % cards, (roll + 1) % cards),
        };
        if roll % 10 > 5 {
            asked.borrow_mut().insert(done, due);
        }
        mouth.say(&frame).await?;
        done += 1;
        if half.is_none() && begun.elapsed() > run_for / 2 {
            half = Some(peer.process.resident_bytes());
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut answers = answers.borrow().clone();
    answers.sort_by(f64::total_cmp);
    let at = |share: f64| answers.get((answers.len() as f64 * share) as usize).copied();
    let mb = |bytes: f64| bytes / 1048576.0;
    Ok(json!({
        "scenario": "soak", "peer": "link", "users": world.tokens.len(), "operations": done,
        "answered": answers.len(), "unanswered": asked.borrow().len(), "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99),
        "events_heard": heard.get(), "gaps": gaps.get(), "errors": errors.get(),
        "resident_mb_first": mb(memory), "resident_mb_half": half.map(mb), "resident_mb_last": mb(peer.process.resident_bytes()),
        "server_core": peer.process.cpu().since(cpu).total() / begun.elapsed().as_secs_f64(),
    }))
}
