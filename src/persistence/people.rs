//! People and their refresh tokens. They belong to the installation, not to one workspace's log.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::domain::ids::UserId;

/// A person as stored.
#[derive(Clone, Debug)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Their address, as they wrote it.
    pub email: String,
    /// Their name.
    pub name: String,
    /// The argon2id hash in PHC form.
    pub password_hash: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// Adds a person; `false` when the address is taken.
pub async fn add(pool: &PgPool, person: &Person) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO users (id, email, name, password_hash, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING",
    )
    .bind(person.id.0)
    .bind(&person.email)
    .bind(&person.name)
    .bind(&person.password_hash)
    .bind(person.created_at)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Finds a person by address, whatever its case.
pub async fn by_email(pool: &PgPool, email: &str) -> Result<Option<Person>, sqlx::Error> {
    let row =
        sqlx::query("SELECT id, email, name, password_hash, created_at FROM users WHERE lower(email) = lower($1)")
            .bind(email)
            .fetch_optional(pool)
            .await?;
    row.as_ref().map(person).transpose()
}

/// Finds a person by id.
pub async fn by_id(pool: &PgPool, id: UserId) -> Result<Option<Person>, sqlx::Error> {
    let row = sqlx::query("SELECT id, email, name, password_hash, created_at FROM users WHERE id = $1")
        .bind(id.0)
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(person).transpose()
}

fn person(row: &sqlx::postgres::PgRow) -> Result<Person, sqlx::Error> {
    Ok(Person {
        id: row.try_get::<Uuid, _>("id")?.into(),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        password_hash: row.try_get("password_hash")?,
        created_at: row.try_get("created_at")?,
    })
}

/// A refresh token to store; only its hash is.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// Whose.
    pub user: UserId,
    /// Of which login.
    pub family: Uuid,
    /// Since when.
    pub issued_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Stores a refresh token.
pub async fn issue(pool: &PgPool, token: &NewToken) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO refresh_tokens (hash, user_id, family, issued_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&token.hash)
    .bind(token.user.0)
    .bind(token.family)
    .bind(token.issued_at)
    .bind(token.expires_at)
    .execute(pool)
    .await?;
    Ok(())
}

/// What became of a refresh token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is good; it is spent now.
    Good {
        /// Whose.
        user: UserId,
        /// Of which login.
        family: Uuid,
    },
    /// It was spent before: someone else has a copy. The whole family is revoked now.
    Reused,
    /// It is unknown, expired or revoked.
    Worthless,
}

/// Spends a refresh token. Shown again within `overlap` (two tabs at once), it still counts as good.
pub async fn spend(pool: &PgPool, hash: &[u8], now: DateTime<Utc>, overlap: TimeDelta) -> Result<Shown, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query(
        "SELECT user_id, family, spent_at FROM refresh_tokens
         WHERE hash = $1 AND revoked_at IS NULL AND expires_at > $2 FOR UPDATE",
    )
    .bind(hash)
    .bind(now)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(Shown::Worthless) };
    let (user, family): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
    let spent_at: Option<DateTime<Utc>> = row.try_get(2)?;
    let shown = match spent_at {
        Some(time) if now - time > overlap => {
            sqlx::query("UPDATE refresh_tokens SET revoked_at = $2 WHERE family = $1 AND revoked_at IS NULL")
                .bind(family)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            Shown::Reused
        }
        _ => {
            sqlx::query("UPDATE refresh_tokens SET spent_at = coalesce(spent_at, $2) WHERE hash = $1")
                .bind(hash)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            Shown::Good { user: user.into(), family }
        }
    };
    tx.commit().await?;
    Ok(shown)
}

/// Ends the login that a refresh token belongs to.
pub async fn revoke(pool: &PgPool, hash: &[u8], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE refresh_tokens SET revoked_at = $2
         WHERE family = (SELECT family FROM refresh_tokens WHERE hash = $1) AND revoked_at IS NULL",
    )
    .bind(hash)
    .bind(now)
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets refresh tokens that can no longer be shown.
pub async fn forget_tokens(pool: &PgPool, before: DateTime<Utc>) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("DELETE FROM refresh_tokens WHERE expires_at < $1").bind(before).execute(pool).await?;
    Ok(done.rows_affected())
}
