//! One decision: who, and where. Everything that it rests on is written down with it, down to the probability with
//! which it came out as it did.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{AgentId, InstanceId, ProjectId};

use super::{health::Vitals, random::Draws, skill::Posterior};

/// Work with a risk is judged by the mean less so many standard deviations.
const CAUTION: f64 = 1.0;
/// What got worse not long ago is considered only this often, while there is anything else.
const WORSE_SHARE: f64 = 0.1;
/// The steps between 0 and 1 with which probabilities are computed.
const STEPS: usize = 256;
/// What going on with the same agent is worth beside skill, in steps: a fifth of what there is to gain.
const SAME_AGENT: usize = STEPS / 5;
/// What the same instance costs beside another one, which has to be told everything.
const SAME_INSTANCE: f64 = 0.5;
/// What an instance costs on which this very work failed.
const FAILED_HERE: f64 = 8.0;
/// The most of each list that is written down, the likeliest first.
const LISTED_MAX: usize = 16;

/// How an agent is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A person named it.
    Pinned,
    /// The work is too urgent for trying out: the best mean, less what is unsure.
    Careful,
    /// Each as often as it may be the best (Thompson 1933).
    Sampled,
}

/// An agent with a model that could take the work.
#[derive(Clone, Debug)]
pub struct Arm {
    /// Who.
    pub agent: AgentId,
    /// With which model.
    pub model: Option<String>,
    /// What is believed of its skill.
    pub posterior: Posterior,
    /// It got worse not long ago.
    pub worse: bool,
    /// It has worked on this before.
    pub same: bool,
    /// Where it could do it: at least one.
    pub places: Vec<Place>,
}

/// An instance with a free slot.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Which.
    pub instance: InstanceId,
    /// Attempts that it has.
    pub in_flight: u32,
    /// How it stands.
    pub vitals: Vitals,
    /// What happened when it had this work before.
    pub before: Option<Before>,
}

/// What happened when an instance had the same work before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Before {
    /// It may still know of it.
    Knows,
    /// It failed under it.
    Failed,
}

/// Why an agent and an instance were chosen, so that it can be done again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// How the agent was chosen.
    pub mode: Mode,
    /// The kind of work: the project.
    pub kind: Option<ProjectId>,
    /// What all draws came from.
    pub seed: u64,
    /// How likely this agent and this instance were; 1 where a person named the agent.
    pub propensity: f64,
    /// Who could take it.
    pub candidates: Vec<Candidate>,
    /// Where the chosen one could do it.
    pub instances: Vec<Offered>,
    /// Who could not, and why.
    pub filtered: Vec<Filtered>,
}

/// An agent that could take the work.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Who.
    pub agent: AgentId,
    /// With which model.
    pub model: Option<String>,
    /// The expected reward.
    pub mean: f64,
    /// How unsure that is.
    pub sd: f64,
    /// Results that it rests on; old ones count less.
    pub n: f64,
    /// What was drawn for it, or its careful value; none where a person chose.
    pub sampled: Option<f64>,
    /// It has worked on this before, which counts for it.
    pub same: bool,
    /// It got worse not long ago and gets little work.
    pub worse: bool,
    /// How likely it was.
    pub propensity: f64,
}

/// An instance on which the work could be done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Offered {
    /// Which.
    pub instance: InstanceId,
    /// Attempts that it had.
    pub in_flight: u32,
    /// How long it takes to accept work.
    pub latency_ms: f64,
    /// How often machines and networks did their part.
    pub success: f64,
    /// It got slower, or failed more than once in a row, not long ago: it gets little work.
    pub degraded: bool,
    /// What one more attempt costs there; of two, the cheaper one gets it.
    pub cost: f64,
    /// How likely it was, once the agent was chosen.
    pub propensity: f64,
}

/// An agent, or one of its instances, that could not take the work.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Filtered {
    /// Who.
    pub agent: AgentId,
    /// Where, if it is about one instance.
    pub instance: Option<InstanceId>,
    /// Why not.
    pub why: Filter,
}

/// Why work cannot go somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// It lacks a skill that the work requires.
    Skills,
    /// A person paused the agent.
    Paused,
    /// A person lets the agent finish what it has, and no more.
    Draining,
    /// The agent is retired.
    Retired,
    /// The agent has as many attempts as it may have.
    AgentFull,
    /// The agent has no instance.
    NoInstance,
    /// The instance does not answer.
    Unhealthy,
    /// The instance has as many attempts as it may have.
    InstanceFull,
    /// The instance's breaker is open: machines or networks failed under it again and again.
    BreakerOpen,
    /// The instance's breaker is half open, and the one attempt that may try it runs.
    BeingTried,
    /// The step that was taken after a failure leads elsewhere.
    Strategy,
}

