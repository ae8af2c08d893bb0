//! Draws that anyone can repeat: everything random comes from a seed that the caller gives and the event records.

use std::f64::consts::TAU;

/// SplitMix64 (Steele, Lea, Flood 2014): a stream of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// Begins the stream of a seed.
    pub fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns one of 0, 1, … n − 1; 0 where there is none.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Returns a draw from the standard normal distribution (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (TAU * self.unit()).cos()
    }

    /// Returns a draw from Gamma(shape, 1) (Marsaglia and Tsang 2000).
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            // Gamma(a) is Gamma(a + 1) · U^(1/a).
            return self.gamma(shape + 1.0) * (1.0 - self.unit()).powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        // Nineteen in twenty draws are taken at once; a hundred refusals in a row do not happen.
        for _ in 0..100 {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
        d
    }

    /// Returns a draw from Beta(alpha, beta).
    pub fn beta(&mut self, alpha: f64, beta: f64) -> f64 {
        let (x, y) = (self.gamma(alpha), self.gamma(beta));
        if x + y > 0.0 { x / (x + y) } else { alpha / (alpha + beta) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_paper() {
        let mut draws = Draws::from_seed(1_234_567);
        let words = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([draws.word(), draws.word(), draws.word()], words);
    }

    #[test]
    fn beta_draws_have_the_mean_and_the_spread_of_their_distribution() {
        for (alpha, beta) in [(0.5, 0.5), (2.0, 6.0), (80.0, 20.0)] {
            let mut draws = Draws::from_seed(7);
            let all: Vec<f64> = (0..20_000).map(|_| draws.beta(alpha, beta)).collect();
            let mean = all.iter().sum::<f64>() / 20_000.0;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
            let n: f64 = alpha + beta;
            assert!((mean - alpha / n).abs() < 0.01, "{mean}");
            assert!((variance - alpha * beta / (n * n * (n + 1.0))).abs() < 0.005, "{variance}");
            assert!(all.iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }
}
