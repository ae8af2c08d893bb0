//! Credentials of agent servers: sealed before they reach the database, opened only by a driver about to call.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};
use sqlx::PgPool;

use crate::domain::ids::{InstanceId, WorkspaceId};

/// Secrets by name, as in `api_key`.
pub type Credentials = BTreeMap<String, String>;

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was sealed with another key, or changed.
    #[error("the credentials of instance {0} cannot be opened: the LINK_JWT_KEY that they were sealed with is gone")]
    Sealed(InstanceId),
    /// The key or the random numbers failed.
    #[error("the credentials cannot be sealed")]
    Unsealable,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Seals credentials with AES-256-GCM under the newest key of the installation, and opens what any of its keys sealed.
pub struct Vault {
    keys: RwLock<Arc<[RandomizedNonceKey]>>,
}

impl Vault {
    /// Makes a vault from the installation's keys, newest first.
    pub fn new(keys: &[[u8; 32]]) -> Result<Self, Unspecified> {
        Ok(Self { keys: RwLock::new(ring(keys)?) })
    }

    /// Takes other keys from now on.
    pub fn replace(&self, keys: &[[u8; 32]]) -> Result<(), Unspecified> {
        let ring = ring(keys)?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    fn keys(&self) -> Arc<[RandomizedNonceKey]> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the credentials of an instance.
    pub async fn keep(
        &self,
        pool: &PgPool,
        workspace: WorkspaceId,
        instance: InstanceId,
        credentials: &Credentials,
    ) -> Result<(), Error> {
        let mut sealed = serde_json::to_vec(credentials).map_err(|_| Error::Unsealable)?;
        let keys = self.keys();
        let key = keys.first().ok_or(Error::Unsealable)?;
        let nonce = key
            .seal_in_place_append_tag(Aad::from(instance.0.as_bytes()), &mut sealed)
            .map_err(|_| Error::Unsealable)?;
        sealed.extend_from_slice(nonce.as_ref());
        sqlx::query(
            "INSERT INTO instance_secrets (instance_id, workspace_id, sealed) VALUES ($1, $2, $3)
             ON CONFLICT (instance_id) DO UPDATE SET sealed = excluded.sealed",
        )
        .bind(instance.0)
        .bind(workspace.0)
        .bind(sealed)
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Returns the credentials of an instance; none when there are none.
    pub async fn open(&self, pool: &PgPool, instance: InstanceId) -> Result<Credentials, Error> {
        let sealed: Option<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM instance_secrets WHERE instance_id = $1")
            .bind(instance.0)
            .fetch_optional(pool)
            .await?;
        let Some(sealed) = sealed else { return Ok(Credentials::new()) };
        let opened = self.keys().iter().find_map(|key| opened(key, instance, &sealed));
        let opened = opened.ok_or(Error::Sealed(instance))?;
        serde_json::from_slice(&opened).map_err(|_| Error::Sealed(instance))
    }
}

fn ring(keys: &[[u8; 32]]) -> Result<Arc<[RandomizedNonceKey]>, Unspecified> {
    keys.iter().map(|key| RandomizedNonceKey::new(&AES_256_GCM, key)).collect()
}

fn opened(key: &RandomizedNonceKey, instance: InstanceId, sealed: &[u8]) -> Option<Vec<u8>> {
    let (sealed, nonce) = sealed.split_at_checked(sealed.len().checked_sub(NONCE_LEN)?)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    // A key that does not fit spoils what it tries to open.
    let mut sealed = sealed.to_vec();
    let length = key.open_in_place(nonce, Aad::from(instance.0.as_bytes()), &mut sealed).ok()?.len();
    sealed.truncate(length);
    Some(sealed)
}