/// Chooses among what is possible; nothing where nothing is. Returns the place in `arms`, the instance, and why.
pub fn choose(arms: &[Arm], mode: Mode, kind: Option<ProjectId>, seed: u64) -> Option<(usize, InstanceId, Decision)> {
    let mut draws = Draws::from_seed(seed);
    let scores = scores(arms, mode, &mut draws);
    let chances = chances(arms, mode);
    let worse: Vec<bool> = arms.iter().map(|arm| arm.worse).collect();
    let pool = pool(&worse, share(mode), &mut draws);
    let best = pool.into_iter().max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)))?;
    let places = &arms[best].places;
    let (place, odds) = two_choice(places, share(mode), &mut draws)?;
    let propensity = if mode == Mode::Pinned { 1.0 } else { rounded(chances[best] * odds[place]) };
    let candidates = arms.iter().zip(&scores).zip(&chances).map(|((arm, score), chance)| Candidate {
        agent: arm.agent,
        model: arm.model.clone(),
        mean: rounded(arm.posterior.mean()),
        sd: rounded(arm.posterior.sd()),
        n: rounded(arm.posterior.n),
        sampled: (mode != Mode::Pinned).then(|| rounded(*score)),
        same: arm.same,
        worse: arm.worse,
        propensity: rounded(*chance),
    });
    let instances = places.iter().zip(&odds).map(|(place, chance)| Offered {
        instance: place.instance,
        in_flight: place.in_flight,
        latency_ms: rounded(place.vitals.latency_ms),
        success: rounded(place.vitals.success),
        degraded: place.vitals.degraded,
        cost: rounded(place.cost()),
        propensity: rounded(*chance),
    });
    let candidates = likeliest(candidates.collect(), best, |candidate| candidate.propensity);
    let instances = likeliest(instances.collect(), place, |offered| offered.propensity);
    let decision = Decision { mode, kind, seed, propensity, candidates, instances, filtered: vec![] };
    Some((best, places[place].instance, decision))
}

impl Decision {
    /// Adds who could not take the work, as far as there is room.
    pub fn without(mut self, mut filtered: Vec<Filtered>) -> Self {
        filtered.truncate(LISTED_MAX);
        self.filtered = filtered;
        self
    }
}

impl Place {
    /// Returns what handing it the work costs.
    fn cost(&self) -> f64 {
        let affinity = match self.before {
            None => 1.0,
            Some(Before::Knows) => SAME_INSTANCE,
            Some(Before::Failed) => FAILED_HERE,
        };
        self.vitals.cost(self.in_flight) * affinity
    }
}

/// What the candidates are compared by.
fn scores(arms: &[Arm], mode: Mode, draws: &mut Draws) -> Vec<f64> {
    let bonus = |arm: &Arm| if arm.same { SAME_AGENT as f64 / STEPS as f64 } else { 0.0 };
    let score = |arm: &Arm| match mode {
        Mode::Pinned => 0.0,
        Mode::Careful => arm.posterior.mean() - CAUTION * arm.posterior.sd(),
        Mode::Sampled => draws.beta(arm.posterior.alpha, arm.posterior.beta),
    };
    let plain: Vec<f64> = arms.iter().map(score).collect();
    plain.into_iter().zip(arms).map(|(score, arm)| score + bonus(arm)).collect()
}

/// How often what got worse is considered all the same: never, where care is needed.
fn share(mode: Mode) -> f64 {
    if mode == Mode::Careful { 0.0 } else { WORSE_SHARE }
}

/// Those among whom is chosen this time: what got worse is in it only for its share.
fn pool(worse: &[bool], share: f64, draws: &mut Draws) -> Vec<usize> {
    let sound: Vec<usize> = (0..worse.len()).filter(|n| !worse[*n]).collect();
    let all = draws.unit() < share;
    if sound.is_empty() || all { (0..worse.len()).collect() } else { sound }
}

/// The probability of each when `within` says it for a set of them: what got worse counts for its share.
fn mixed(worse: &[bool], share: f64, within: impl Fn(&[usize]) -> Vec<f64>) -> Vec<f64> {
    let all: Vec<usize> = (0..worse.len()).collect();
    let sound: Vec<usize> = all.iter().copied().filter(|n| !worse[*n]).collect();
    if sound.is_empty() || sound.len() == all.len() {
        return within(&all);
    }
    let mut chances = vec![0.0; worse.len()];
    for (members, weight) in [(all, share), (sound, 1.0 - share)] {
        if weight > 0.0 {
            let odds = within(&members);
            members.iter().zip(odds).for_each(|(member, odd)| chances[*member] += weight * odd);
        }
    }
    chances
}

