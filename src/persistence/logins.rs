//! Logins and their refresh tokens. A login that has ended gives no tokens any more; its row is the lock between
//! whoever ends it and whoever refreshes it.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use crate::domain::ids::{LoginId, UserId};

/// A refresh token to store; only its hash is.
#[derive(Clone)]
pub struct NewToken {
    /// SHA-256 of the token.
    pub hash: Vec<u8>,
    /// Since when.
    pub issued_at: DateTime<Utc>,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// When a login ends before its time, and how long its access tokens could have lived on.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// When.
    pub at: DateTime<Utc>,
    /// The end of its last access token.
    pub until: DateTime<Utc>,
}

/// Begins a login.
pub async fn begin(pool: &PgPool, login: LoginId, user: UserId, token: &NewToken) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("INSERT INTO logins (id, user_id, begun_at) VALUES ($1, $2, $3)")
        .bind(login.0)
        .bind(user.0)
        .bind(token.issued_at)
        .execute(&mut *tx)
        .await?;
    issue(&mut tx, login.0, token).await?;
    tx.commit().await
}

async fn issue(connection: &mut PgConnection, login: Uuid, token: &NewToken) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, login_id, issued_at, expires_at) VALUES ($1, $2, $3, $4)")
        .bind(&token.hash)
        .bind(login)
        .bind(token.issued_at)
        .bind(token.expires_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// What became of a refresh token that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was good; it is spent now, and the next one is stored.
    Good {
        /// Whose.
        user: UserId,
        /// Of which login.
        login: LoginId,
    },
    /// It was spent before: someone else has a copy. The login has ended now.
    Reused(LoginId),
    /// It is unknown or expired, or its login has ended.
    Worthless,
}

/// Spends a refresh token and stores the next one. Shown again within `overlap` (two tabs at once), it still counts as
/// good.
pub async fn rotate(
    pool: &PgPool,
    hash: &[u8],
    next: &NewToken,
    overlap: TimeDelta,
    ending: Ending,
) -> Result<Shown, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let row = sqlx::query(
        "SELECT l.user_id, l.id, t.spent_at FROM refresh_tokens t JOIN logins l ON l.id = t.login_id
         WHERE t.hash = $1 AND t.expires_at > $2 AND l.ended_at IS NULL FOR UPDATE",
    )
    .bind(hash)
    .bind(ending.at)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(Shown::Worthless) };
    let (user, login): (Uuid, Uuid) = (row.try_get(0)?, row.try_get(1)?);
    let spent_at: Option<DateTime<Utc>> = row.try_get(2)?;
    let shown = if spent_at.is_some_and(|time| ending.at - time > overlap) {
        end_where(&mut tx, "id = $1", login, None, ending).await?;
        Shown::Reused(login.into())
    } else {
        sqlx::query("UPDATE refresh_tokens SET spent_at = coalesce(spent_at, $2) WHERE hash = $1")
            .bind(hash)
            .bind(ending.at)
            .execute(&mut *tx)
            .await?;
        issue(&mut tx, login, next).await?;
        Shown::Good { user: user.into(), login: login.into() }
    };
    tx.commit().await?;
    Ok(shown)
}

/// Ends the login that a refresh token belongs to.
pub async fn end(pool: &PgPool, hash: &[u8], ending: Ending) -> Result<Option<LoginId>, sqlx::Error> {
    let login: Option<Uuid> = sqlx::query_scalar("SELECT login_id FROM refresh_tokens WHERE hash = $1")
        .bind(hash)
        .fetch_optional(pool)
        .await?;
    let Some(login) = login else { return Ok(None) };
    let mut connection = pool.acquire().await?;
    Ok(end_where(&mut connection, "id = $1", login, None, ending).await?.pop())
}

/// Ends all logins of a person, but one.
pub async fn end_all(
    pool: &PgPool,
    user: UserId,
    but: Option<LoginId>,
    ending: Ending,
) -> Result<Vec<LoginId>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    end_where(&mut connection, "user_id = $1", user.0, but, ending).await
}

/// Ends all logins of a person as a part of something larger.
pub(super) async fn end_all_within(
    connection: &mut PgConnection,
    user: UserId,
    ending: Ending,
) -> Result<Vec<LoginId>, sqlx::Error> {
    end_where(connection, "user_id = $1", user.0, None, ending).await
}

async fn end_where(
    connection: &mut PgConnection,
    which: &'static str,
    id: Uuid,
    but: Option<LoginId>,
    ending: Ending,
) -> Result<Vec<LoginId>, sqlx::Error> {
    let sql = format!(
        "WITH ended AS (
             UPDATE logins SET ended_at = $3
             WHERE {which} AND ended_at IS NULL AND ($2::uuid IS NULL OR id <> $2) RETURNING id
         ), told AS (
             INSERT INTO revocations (id, until) SELECT id, $4 FROM ended ON CONFLICT (id) DO NOTHING
         )
         SELECT id FROM ended"
    );
    let ids: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(but.map(|login| login.0))
        .bind(ending.at)
        .bind(ending.until)
        .fetch_all(connection)
        .await?;
    Ok(ids.into_iter().map(LoginId).collect())
}

/// Forgets refresh tokens that can no longer be shown, and the logins that have none left.
pub async fn forget(pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM refresh_tokens WHERE expires_at < $1").bind(now).execute(pool).await?;
    sqlx::query("DELETE FROM logins l WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.login_id = l.id)")
        .execute(pool)
        .await?;
    Ok(())
}
