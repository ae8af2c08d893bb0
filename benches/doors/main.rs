//! What a door costs: the same two operations over REST, tRPC and WebSocket, and without any door, on one Postgres.
//!
//! The server is a process of its own; its processor time, and that of Postgres, is read from the kernel, so that what
//! the callers themselves cost is not in it. Without a door the operation is called in this process.
//!
//! ```text
//! cargo bench --bench doors             LINK_BENCH_SECONDS=5 for longer cells, LINK_BENCH_DIR for another disk
//! ```

mod callers;
mod cpu;
#[path = "../commit/drive.rs"]
mod drive;
mod place;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use callers::{Caller, Direct, Rest, Trpc, Ws};
use cpu::Cpu;
use drive::{Measured, drive};
use link::persistence;
use place::{Place, What};
use server::Machine;
use support::{Table, describe};

/// Callers that wait for an answer at the same time, each with a connection of its own.
const CALLERS: [usize; 3] = [1, 16, 64];
/// Calls of one batch.
const BATCH: usize = 10;
/// How long one cell is measured.
const SECONDS: f64 = 2.0;

fn main() {
    support::main(run());
}

async fn run() {
    let seconds = std::env::var("LINK_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let time = Duration::from_secs_f64(seconds);
    let machine = Machine::start().await;
    let pool = persistence::connect(machine.database(), 1).await.expect("the database runs");
    describe(&pool, machine.root()).await;
    let outside = Arc::new(Place::make(&machine.server_url(), CALLERS[2]).await);
    let inside = Arc::new(Place::make(&machine.node_url(), CALLERS[2]).await);
    let (server, here) = (machine.server_cpu(), machine.own_cpu());
    for what in [What::Create, What::Board] {
        let columns = ["door", "callers", "calls/s", "p50 ms", "p99 ms", "µs CPU each", "of Link", "of the door"];
        let table = Table::begin(what.title(), 18, &columns);
        for callers in CALLERS {
            let direct = Direct::over(&machine, &inside).await;
            let none = cell(callers, time, &here, direct, &inside, what).await;
            table.row(&none.cells("none", callers, None));
            let rest = cell(callers, time, &server, Rest, &outside, what).await;
            table.row(&rest.cells("REST", callers, Some(&none)));
            let ws = cell(callers, time, &server, Ws::open(&outside, callers).await, &outside, what).await;
            table.row(&ws.cells("WebSocket", callers, Some(&none)));
            let trpc = cell(callers, time, &server, Trpc::new(1), &outside, what).await;
            table.row(&trpc.cells("tRPC", callers, Some(&none)));
            let batch = cell(callers, time, &server, Trpc::new(BATCH), &outside, what).await;
            table.row(&batch.cells("tRPC, ten a batch", callers, Some(&none)));
        }
    }
    machine.stop().await;
}

/// What one cell saw.
struct Row {
    seen: Measured,
    calls_each: usize,
    /// Of Link and of Postgres, per call.
    all_us: f64,
    /// Of Link alone, per call.
    link_us: f64,
}

impl Row {
    /// `none` is the same without a door: what is more than that is the door's.
    fn cells(&self, door: &str, callers: usize, none: Option<&Row>) -> Vec<String> {
        let ms = |share| format!("{:.2}", self.seen.quantile(share).as_secs_f64() * 1e3);
        let share = |none: &Row| format!("{:.0} %", (self.link_us - none.link_us) / self.all_us * 100.0);
        vec![
            door.into(),
            callers.to_string(),
            format!("{:.0}", self.seen.per_second() * self.calls_each as f64),
            ms(0.5),
            ms(0.99),
            format!("{:.0}", self.all_us),
            format!("{:.0}", self.link_us),
            none.map(share).unwrap_or_default(),
        ]
    }
}

async fn cell<C: Caller>(callers: usize, time: Duration, cpu: &Cpu, caller: C, place: &Arc<Place>, what: What) -> Row {
    let (place, calls_each) = (place.clone(), caller.calls_each());
    let answers = Arc::new(AtomicUsize::new(0));
    let (before, counted) = (cpu.read(), answers.clone());
    let act = move |nth, _| {
        let (caller, place, counted) = (caller.clone(), place.clone(), counted.clone());
        async move {
            caller.call(&place, nth, what).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let seen = drive(callers, time, act).await;
    let spent = cpu.read() - before;
    let calls = (answers.load(Ordering::Relaxed) * calls_each).max(1) as f64;
    Row { seen, calls_each, all_us: spent.all_us() / calls, link_us: spent.link_us / calls }
}
