//! Refresh tokens and passwords: what is given out, and the hash that is kept of it.

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use aws_lc_rs::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use tokio::sync::Semaphore;

/// How long a refresh token lives.
pub const REFRESH_LIFE: TimeDelta = TimeDelta::days(30);
/// How long a spent refresh token still counts, for two tabs that refresh at once.
pub const REFRESH_OVERLAP: TimeDelta = TimeDelta::seconds(10);
/// Passwords that are hashed at the same time: each takes 19 MiB and tens of milliseconds.
const HASHES_MAX: usize = 4;

/// Makes a refresh token and the hash that is stored of it.
pub fn refresh_token() -> Option<(String, Vec<u8>)> {
    let token = format!("link_rt_{}", URL_SAFE_NO_PAD.encode(random()?));
    let hash = sha256(token.as_bytes());
    Some((token, hash))
}

/// Returns 256 random bits.
pub fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
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
