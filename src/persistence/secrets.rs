//! Credentials of agent servers, and addresses and secrets of webhooks: sealed before they reach the database, opened
//! only by who is about to use them.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    error::Unspecified,
};
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::ids::{InstanceId, SealedId, WorkspaceId};

/// Secrets by name, as in `api_key`.
pub type Credentials = BTreeMap<String, String>;

/// Why a secret could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was sealed with another key, or changed.
    #[error("the credentials of instance {0} cannot be opened: the LINK_JWT_KEY that they were sealed with is gone")]
    Sealed(InstanceId),
    /// The same, of a webhook's address or secret.
    #[error("what was sealed cannot be opened: the LINK_JWT_KEY that it was sealed with is gone")]
    Unopenable,
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
        let plain = serde_json::to_vec(credentials).map_err(|_| Error::Unsealable)?;
        let sealed = self.seal(instance.0, plain)?;
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
        let opened = self.unseal(instance.0, &sealed).ok_or(Error::Sealed(instance))?;
        serde_json::from_slice(&opened).map_err(|_| Error::Sealed(instance))
    }

    /// Keeps a text under an id of its own.
    pub async fn put(
        &self,
        pool: &PgPool,
        workspace: WorkspaceId,
        id: SealedId,
        text: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let sealed = self.seal(id.0, text.as_bytes().to_vec())?;
        sqlx::query("INSERT INTO sealed_texts (id, workspace_id, sealed, kept_at) VALUES ($1, $2, $3, $4)")
            .bind(id.0)
            .bind(workspace.0)
            .bind(sealed)
            .bind(now)
            .execute(pool)
            .await?;
        Ok(())
    }

    /// Returns the texts that were kept under these ids, in their order.
    pub async fn read(&self, pool: &PgPool, ids: &[SealedId]) -> Result<Vec<String>, Error> {
        let wanted: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as("SELECT id, sealed FROM sealed_texts WHERE id = ANY($1)")
            .bind(wanted)
            .fetch_all(pool)
            .await?;
        let sealed: BTreeMap<Uuid, Vec<u8>> = rows.into_iter().collect();
        let open = |id: &SealedId| String::from_utf8(self.unseal(id.0, sealed.get(&id.0)?)?).ok();
        ids.iter().map(|id| open(id).ok_or(Error::Unopenable)).collect()
    }

    /// What is sealed can only be opened under the same id: rows cannot be swapped.
    fn seal(&self, id: Uuid, mut plain: Vec<u8>) -> Result<Vec<u8>, Error> {
        let keys = self.keys();
        let key = keys.first().ok_or(Error::Unsealable)?;
        let nonce =
            key.seal_in_place_append_tag(Aad::from(id.as_bytes()), &mut plain).map_err(|_| Error::Unsealable)?;
        plain.extend_from_slice(nonce.as_ref());
        Ok(plain)
    }

    fn unseal(&self, id: Uuid, sealed: &[u8]) -> Option<Vec<u8>> {
        self.keys().iter().find_map(|key| opened(key, id, sealed))
    }
}

fn ring(keys: &[[u8; 32]]) -> Result<Arc<[RandomizedNonceKey]>, Unspecified> {
    keys.iter().map(|key| RandomizedNonceKey::new(&AES_256_GCM, key)).collect()
}

fn opened(key: &RandomizedNonceKey, id: Uuid, sealed: &[u8]) -> Option<Vec<u8>> {
    let (sealed, nonce) = sealed.split_at_checked(sealed.len().checked_sub(NONCE_LEN)?)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    // A key that does not fit spoils what it tries to open.
    let mut sealed = sealed.to_vec();
    let length = key.open_in_place(nonce, Aad::from(id.as_bytes()), &mut sealed).ok()?.len();
    sealed.truncate(length);
    Some(sealed)
}
