//! The installation's signing keys: the first one signs access tokens, all of them verify. From each follows a key of
//! the vault. Which token was revoked is not known here.

use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use dashmap::DashMap;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::ids::{LoginId, UserId};

/// How long an access token lives.
pub const ACCESS_LIFE: TimeDelta = TimeDelta::minutes(15);
/// Keys of an installation at the same time.
pub const KEYS_MAX: usize = 8;
const ISSUER: &str = "link";
/// Tokens whose signature need not be checked again; with more all are forgotten, which only costs time.
const CHECKED_MAX: usize = 16_384;

/// The installation's keys. They can be replaced while the node runs.
pub struct Keys {
    ring: RwLock<Arc<Ring>>,
}

/// Keys, and what was found out with them: other keys know nothing of it.
struct Ring {
    /// One at least.
    keys: Vec<SigningKey>,
    /// What good tokens say, by their SHA-256: a connection shows the same one with each request, and a signature takes
    /// longer than most of what is asked.
    checked: DashMap<[u8; 32], Access>,
}

struct SigningKey {
    kid: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: String,
    vault: [u8; 32],
}

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "LINK_JWT_KEY holds no usable Ed25519 key: give 1 to {KEYS_MAX} PKCS#8 documents in base64, separated by commas, or \
     leave it out to have one made"
)]
pub struct BadKey;

/// What an access token says of its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who.
    pub user: UserId,
    /// By which login.
    pub login: LoginId,
    /// Since when.
    pub issued_at: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: LoginId,
    jti: Uuid,
    iat: i64,
    exp: i64,
}

impl Keys {
    /// Makes a new key, as PKCS#8 in base64.
    pub fn generate() -> Result<String, BadKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| BadKey)?;
        Ok(URL_SAFE_NO_PAD.encode(document.as_ref()))
    }

    /// Reads keys that are separated by commas or white space.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        Ok(Self { ring: RwLock::new(ring(text)?) })
    }

    /// Takes other keys from now on.
    pub fn replace(&self, text: &str) -> Result<(), BadKey> {
        let ring = ring(text)?;
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the names of the keys; the first one signs.
    pub fn kids(&self) -> Vec<String> {
        self.ring().keys.iter().map(|key| key.kid.clone()).collect()
    }

    /// Returns the keys of the vault; the first one seals.
    pub fn vault(&self) -> Vec<[u8; 32]> {
        self.ring().keys.iter().map(|key| key.vault).collect()
    }

    /// Returns the public keys, as a JWK set.
    pub fn public(&self) -> Value {
        let ring = self.ring();
        let keys = ring.keys.iter().map(|key| {
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": key.public})
        });
        json!({"keys": keys.collect::<Vec<_>>()})
    }

    /// Signs an access token.
    pub fn access(
        &self,
        user: UserId,
        login: LoginId,
        id: Uuid,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let ring = self.ring();
        let key = &ring.keys[0];
        let header = Header { kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let (iat, exp) = (now.timestamp(), (now + ACCESS_LIFE).timestamp());
        let claims = Claims { iss: ISSUER.into(), sub: user, sid: login, jti: id, iat, exp };
        jsonwebtoken::encode(&header, &claims, &key.encoding)
    }

    /// Reads an access token, if one of the keys signed it and it has not ended.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Option<Access> {
        let ring = self.ring();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let known = ring.checked.get(&hash).map(|known| *known);
        let access = match known {
            Some(access) => access,
            None => {
                let access = ring.verify(token)?;
                ring.remember(hash, access);
                access
            }
        };
        (now < access.until).then_some(access)
    }
}

impl Ring {
    /// Reads a token that one of the keys signed, whether it has ended or not.
    fn verify(&self, token: &str) -> Option<Access> {
        let kid = jsonwebtoken::decode_header(token).ok()?.kid?;
        let key = self.keys.iter().find(|key| key.kid == kid)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        // The time is checked by the clock that everyone else uses.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation).ok()?.claims;
        let (issued_at, until) = (DateTime::from_timestamp(claims.iat, 0)?, DateTime::from_timestamp(claims.exp, 0)?);
        Some(Access { user: claims.sub, login: claims.sid, issued_at, until })
    }

