//! Tokens and passwords: short EdDSA JWTs, rotating refresh tokens, argon2id.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use aws_lc_rs::{
    digest,
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::domain::ids::UserId;

/// How long an access token lives.
pub const ACCESS_LIFE: TimeDelta = TimeDelta::minutes(15);
/// How long a refresh token lives.
pub const REFRESH_LIFE: TimeDelta = TimeDelta::days(30);
/// How long a spent refresh token still counts, for two tabs that refresh at once.
pub const REFRESH_OVERLAP: TimeDelta = TimeDelta::seconds(10);
/// Passwords that are hashed at the same time: each takes 19 MiB and tens of milliseconds.
const HASHES_MAX: usize = 4;

/// The installation's key: signs tokens, and from it the key of the vault is derived.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    kid: String,
    vault: [u8; 32],
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("LINK_JWT_KEY is no Ed25519 key: give a PKCS#8 document in base64, or leave it out to have one made")]
pub struct BadKey;

impl Keys {
    /// Makes a new key, as PKCS#8 in base64.
    pub fn generate() -> Result<String, BadKey> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| BadKey)?;
        Ok(URL_SAFE_NO_PAD.encode(document.as_ref()))
    }

    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let document = URL_SAFE_NO_PAD.decode(text.trim().trim_end_matches('=')).map_err(|_| BadKey)?;
        let pair = Ed25519KeyPair::from_pkcs8(&document).map_err(|_| BadKey)?;
        let public = pair.public_key().as_ref();
        let thumbprint = digest::digest(&digest::SHA256, public);
        let mut seed = document.clone();
        seed.extend_from_slice(b"link vault 1");
        let mut vault = [0; 32];
        vault.copy_from_slice(digest::digest(&digest::SHA256, &seed).as_ref());
        Ok(Self {
            encoding: EncodingKey::from_ed_der(&document),
            decoding: DecodingKey::from_ed_der(public),
            kid: URL_SAFE_NO_PAD.encode(&thumbprint.as_ref()[..12]),
            vault,
        })
    }

    /// Returns the key of the vault.
    pub fn vault(&self) -> &[u8; 32] {
        &self.vault
    }

    /// Signs an access token.
    pub fn access(&self, user: UserId, now: DateTime<Utc>) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims =
            Claims { sub: user, iat: now.timestamp(), exp: (now + ACCESS_LIFE).timestamp(), iss: ISSUER.into() };
        jsonwebtoken::encode(&header, &claims, &self.encoding)
    }

    /// Returns whose token it is, and until when, if it is good.
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Option<(UserId, DateTime<Utc>)> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        // The time is checked below, by the clock that everyone else uses.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation).ok()?.claims;
        let until = DateTime::from_timestamp(claims.exp, 0)?;
        (now < until).then_some((claims.sub, until))
    }
}

const ISSUER: &str = "link";

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: UserId,
    iat: i64,
    exp: i64,
    iss: String,
}

/// Makes a refresh token and the hash that is stored of it.
pub fn refresh_token() -> Option<(String, Vec<u8>)> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let token = format!("link_rt_{}", URL_SAFE_NO_PAD.encode(bytes));
    let hash = sha256(token.as_bytes());
    Some((token, hash))
}

/// Returns the SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// Hashes and checks passwords, a few at a time.
pub struct Passwords {
    turns: Semaphore,
    /// Checked when there is no such person, so that the answer takes as long.
    decoy: String,
}

impl Default for Passwords {
    fn default() -> Self {
        let decoy = Argon2::default().hash_password(b"nobody's").map(|hash| hash.to_string()).unwrap_or_default();
        Self { turns: Semaphore::new(HASHES_MAX), decoy }
    }
}

impl Passwords {
    /// Returns the argon2id hash in PHC form.
    pub async fn hash(&self, password: String) -> Option<String> {
        let _turn = self.turns.acquire().await.ok()?;
        let hashed = tokio::task::spawn_blocking(move || {
            Argon2::default().hash_password(password.as_bytes()).ok().map(|hash| hash.to_string())
        });
        hashed.await.ok()?
    }

    /// Tells whether a password is right; takes as long when there is no hash.
    pub async fn check(&self, password: String, hash: Option<String>) -> bool {
        let Ok(_turn) = self.turns.acquire().await else { return false };
        let (known, hash) = (hash.is_some(), hash.unwrap_or_else(|| self.decoy.clone()));
        let checked = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        checked.await.unwrap_or(false) && known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_it_ends_and_only_under_its_key() {
        let keys = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let others = Keys::parse(&Keys::generate().unwrap()).unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let user = UserId(uuid::Uuid::from_u128(7));
        let token = keys.access(user, now).unwrap();
        assert_eq!(keys.check(&token, now).map(|(user, _)| user), Some(user));
        assert_eq!(keys.check(&token, now + ACCESS_LIFE), None);
        assert_eq!(others.check(&token, now), None);
        assert_eq!(keys.check("a.b.c", now), None);
    }
}
