//! People. They belong to the installation, not to one workspace's log.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::domain::ids::UserId;

/// A person as stored.
#[derive(Clone)]
pub struct Person {
    /// Their id.
    pub id: UserId,
    /// Their address, as they wrote it.
    pub email: String,
    /// Their name.
    pub name: String,
    /// The argon2id hash in PHC form; nothing for someone who logs in elsewhere.
    pub password_hash: Option<String>,
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

/// Changes a password.
pub async fn set_password(pool: &PgPool, user: UserId, hash: &str) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1").bind(user.0).bind(hash).execute(pool).await?;
    Ok(())
}