/// How likely each candidate was.
fn chances(arms: &[Arm], mode: Mode) -> Vec<f64> {
    let worse: Vec<bool> = arms.iter().map(|arm| arm.worse).collect();
    match mode {
        // One agent; all of its models are alike to whoever named it.
        Mode::Pinned => (0..arms.len()).map(|n| f64::from(u8::from(n == 0))).collect(),
        Mode::Careful => {
            let scores = scores(arms, mode, &mut Draws::from_seed(0));
            mixed(&worse, share(mode), |members| {
                let best = members.iter().copied().max_by(|a, b| scores[*a].total_cmp(&scores[*b]).then(b.cmp(a)));
                members.iter().map(|member| f64::from(u8::from(Some(*member) == best))).collect()
            })
        }
        Mode::Sampled if arms.len() == 1 => vec![1.0],
        Mode::Sampled => {
            let grids: Vec<Vec<f64>> = arms.iter().map(density).collect();
            mixed(&worse, share(mode), |members| winning(members, &grids))
        }
    }
}

/// The belief as weights on the steps, moved up by what counts beside skill.
fn density(arm: &Arm) -> Vec<f64> {
    let Posterior { alpha, beta, .. } = arm.posterior;
    let log = |step: usize| {
        let x = (step as f64 + 0.5) / STEPS as f64;
        (alpha - 1.0) * x.ln() + (beta - 1.0) * (1.0 - x).ln()
    };
    let logs: Vec<f64> = (0..STEPS).map(log).collect();
    let peak = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.into_iter().map(|log| (log - peak).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let up = if arm.same { SAME_AGENT } else { 0 };
    let mut grid = vec![0.0; STEPS + SAME_AGENT];
    weights.iter().enumerate().for_each(|(step, weight)| grid[step + up] = weight / sum);
    grid
}

/// The probability that each member's draw is the largest: the integral of its density times the others' distribution
/// functions, step by step.
fn winning(members: &[usize], grids: &[Vec<f64>]) -> Vec<f64> {
    let mut below = vec![0.0; members.len()];
    let mut chances = vec![0.0; members.len()];
    let mut before = vec![1.0; members.len() + 1];
    for step in 0..STEPS + SAME_AGENT {
        let here = column(members, grids, step);
        // Within a step, each of two is the larger one as often.
        let under: Vec<f64> = below.iter().zip(&here).map(|(below, here)| below + here / 2.0).collect();
        for (n, under) in under.iter().enumerate() {
            before[n + 1] = before[n] * under;
        }
        let mut after = 1.0;
        for n in (0..members.len()).rev() {
            chances[n] += here[n] * before[n] * after;
            after *= under[n];
        }
        below.iter_mut().zip(&here).for_each(|(below, here)| *below += here);
    }
    let sum: f64 = chances.iter().sum();
    chances.into_iter().map(|chance| chance / sum).collect()
}

/// What each member's belief has at a step.
fn column(members: &[usize], grids: &[Vec<f64>], step: usize) -> Vec<f64> {
    members.iter().map(|member| grids[*member][step]).collect()
}

/// Takes two at random and of these the cheaper one (Mitzenmacher 2001): nearly as good as the cheapest of all, and
/// not everybody runs to the same one. Returns how likely each was, too.
fn two_choice(places: &[Place], share: f64, draws: &mut Draws) -> Option<(usize, Vec<f64>)> {
    let slower: Vec<bool> = places.iter().map(|place| place.vitals.degraded).collect();
    let mut by_cost: Vec<usize> = (0..places.len()).collect();
    by_cost.sort_by(|a, b| places[*a].cost().total_cmp(&places[*b].cost()).then(a.cmp(b)));
    let rank = |place: usize| by_cost.iter().position(|other| *other == place);
    let pool = pool(&slower, share, draws);
    let first = draws.below(pool.len());
    let second = draws.below(pool.len().saturating_sub(1));
    let second = if second >= first { (second + 1).min(pool.len().saturating_sub(1)) } else { second };
    let chosen = [pool.get(first)?, pool.get(second)?].into_iter().copied().min_by_key(|place| rank(*place))?;
    let odds = mixed(&slower, share, |members| {
        // One wins against each that costs more, and is drawn with it as often as any pair.
        let dearer = |place: usize| members.iter().filter(|other| rank(**other) > rank(place)).count();
        let pairs = members.len() * members.len().saturating_sub(1) / 2;
        let chance = |place: &usize| if pairs == 0 { 1.0 } else { dearer(*place) as f64 / pairs as f64 };
        members.iter().map(chance).collect()
    });
    Some((chosen, odds))
}

/// Keeps the likeliest, and the chosen one in any case.
fn likeliest<T>(all: Vec<T>, chosen: usize, propensity: impl Fn(&T) -> f64) -> Vec<T> {
    let mut all: Vec<(bool, T)> = all.into_iter().enumerate().map(|(n, item)| (n == chosen, item)).collect();
    all.sort_by(|(a_chosen, a), (b_chosen, b)| b_chosen.cmp(a_chosen).then(propensity(b).total_cmp(&propensity(a))));
    all.into_iter().take(LISTED_MAX).map(|(_, item)| item).collect()
}

/// Six digits are enough for a reader, and are the same after any door.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
