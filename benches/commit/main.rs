//! Group commit against one transaction per command: the same commands, tables and statements, on the same Postgres,
//! one after the other in one run.
//!
//! ```text
//! cargo bench --bench commit            LINK_BENCH_SECONDS=5 for longer cells, LINK_BENCH_DIR for another disk
//! ```

mod baseline;
mod drive;
#[path = "../support/node.rs"]
mod node;
mod rooms;
#[path = "../support/mod.rs"]
mod support;

use std::{sync::Arc, time::Duration};

use baseline::Baseline;
use drive::{Measured, drive};
use node::BenchNode;
use rooms::{Layout, Rooms};
use support::{Table, describe};

/// Callers that wait for an answer at the same time.
const CALLERS: [usize; 4] = [1, 16, 64, 256];
/// How long one cell is measured.
const SECONDS: f64 = 2.0;

fn main() {
    support::main(run());
}

async fn run() {
    let seconds = std::env::var("LINK_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let time = Duration::from_secs_f64(seconds);
    let node = BenchNode::start("commit").await;
    describe(node.pool(), node.disk()).await;
    let columns = ["callers", "commands/s", "p50 ms", "p99 ms", "one tx each/s", "p50 ms", "p99 ms", "ratio"];
    for layout in [Layout::OneWorkspace, Layout::OneEntity, Layout::ManyWorkspaces] {
        // Each side has workspaces of its own: Link's writer is the only one that may append to a log of Link's.
        let ours = Arc::new(Rooms::make(node.directory(), layout).await);
        let theirs = Rooms::make(node.directory(), layout).await;
        let baseline = Arc::new(Baseline::over(node.context().clone(), theirs).await);
        let table = Table::begin(layout.title(), 7, &columns);
        for callers in CALLERS {
            let (directory, rooms) = (node.directory().clone(), ours.clone());
            let link = drive(callers, time, move |caller, nth| {
                let (directory, rooms) = (directory.clone(), rooms.clone());
                async move { rooms.post(&directory, caller, nth).await }
            })
            .await;
            let baseline = baseline.clone();
            let each = drive(callers, time, move |caller, nth| {
                let baseline = baseline.clone();
                async move { baseline.post(caller, nth).await }
            })
            .await;
            table.row(&cells(callers, &link, &each));
        }
    }
    node.stop().await;
}

fn cells(callers: usize, link: &Measured, each: &Measured) -> Vec<String> {
    let of = |measured: &Measured| {
        let ms = |share| format!("{:.2}", measured.quantile(share).as_secs_f64() * 1e3);
        [format!("{:.0}", measured.per_second()), ms(0.5), ms(0.99)]
    };
    let ratio = format!("{:.1}x", link.per_second() / each.per_second());
    [vec![callers.to_string()], of(link).to_vec(), of(each).to_vec(), vec![ratio]].concat()
}
