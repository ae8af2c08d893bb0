//! Which agent and which instance get the work, learned from what became of earlier work. Pure: time and seeds come in
//! as values, so whoever has the log and the recorded seed comes to the same decision. See docs/routing.md.

pub mod breaker;
mod choice;
mod detector;
mod health;
mod held;
mod learned;
mod pairs;
mod random;
pub mod sim;
mod skill;

pub use choice::{Arm, Before, Candidate, Decision, Filter, Filtered, Mode, Offered, Place, choose};
pub use detector::{PageHinkley, Sensitivity};
pub use health::{Health, Standing, Vitals};
pub use held::{Bulkheads, Class, Held, Hold};
pub use learned::{Cell, LATENCY_ALARM, Learned, REWARD_ALARM, Tried};
pub use random::Draws;
pub use skill::{Ended, Evidence, Posterior, reward};

/// The largest seed: every client can read it as a number without losing a digit.
pub const SEED_MAX: u64 = (1 << 53) - 1;

#[cfg(test)]
mod tests;
