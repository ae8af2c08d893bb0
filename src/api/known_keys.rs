//! API keys as a node knows them: looked up by hash, remembered for half a minute, and when each was last used.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;

use crate::{
    domain::{ids::KeyId, principal::Principal},
    persistence::api_keys::{self, ApiKey},
};

use super::tokens::{self, sha256};

/// How long a key is remembered without asking the database.
pub const REMEMBERED: TimeDelta = TimeDelta::seconds(30);
/// Between two notes of a key's use.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);
/// Keys that are remembered; when there are more, all are looked up again.
const KEYS_MAX: usize = 10_000;
/// How long it may take to write down what was used.
const TIMEOUT: Duration = Duration::from_secs(5);
/// What a key begins with, by whom it is for.
const BEGINNINGS: [&str; 3] = ["link_pk_", "link_ak_", "link_sk_"];
/// Characters of a beginning.
const BEGINNING: usize = 8;
/// Characters of 256 bits in base 62.
const SECRET: usize = 43;
/// Characters of the 32 bits that check them.
const CHECK: usize = 6;
/// Characters of a key that are kept, so that people recognise it.
const SHOWN: usize = BEGINNING + 6;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new key, and what is kept of it.
pub struct Made {
    /// The key: it is shown once.
    pub key: String,
    /// Its beginning.
    pub prefix: String,
    /// Its SHA-256.
    pub hash: Vec<u8>,
}

/// Makes a key: `link_pk_` for a person, `link_ak_` for an agent, `link_sk_` for a service; 256 random bits; and a check
/// by which scanners tell a key from other words.
pub fn make(holder: Principal) -> Option<Made> {
    let [person, agent, service] = BEGINNINGS;
    let beginning = match holder {
        Principal::User(_) => person,
        Principal::Agent(_) => agent,
        Principal::Service(_) | Principal::Team(_) => service,
    };
    let mut key = beginning.to_owned() + &base62(&tokens::random()?, SECRET);
    key += &check(&key);
    Some(Made { prefix: key[..SHOWN].to_owned(), hash: sha256(key.as_bytes()), key })
}

/// Tells whether a text has the form of a key. What is said of it is no secret: anyone can make such a text.
pub fn is_key(text: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        && text.len() == BEGINNING + SECRET + CHECK
        && text.split_at_checked(text.len() - CHECK).is_some_and(|(key, end)| check(key) == end)
}

fn check(key: &str) -> String {
    base62(&sha256(key.as_bytes())[..4], CHECK)
}

/// Writes a number of big-endian bytes with so many digits.
fn base62(bytes: &[u8], digits: usize) -> String {
    let mut number = bytes.to_vec();
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        let mut rest = 0_u32;
        for byte in &mut number {
            let value = (rest << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or_default();
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    String::from_utf8(text).unwrap_or_default()
}

/// A key, and when the database was asked for it.
type Known = (ApiKey, DateTime<Utc>);

/// The keys that were shown lately, and uses that are not written down yet.
#[derive(Default)]
pub struct KnownKeys {
    known: Mutex<HashMap<Vec<u8>, Known>>,
    noted: Mutex<HashMap<KeyId, (DateTime<Utc>, bool)>>,
}

impl KnownKeys {
    /// Finds a key, and when the database was asked for it. Nothing when there is none, or it was revoked by then.
    pub async fn find(&self, pool: &PgPool, key: &str, now: DateTime<Utc>) -> Result<Option<Known>, sqlx::Error> {
        let hash = sha256(key.as_bytes());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&hash).cloned();
        if let Some(known) = known.filter(|(_, at)| now - *at < REMEMBERED) {
            return Ok(Some(known));
        }
        let Some(found) = api_keys::by_hash(pool, &hash).await? else { return Ok(None) };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEYS_MAX {
            known.clear();
        }
        known.insert(hash, (found.clone(), now));
        Ok(Some((found, now)))
    }

    /// Notes that a key was used, at most once a minute.
    pub fn used(&self, id: KeyId, now: DateTime<Utc>) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= KEYS_MAX {
            noted.retain(|_, (_, written)| !*written);
        }
        let due = noted.get(&id).is_none_or(|(at, _)| now - *at >= NOTED_EVERY);
        if due && noted.len() < KEYS_MAX {
            noted.insert(id, (now, false));
        }
    }

    /// Writes down what was used since the last time.
    pub async fn write_down(&self, pool: &PgPool) {
        let uses: Vec<_> = {
            let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
            let due = noted.iter_mut().filter(|(_, (_, written))| !*written);
            due.map(|(id, (at, written))| {
                *written = true;
                (*id, *at)
            })
            .collect()
        };
        if uses.is_empty() {
            return;
        }
        match tokio::time::timeout(TIMEOUT, api_keys::used(pool, &uses)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, keys = uses.len(), "the last use of keys not written down"),
            Err(_) => tracing::warn!(keys = uses.len(), "the last use of keys took too long to write down"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::principal::Service;

    #[test]
    fn a_key_is_recognised_by_its_form_and_any_other_letter_breaks_it() {
        let holders = [
            Principal::User(uuid::Uuid::nil().into()),
            Principal::Agent(uuid::Uuid::nil().into()),
            Principal::Service(Service::Account(uuid::Uuid::nil().into())),
        ];
        for (holder, beginning) in holders.into_iter().zip(BEGINNINGS) {
            let made = make(holder).unwrap();
            assert!(is_key(&made.key) && made.key.starts_with(beginning));
        }
        let made = make(holders[0]).unwrap();
        assert!(is_key(&made.key) && made.key.starts_with(&made.prefix) && made.prefix.len() == SHOWN);
        assert_ne!(made.key, make(holders[0]).unwrap().key);
        let short = &made.key[..made.key.len() - 1];
        for broken in [short, &format!("{short}~"), &format!("{}0", made.key), BEGINNINGS[0], "ü", ""] {
            assert!(!is_key(broken), "{broken}");
        }
        assert_eq!(
            (base62(&[0], 2), base62(&[62], 2), base62(&[255; 32], SECRET).len()),
            ("00".into(), "10".into(), 43)
        );
    }
}
