//! Many seeds in one table, with how sure each number is: bootstrap intervals of the regrets, and how late and how
//! falsely the detector calls.

use serde::Serialize;

use super::{
    super::{Draws, LATENCY_ALARM, PageHinkley, REWARD_ALARM, Sensitivity},
    Policy, regret,
};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;
/// Values before something gets worse, and after it, of each of the detector's streams.
const QUIET: usize = 500;
const WATCHED: usize = 100;
/// The spread of the logarithm of a latency.
const LATENCY_SPREAD: f64 = 0.4;

/// What is simulated.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Setting {
    /// How many worlds.
    pub seeds: u32,
    /// How long each lasts.
    pub days: u32,
    /// The first one's seed.
    pub seed: u64,
}

/// A mean with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
}

/// How much a policy misses.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Which.
    pub policy: Policy,
    /// Accepted works that it missed in a world.
    pub regret: Interval,
    /// By how much more than the learned one, world by world.
    pub above_learned: Interval,
}

/// How the detector does when something gets worse.
#[derive(Clone, Debug, Serialize)]
pub struct Detection {
    /// What it watches.
    pub signal: &'static str,
    /// How it gets worse.
    pub change: String,
    /// False alarms in a thousand values before.
    pub false_alarms_per_1000: f64,
    /// The share of streams in which it is noticed within a hundred values.
    pub noticed: f64,
    /// After how many values, where it is noticed: half of the time no later, and 95 % of it.
    pub delay_median: usize,
    /// As above.
    pub delay_p95: usize,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was simulated.
    pub setting: Setting,
    /// The policies.
    pub policies: Vec<Outcome>,
    /// The detector.
    pub detector: Vec<Detection>,
}

/// Simulates.
pub fn run(setting: Setting) -> Report {
    let worlds = || (0..u64::from(setting.seeds)).map(|n| setting.seed.wrapping_add(n));
    let regrets = Policy::ALL.map(|policy| worlds().map(|seed| regret(policy, seed, setting.days)).collect::<Vec<_>>());
    let outcome = |(policy, own): (Policy, &Vec<f64>)| {
        let above: Vec<f64> = own.iter().zip(&regrets[0]).map(|(own, learned)| own - learned).collect();
        Outcome { policy, regret: bootstrap(own, setting.seed), above_learned: bootstrap(&above, setting.seed) }
    };
    let policies = Policy::ALL.into_iter().zip(&regrets).map(outcome).collect();
    let rewards = [(0.85, 0.65), (0.85, 0.45), (0.85, 0.15), (0.6, 0.2)].map(|(from, to)| {
        let value = move |draws: &mut Draws, worse: bool| {
            let skill = if worse { to } else { from };
            f64::from(u8::from(draws.unit() >= skill))
        };
        detection("reward", format!("{from:.2} to {to:.2}"), REWARD_ALARM, setting, value)
    });
    let latencies = [1.5, 2.0, 4.0_f64].map(|times| {
        let value = move |draws: &mut Draws, worse: bool| {
            LATENCY_SPREAD * draws.normal() + if worse { times.ln() } else { 0.0 }
        };
        detection("latency", format!("{times:.1} times as slow"), LATENCY_ALARM, setting, value)
    });
    Report { setting, policies, detector: rewards.into_iter().chain(latencies).collect() }
}

/// The mean of the values, and between which bounds the means of 95 % of the resamples are (Efron 1979).
fn bootstrap(values: &[f64], seed: u64) -> Interval {
    let mut draws = Draws::from_seed(seed);
    let n = values.len().max(1) as f64;
    let resample = |draws: &mut Draws| values.iter().map(|_| values[draws.below(values.len())]).sum::<f64>() / n;
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample(&mut draws)).collect();
    means.sort_by(f64::total_cmp);
    let (low, high) = (means[RESAMPLES / 40], means[RESAMPLES - 1 - RESAMPLES / 40]);
    Interval { mean: values.iter().sum::<f64>() / n, low, high }
}

fn detection(
    signal: &'static str,
    change: String,
    how: Sensitivity,
    setting: Setting,
    value: impl Fn(&mut Draws, bool) -> f64,
) -> Detection {
    let (mut falsely, mut delays) = (0, vec![]);
    for seed in 0..u64::from(setting.seeds) {
        let (mut draws, mut detector) = (Draws::from_seed(setting.seed.wrapping_add(seed)), PageHinkley::default());
        falsely += (0..QUIET).filter(|_| detector.take(value(&mut draws, false), how)).count();
        delays.extend((1..=WATCHED).find(|_| detector.take(value(&mut draws, true), how)));
    }
    delays.sort_unstable();
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).or(delays.last()).copied().unwrap_or(0);
    let streams = f64::from(setting.seeds.max(1));
    Detection {
        signal,
        change,
        false_alarms_per_1000: f64::from(u32::try_from(falsely).unwrap_or(u32::MAX)) * 1_000.0
            / (streams * QUIET as f64),
        noticed: delays.len() as f64 / streams,
        delay_median: at(0.5),
        delay_p95: at(0.95),
    }
}
