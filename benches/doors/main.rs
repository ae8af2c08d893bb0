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
    ops::AddAssign,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use callers::{Caller, Direct, Rest, Trpc, Ws};
use cpu::{Cpu, Spent};
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
/// Calls per second of so many callers together, at which every door keeps up.
const PACES: [(usize, f64); 3] = [(1, 200.0), (16, 500.0), (64, 700.0)];
/// How often the doors take turns at a pace: what disturbs the machine then disturbs all of them.
const TURNS: usize = 4;

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
        let columns = ["door", "callers", "calls/s", "p50 ms", "p99 ms", "µs CPU each", "of Link"];
        let table = Table::begin(what.title(), 18, &columns);
        for callers in CALLERS {
            let direct = Direct::over(&machine, &inside).await;
            let none = cell(callers, time, &here, direct, &inside, what).await;
            table.row(&none.cells("none", callers));
            let rest = cell(callers, time, &server, Rest, &outside, what).await;
            table.row(&rest.cells("REST", callers));
            let ws = cell(callers, time, &server, Ws::open(&outside, callers).await, &outside, what).await;
            table.row(&ws.cells("WebSocket", callers));
            let trpc = cell(callers, time, &server, Trpc::new(1), &outside, what).await;
            table.row(&trpc.cells("tRPC", callers));
            let batch = cell(callers, time, &server, Trpc::new(BATCH), &outside, what).await;
            table.row(&batch.cells("tRPC, ten a batch", callers));
        }
    }
    paced(&machine, time, &inside, &outside).await;
    machine.stop().await;
}

/// What a door takes of the processor: as many commands a second through each, so that as many share a commit.
async fn paced(machine: &Machine, time: Duration, inside: &Arc<Place>, outside: &Arc<Place>) {
    let (server, here, what) = (machine.server_cpu(), machine.own_cpu(), What::Create);
    let columns = ["door", "callers", "calls/s", "µs CPU each", "of Link", "of the door"];
    let table = Table::begin("`tasks.create` at the same pace: what a door takes", 18, &columns);
    for (callers, pace) in PACES {
        let pace = Some(pace);
        let (direct, sockets) = (Direct::over(machine, inside).await, Ws::open(outside, callers).await);
        let mut spent: [Sum; 4] = Default::default();
        for _ in 0..TURNS {
            spent[0] += measure(callers, time, &here, direct.clone(), (inside, what), pace).await.sum;
            spent[1] += measure(callers, time, &server, Rest, (outside, what), pace).await.sum;
            spent[2] += measure(callers, time, &server, sockets.clone(), (outside, what), pace).await.sum;
            spent[3] += measure(callers, time, &server, Trpc::new(1), (outside, what), pace).await.sum;
        }
        let seconds = time.as_secs_f64() * TURNS as f64;
        let none = spent[0].link_us_each();
        for (door, sum) in ["none", "REST", "WebSocket", "tRPC"].into_iter().zip(&spent) {
            let share = (sum.link_us_each() - none) / sum.all_us_each() * 100.0;
            table.row(&[
                door.into(),
                callers.to_string(),
                format!("{:.0}", sum.measured as f64 / seconds),
                format!("{:.0}", sum.all_us_each()),
                format!("{:.0}", sum.link_us_each()),
                if door == "none" { String::new() } else { format!("{share:.0} %") },
            ]);
        }
    }
}

/// What was spent over several turns.
#[derive(Default)]
struct Sum {
    spent: Spent,
    calls: usize,
    /// Those of them that are not of the warm-up.
    measured: usize,
}

impl Sum {
    fn link_us_each(&self) -> f64 {
        self.spent.link_us / self.calls.max(1) as f64
    }

    fn all_us_each(&self) -> f64 {
        self.spent.all_us() / self.calls.max(1) as f64
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.spent += other.spent;
        self.calls += other.calls;
        self.measured += other.measured;
    }
}

/// What one cell saw.
struct Row {
    seen: Measured,
    calls_each: usize,
    sum: Sum,
}

impl Row {
    fn cells(&self, door: &str, callers: usize) -> Vec<String> {
        let ms = |share| format!("{:.2}", self.seen.quantile(share).as_secs_f64() * 1e3);
        vec![
            door.into(),
            callers.to_string(),
            format!("{:.0}", self.seen.per_second() * self.calls_each as f64),
            ms(0.5),
            ms(0.99),
            format!("{:.0}", self.sum.all_us_each()),
            format!("{:.0}", self.sum.link_us_each()),
        ]
    }
}

async fn cell<C: Caller>(callers: usize, time: Duration, cpu: &Cpu, caller: C, place: &Arc<Place>, what: What) -> Row {
    measure(callers, time, cpu, caller, (place, what), None).await
}

/// Each caller waits for an answer, and then for its turn where there is a pace: calls per second of all of them.
async fn measure<C: Caller>(
    callers: usize,
    time: Duration,
    cpu: &Cpu,
    caller: C,
    (place, what): (&Arc<Place>, What),
    pace: Option<f64>,
) -> Row {
    let (place, calls_each) = (place.clone(), caller.calls_each());
    let answers = Arc::new(AtomicUsize::new(0));
    let (before, begun, counted) = (cpu.read(), Instant::now(), answers.clone());
    let act = move |nth: usize, call: usize| {
        let (caller, place, counted) = (caller.clone(), place.clone(), counted.clone());
        async move {
            if let Some(pace) = pace {
                let due = begun + Duration::from_secs_f64((call * callers + nth) as f64 / pace);
                tokio::time::sleep_until(due.into()).await;
            }
            caller.call(&place, nth, what).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    let seen = drive(callers, time, act).await;
    let (spent, calls) = (cpu.read() - before, answers.load(Ordering::Relaxed) * calls_each);
    let measured = seen.count();
    Row { seen, calls_each, sum: Sum { spent, calls, measured } }
}
