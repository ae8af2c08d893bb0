//! Measures the real-time side of Link next to others: what a delivery, a socket and a resume cost.
//!
//! ```text
//! realtime [--link PATH] [--peers floor,gather,nchan,ws,socket.io,nats,link] [--scenarios fan1,…] [--seconds N] [--people N]
//! ```
//!
//! Each server has core 0 for itself and this process core 1; one line of JSON per measurement, then a table.

mod fan;
mod floor;
mod link;
mod pace;
mod peers;
mod process;
mod socket;
mod world;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use fan::{Fan, Pace};
use peers::{Kind, Peer};

const FANS: [Fan; 7] = [
    Fan { name: "fan1", rooms: 1, members: 1_000, pace: Pace::InFlight(1), durable: false },
    Fan { name: "fan4", rooms: 1, members: 1_000, pace: Pace::InFlight(4), durable: false },
    Fan { name: "chat", rooms: 100, members: 10, pace: Pace::PerSecond(2_000), durable: false },
    Fan { name: "durable1", rooms: 1, members: 1_000, pace: Pace::InFlight(1), durable: true },
    Fan { name: "durable4", rooms: 1, members: 1_000, pace: Pace::InFlight(4), durable: true },
    Fan { name: "paced", rooms: 1, members: 1_000, pace: Pace::PerSecond(10), durable: false },
    Fan { name: "latency", rooms: 1, members: 1_000, pace: Pace::PerSecond(10), durable: true },
];
/// All but the long one.
const SCENARIOS: &str = "idle,fan1,fan4,chat,durable1,durable4,paced,latency,stalled,resume";

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(name @ ("floor" | "gather")) => {
            let port = arguments.next().context("a port")?.parse()?;
            runtime.block_on(local.run_until(floor::serve(port, name == "gather")))
        }
        first => {
            let all: Vec<String> = first.map(str::to_owned).into_iter().chain(arguments).collect();
            let options: BTreeMap<_, _> = all.chunks(2).map(|pair| (pair[0].clone(), pair.get(1).cloned())).collect();
            runtime.block_on(local.run_until(measure(&options)))
        }
    }
}

async fn measure(options: &BTreeMap<String, Option<String>>) -> Result<()> {
    let option = |name: &str, otherwise: &str| match options.get(name) {
        Some(Some(value)) => value.clone(),
        _ => otherwise.to_owned(),
    };
    let link = option("--link", concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/link"));
    let (peers, scenarios) =
        (option("--peers", "floor,gather,nchan,ws,socket.io,nats,link"), option("--scenarios", SCENARIOS));
    let (seconds, people) = (option("--seconds", "5").parse()?, option("--people", "1000").parse()?);
    process::pin(std::process::id(), 1)?;
    let mut rows = vec![];
    for kind in Kind::ALL.into_iter().filter(|kind| peers.split(',').any(|name| name == kind.name())) {
        let peer = Peer::start(kind, &link, people).await?;
        for scenario in scenarios.split(',') {
            for row in run(&peer, scenario, Duration::from_secs_f64(seconds)).await? {
                println!("{row}");
                rows.push(row);
            }
        }
        peer.stop().await;
    }
    table(&rows);
    Ok(())
}

async fn run(peer: &Peer, scenario: &str, run_for: Duration) -> Result<Vec<Value>> {
    let fan = FANS.into_iter().find(|fan| fan.name == scenario);
    let of_link = peer.kind == Kind::Link;
    Ok(match (scenario, fan) {
        (_, Some(fan)) if of_link || !fan.durable => vec![fan::run(peer, fan, run_for).await?],
        ("idle", _) => vec![link::idle(peer, 10_000, run_for).await?],
        ("stalled", _) if of_link => {
            let run_for = run_for.max(Duration::from_secs(15));
            vec![link::stalled(peer, false, run_for).await?, link::stalled(peer, true, run_for).await?]
        }
        ("resume", _) if of_link => vec![link::resume(peer, 5_000, Duration::from_secs(5)).await?],
        ("soak", _) if of_link => vec![link::soak(peer, run_for, 100).await?],
        ("stalled" | "resume" | "soak" | "durable1" | "durable4" | "latency", _) => vec![],
        _ => bail!("no scenario is called {scenario}"),
    })
}

/// Prints a table per scenario.
fn table(rows: &[Value]) {
    let mut scenarios: Vec<&str> = rows.iter().filter_map(|row| row["scenario"].as_str()).collect();
    scenarios.dedup();
    let mut shown: Vec<&str> = vec![];
    for scenario in scenarios {
        if shown.contains(&scenario) {
            continue;
        }
        shown.push(scenario);
        let of_it: Vec<_> =
            rows.iter().filter(|row| row["scenario"] == scenario).filter_map(Value::as_object).collect();
        let columns: Vec<_> = of_it[0].keys().filter(|name| *name != "scenario").collect();
        let line = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
        println!("\n{scenario}\n");
        line(columns.iter().map(|name| name.replace('_', " ")).collect());
        line(columns.iter().map(|_| "---:".to_owned()).collect());
        for row in of_it {
            line(columns.iter().map(|name| cell(&row[*name])).collect());
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => match number.as_f64().unwrap_or_default() {
            large if large.abs() >= 100.0 => format!("{large:.0}"),
            small => format!("{small:.2}"),
        },
        other => other.to_string(),
    }
}
