//! What the benches share: a directory on a disk, the machine, a table.

mod machine;
mod table;

pub use machine::describe;
pub use table::Table;

use std::path::PathBuf;

/// What Link itself is built with.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs a bench when it was started by `cargo bench`; `cargo test` only checks that it builds.
pub fn main(bench: impl Future<Output = ()>) {
    if std::env::args().any(|argument| argument == "--bench") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        runtime.expect("a runtime can be built").block_on(bench);
    }
}

/// Makes a directory below `LINK_BENCH_DIR`, else below /var/tmp, which no system keeps in memory.
pub fn scratch(name: &str) -> PathBuf {
    let base = std::env::var("LINK_BENCH_DIR").unwrap_or("/var/tmp".into());
    let path = PathBuf::from(base).join(format!("link-bench-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the directory can be made: set LINK_BENCH_DIR to one on a disk");
    path
}
