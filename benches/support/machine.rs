//! What the numbers depend on: cores, load, the server's version, and how long the disk takes to be sure.

use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use sqlx::PgPool;

/// Writes that are timed to know the disk.
const PROBES: usize = 50;

/// Prints the circumstances of a run. `disk` is a directory on the disk that Postgres writes to.
pub async fn describe(pool: &PgPool, disk: &Path) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let version = setting(pool, "server_version").await;
    let fsync = setting(pool, "fsync").await;
    let synchronous = setting(pool, "synchronous_commit").await;
    println!("{cores} cores, load {load} before the run");
    println!("PostgreSQL {version}, fsync {fsync}, synchronous_commit {synchronous}, data below {}", disk.display());
    println!("8 KiB write + fdatasync: p50 {:.2} ms", fdatasync(disk).as_secs_f64() * 1e3);
}

async fn setting(pool: &PgPool, name: &str) -> String {
    let query = sqlx::query_scalar("SELECT current_setting($1)").bind(name);
    query.fetch_one(pool).await.expect("Postgres knows the setting")
}

fn fdatasync(disk: &Path) -> Duration {
    let path = disk.join("fdatasync-probe");
    let mut file = std::fs::File::create(&path).expect("the directory can be written to");
    let mut times: Vec<Duration> = (0..PROBES)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&[7; 8192]).expect("the disk has room");
            file.sync_data().expect("the disk works");
            begun.elapsed()
        })
        .collect();
    std::fs::remove_file(path).expect("it was made above");
    times.sort_unstable();
    times[PROBES / 2]
}
