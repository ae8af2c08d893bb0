//! The provider's public keys: kept for a while, and asked for once more when a token names one that is not known.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    Algorithm, Header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{Error, call, is_fresh, turn};

/// How long keys are believed: so long does a key count that the provider has taken back.
const KEYS_LIFE: TimeDelta = TimeDelta::minutes(10);
/// Tokens with unknown keys make Link ask at most this often.
const UNKNOWN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Keys of a provider at the same time.
const KEYS_MAX: usize = 64;

/// The keys that are known.
#[derive(Default)]
pub(super) struct Keys(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: Vec<Jwk>,
    since: Option<DateTime<Utc>>,
    /// When an unknown key was last asked for.
    unknown_at: Option<DateTime<Utc>>,
}

impl Keys {
    /// Finds the key that a token says it is signed with.
    pub(super) async fn find(
        &self,
        http: &Client,
        address: Url,
        header: &Header,
        now: DateTime<Utc>,
    ) -> Result<Jwk, Error> {
        let mut known = turn(&self.0).await?;
        if !known.since.is_some_and(|since| is_fresh(since, now, KEYS_LIFE)) {
            known.fetch(http, address, now).await?;
        } else if known.named(header).is_none() && !known.unknown_at.is_some_and(|at| is_fresh(at, now, UNKNOWN_EVERY))
        {
            known.unknown_at = Some(now);
            known.fetch(http, address, now).await?;
        }
        known.named(header).cloned().ok_or(Error::Token("is signed by a key that the provider does not show"))
    }
}

impl Known {
    async fn fetch(&mut self, http: &Client, address: Url, now: DateTime<Utc>) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = call::document("keys", http.get(address)).await?;
        // A key of a kind that nobody here knows does not concern the others.
        let keys = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok());
        (self.keys, self.since) = (keys.collect(), Some(now));
        Ok(())
    }

    /// Returns the key of a name. Without a name it is the one that it can be, if there is only one.
    fn named(&self, header: &Header) -> Option<&Jwk> {
        let mut fitting = self.keys.iter().filter(|key| fits(key, header.alg));
        match &header.kid {
            Some(_) => fitting.find(|key| key.common.key_id == header.kid),
            None => fitting.next().filter(|_| fitting.next().is_none()),
        }
    }
}

/// Tells whether a key is for this algorithm, and for signatures.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let is_of_its_kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(it) => algorithm == Algorithm::ES256 && it.curve == EllipticCurve::P256,
        AlgorithmParameters::OctetKeyPair(it) => algorithm == Algorithm::EdDSA && it.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let is_named = key.common.key_algorithm.is_none_or(|named| named == algorithm.into());
    let signs = key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature);
    is_of_its_kind && is_named && signs
}
