//! Logins by another provider: those that are on their way, who a person is there, and codes that are changed into
//! tokens. Of what a browser or a provider shows only hashes are kept.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool, Row};
use uuid::Uuid;

use crate::domain::{ids::UserId, principal::Principal};

use super::{
    api_keys,
    logins::{self, Ending},
    people::Person,
    revocations::Revoked,
};

/// A login that is on its way through the provider.
pub struct Attempt {
    /// SHA-256 of the state.
    pub state: Vec<u8>,
    /// SHA-256 of the browser's cookie.
    pub browser: Vec<u8>,
    /// What the provider must repeat.
    pub nonce: String,
    /// What proves that the code is ours.
    pub verifier: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Keeps an attempt; `false` when there are too many already.
pub async fn begin(pool: &PgPool, attempt: &Attempt, attempts_max: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO oidc_attempts (state, browser, nonce, verifier, expires_at)
         SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM oidc_attempts) < $6",
    )
    .bind(&attempt.state)
    .bind(&attempt.browser)
    .bind(&attempt.nonce)
    .bind(&attempt.verifier)
    .bind(attempt.expires_at)
    .bind(attempts_max)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Takes an attempt up, which can be done once and only by the browser that began it. Returns nonce and verifier.
pub async fn take(
    pool: &PgPool,
    state: &[u8],
    browser: &[u8],
    now: DateTime<Utc>,
) -> Result<Option<(String, String)>, sqlx::Error> {
    let row = sqlx::query(
        "DELETE FROM oidc_attempts WHERE state = $1 AND browser = $2 AND expires_at > $3 RETURNING nonce, verifier",
    )
    .bind(state)
    .bind(browser)
    .bind(now)
    .fetch_optional(pool)
    .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// Of someone who came by this provider before.
    Known(UserId),
    /// Of someone who had an account with this address. Nobody had shown that the address is theirs, so everything
    /// that opened the account until now has ended.
    Linked(UserId, Vec<Revoked>),
    /// Of someone new.
    Made(UserId),
    /// Somebody has this address, and nothing proves that it is the same person.
    Taken,
}

/// Finds the account of someone whom a provider knows, links one, or makes one.
pub async fn account(
    pool: &PgPool,
    issuer: &str,
    subject: &str,
    person: &Person,
    email_verified: bool,
    ending: Ending,
) -> Result<Account, sqlx::Error> {
    if let Some(user) = known(pool, issuer, subject).await? {
        return Ok(Account::Known(user));
    }
    let mut tx = pool.begin().await?;
    let made = sqlx::query(
        "INSERT INTO users (id, email, name, password_hash, created_at) VALUES ($1, $2, $3, NULL, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(person.id.0)
    .bind(&person.email)
    .bind(&person.name)
    .bind(person.created_at)
    .execute(&mut *tx)
    .await?;
    let account = match made.rows_affected() {
        0 => match known(&mut *tx, issuer, subject).await? {
            // The same login, a moment ago in another tab.
            Some(user) => return Ok(Account::Known(user)),
            None if !email_verified => return Ok(Account::Taken),
            None => {
                let sql = "SELECT id FROM users WHERE lower(email) = lower($1)";
                let owner: Option<Uuid> = sqlx::query_scalar(sql).bind(&person.email).fetch_optional(&mut *tx).await?;
                let Some(owner) = owner.map(UserId) else { return Ok(Account::Taken) };
                Account::Linked(owner, shut(&mut tx, owner, ending).await?)
            }
        },
        _ => Account::Made(person.id),
    };
    let (Account::Known(user) | Account::Linked(user, _) | Account::Made(user)) = account else { return Ok(account) };
    let linked = sqlx::query(
        "INSERT INTO user_identities (issuer, subject, user_id, linked_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(issuer)
    .bind(subject)
    .bind(user.0)
    .bind(person.created_at)
    .execute(&mut *tx)
    .await?;
    if linked.rows_affected() == 0 {
        tx.rollback().await?;
        return Ok(known(pool, issuer, subject).await?.map_or(Account::Taken, Account::Known));
    }
    tx.commit().await?;
    Ok(account)
}

/// Ends everything that opens an account: password, logins and keys.
async fn shut(connection: &mut PgConnection, user: UserId, ending: Ending) -> Result<Vec<Revoked>, sqlx::Error> {
    sqlx::query("UPDATE users SET password_hash = NULL WHERE id = $1").bind(user.0).execute(&mut *connection).await?;
    let logins = logins::end_all_within(connection, user, ending).await?.into_iter().map(|login| login.0);
    let keys = api_keys::revoke_all(connection, Principal::User(user), ending).await?;
    Ok(logins.chain(keys).map(|id| Revoked { id, until: ending.until }).collect())
}

async fn known(executor: impl PgExecutor<'_>, issuer: &str, subject: &str) -> Result<Option<UserId>, sqlx::Error> {
    let user: Option<Uuid> =
        sqlx::query_scalar("SELECT user_id FROM user_identities WHERE issuer = $1 AND subject = $2")
            .bind(issuer)
            .bind(subject)
            .fetch_optional(executor)
            .await?;
    Ok(user.map(UserId))
}

/// Keeps a code that is changed into tokens.
pub async fn keep_code(pool: &PgPool, hash: &[u8], user: UserId, until: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO login_codes (hash, user_id, expires_at) VALUES ($1, $2, $3)")
        .bind(hash)
        .bind(user.0)
        .bind(until)
        .execute(pool)
        .await?;
    Ok(())
}

/// Spends a code, which can be done once.
pub async fn spend_code(pool: &PgPool, hash: &[u8], now: DateTime<Utc>) -> Result<Option<UserId>, sqlx::Error> {
    let user: Option<Uuid> =
        sqlx::query_scalar("DELETE FROM login_codes WHERE hash = $1 AND expires_at > $2 RETURNING user_id")
            .bind(hash)
            .bind(now)
            .fetch_optional(pool)
            .await?;
    Ok(user.map(UserId))
}

/// Forgets attempts and codes that nobody took up in time.
pub async fn forget(pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM oidc_attempts WHERE expires_at < $1").bind(now).execute(pool).await?;
    sqlx::query("DELETE FROM login_codes WHERE expires_at < $1").bind(now).execute(pool).await?;
    Ok(())
}