    fn remember(&self, hash: [u8; 32], access: Access) {
        if self.checked.len() >= CHECKED_MAX {
            self.checked.clear();
        }
        self.checked.insert(hash, access);
    }
}

/// Returns the keys of a text, which are separated by commas or white space.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace()).filter(|text| !text.is_empty())
}

fn ring(text: &str) -> Result<Arc<Ring>, BadKey> {
    let keys = split(text).map(SigningKey::parse).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() || keys.len() > KEYS_MAX {
        Err(BadKey)
    } else {
        Ok(Arc::new(Ring { keys, checked: DashMap::new() }))
    }
}

impl SigningKey {
    fn parse(text: &str) -> Result<Self, BadKey> {
        let document = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| BadKey)?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| BadKey)?;
        let public = pair.public_key().as_ref();
        let thumbprint = digest::digest(&digest::SHA256, public);
        let mut seed = document.clone();
        seed.extend_from_slice(b"link vault 1");
        let mut vault = [0; 32];
        vault.copy_from_slice(digest::digest(&digest::SHA256, &seed).as_ref());
        Ok(Self {
            kid: URL_SAFE_NO_PAD.encode(&thumbprint.as_ref()[..12]),
            encoding: EncodingKey::from_ed_der(&document),
            decoding: DecodingKey::from_ed_der(public),
            public: URL_SAFE_NO_PAD.encode(public),
            vault,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn token(keys: &Keys) -> String {
        let id = Uuid::from_u128(7);
        keys.access(id.into(), id.into(), id, now()).unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_ends_and_only_under_its_key() {
        let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let others = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let token = token(&keys);
        assert_eq!(keys.check(&token, now()).map(|access| access.user), Some(Uuid::from_u128(7).into()));
        assert_eq!(keys.check(&token, now() + ACCESS_LIFE), None);
        assert_eq!(others.check(&token, now()), None);
        assert_eq!(keys.check("a.b.c", now()), None);
    }

    #[test]
    fn a_token_that_was_checked_before_is_still_good_only_as_it_is_and_until_it_ends() {
        let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let token = token(&keys);
        let first = keys.check(&token, now());
        assert!(first.is_some() && keys.check(&token, now()) == first);
        assert_eq!(keys.check(&token, now() + ACCESS_LIFE), None);
        let (body, signature) = token.rsplit_once('.').unwrap();
        let forged = format!("{body}.{}", signature.chars().rev().collect::<String>());
        assert_eq!(keys.check(&forged, now()), None);
    }

    #[test]
    fn no_more_tokens_are_remembered_than_there_is_room_for() {
        let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let (ring, access) = (keys.ring(), keys.check(&token(&keys), now()).unwrap());
        for nth in 0..=2 * CHECKED_MAX as u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&nth.to_be_bytes());
            ring.remember(hash, access);
            assert!(ring.checked.len() <= CHECKED_MAX);
        }
    }

    #[test]
    fn an_older_key_verifies_until_it_is_taken_out_and_its_vault_key_stays() {
        let (old, new) = (Keys::generate().unwrap(), Keys::generate().unwrap());
        let keys = Keys::parse(&old).unwrap();
        let (before, vault) = (token(&keys), keys.vault()[0]);
        keys.replace(&format!("{new},{old}")).unwrap();
        let after = token(&keys);
        assert!(keys.check(&before, now()).is_some() && keys.check(&after, now()).is_some());
        assert_eq!(keys.vault()[1], vault);
        assert_eq!(
            keys.public()["keys"][0]["kid"].as_str(),
            jsonwebtoken::decode_header(&after).unwrap().kid.as_deref()
        );
        keys.replace(&new).unwrap();
        assert!(keys.check(&before, now()).is_none() && keys.check(&after, now()).is_some());
    }

    #[test]
    fn keys_that_cannot_be_used_replace_nothing() {
        let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let before = keys.kids();
        let many = vec![Keys::generate().unwrap(); KEYS_MAX + 1].join(",");
        for bad in ["", " ,\n", "AAAA", "no base64!", &many] {
            assert!(keys.replace(bad).is_err(), "{bad}");
        }
        assert_eq!(keys.kids(), before);
    }
}
