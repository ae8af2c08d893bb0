//! What was revoked and may still be shown somewhere: the list through which nodes tell each other.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Row};
use uuid::Uuid;

/// A login or a key that has ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Which.
    pub id: Uuid,
    /// Until when it has to be remembered.
    pub until: DateTime<Utc>,
}

/// What is new, and when the database was asked, by its own clock.
#[derive(Clone, Debug)]
pub struct News {
    /// The revocations, in no order.
    pub revoked: Vec<Revoked>,
    /// From here the next question goes on.
    pub asked_at: DateTime<Utc>,
}

/// Returns what was revoked since the database was asked last, at most `limit`. What was committed late comes again
/// for half a minute, which is longer than any transaction of Link's may take.
pub async fn since(pool: &PgPool, last: Option<DateTime<Utc>>, limit: i64) -> Result<News, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT now(), r.id, r.until FROM (SELECT 1) AS once
         LEFT JOIN (SELECT id, until FROM revocations
                    WHERE $1::timestamptz IS NULL OR at > $1 - interval '30 seconds' LIMIT $2) AS r ON true",
    )
    .bind(last)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let asked_at = rows.first().ok_or(sqlx::Error::RowNotFound)?.try_get(0)?;
    let mut revoked = vec![];
    for row in rows {
        if let (Some(id), Some(until)) = (row.try_get(1)?, row.try_get(2)?) {
            revoked.push(Revoked { id, until });
        }
    }
    Ok(News { revoked, asked_at })
}

/// Forgets what nobody can show any more.
pub async fn forget(pool: &PgPool, now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM revocations WHERE until < $1").bind(now).execute(pool).await?;
    Ok(())
}
