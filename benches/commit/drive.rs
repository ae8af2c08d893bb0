//! Callers that each wait for their answer before they ask again, and what they saw.

use std::time::{Duration, Instant};

/// Runs unmeasured first, so that actors, connections and caches are there.
const WARM_UP: Duration = Duration::from_millis(500);

/// What all callers of a cell saw.
pub struct Measured {
    /// From asking to the answer, in order.
    latencies: Vec<Duration>,
    time: Duration,
}

impl Measured {
    /// Returns how many answers there were.
    pub fn count(&self) -> usize {
        self.latencies.len()
    }

    /// Returns answers per second.
    pub fn per_second(&self) -> f64 {
        self.count() as f64 / self.time.as_secs_f64()
    }

    /// Returns the latency that this share of the calls did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

/// Has `callers` tasks repeat `act(caller, nth)` for a while.
pub async fn drive<F, A>(callers: usize, time: Duration, act: F) -> Measured
where
    F: Fn(usize, usize) -> A + Clone + Send + 'static,
    A: Future<Output = ()> + Send,
{
    let from = Instant::now() + WARM_UP;
    let until = from + time;
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let act = act.clone();
            tokio::spawn(async move {
                let (mut nth, mut seen) = (0, vec![]);
                loop {
                    let begun = Instant::now();
                    act(caller, nth).await;
                    let ended = Instant::now();
                    nth += 1;
                    if ended > until {
                        return seen;
                    }
                    if ended > from {
                        seen.push(ended - begun);
                    }
                }
            })
        })
        .collect();
    let mut latencies = vec![];
    for task in tasks {
        latencies.extend(task.await.expect("no caller fails"));
    }
    latencies.sort_unstable();
    Measured { latencies, time }
}
