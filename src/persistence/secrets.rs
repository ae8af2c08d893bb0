//! Credentials of agent servers: sealed before they reach the database, opened only by a driver about to call.

use std::collections::BTreeMap;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, RandomizedNonceKey},
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
    #[error("the credentials of instance {0} cannot be opened: they were sealed with another LINK_JWT_KEY")]
    Sealed(InstanceId),
    /// The key or the random numbers failed.
    #[error("the credentials cannot be sealed")]
    Unsealable,
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Seals and opens credentials with AES-256-GCM under one key of the installation.
pub struct Vault {
    key: RandomizedNonceKey,
}

impl Vault {
    /// Makes a vault from the installation's key.
    pub fn new(key: &[u8; 32]) -> Result<Self, Unspecified> {
        Ok(Self { key: RandomizedNonceKey::new(&AES_256_GCM, key)? })
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
        let nonce = self
            .key
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
        let Some(mut sealed) = sealed else { return Ok(Credentials::new()) };
        let broken = || Error::Sealed(instance);
        let nonce = sealed.split_off(sealed.len().checked_sub(NONCE_LEN).ok_or_else(broken)?);
        let nonce = aws_lc_rs::aead::Nonce::try_assume_unique_for_key(&nonce).map_err(|_| broken())?;
        let opened =
            self.key.open_in_place(nonce, Aad::from(instance.0.as_bytes()), &mut sealed).map_err(|_| broken())?;
        serde_json::from_slice(opened).map_err(|_| broken())
    }
}
