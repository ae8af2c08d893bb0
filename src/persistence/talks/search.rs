//! Messages by their words.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool, types::Json};
use uuid::Uuid;

use crate::domain::{ids::ConversationId, principal::Principal};

use super::{
    super::{
        access::Sight,
        tenant::Tenant,
        views::{FoundView, Highlight},
    },
    LINE, may_see,
    messages::MESSAGE,
};

/// The most highlighted text of one message that was found.
const HIGHLIGHT_LENGTH_MAX: usize = 600;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    /// Words, "phrases", -without.
    pub words: &'a str,
    /// Only what a reader of this conversation sees in it.
    pub conversation: Option<ConversationId>,
    /// Only theirs.
    pub author: Option<Principal>,
    /// Only later ones.
    pub after: Option<DateTime<Utc>>,
    /// Only earlier ones.
    pub before: Option<DateTime<Utc>>,
    /// The message that the last page ended with.
    pub cursor: Option<Uuid>,
}

/// Marks what was looked for, in what the database returns; no message keeps these characters there.
const MARKS: [char; 2] = ['\u{e000}', '\u{e001}'];

/// Finds messages that somebody may see, the best first. Which they are is looked up with the index of words, which the
/// database does not use behind row-level security; they are read behind it. What may not be seen is left out before
/// anything is ranked.
pub async fn search(
    pool: &PgPool,
    tenant: &Tenant,
    who: Principal,
    sight: &Sight,
    search: &Search<'_>,
    limit: i64,
) -> Result<Vec<FoundView>, sqlx::Error> {
    let ids = matching(pool, tenant, who, sight, search, limit).await?;
    let sql = format!(
        "SELECT jsonb_build_object('message', to_jsonb(v), 'headline', ts_headline('simple',
             (SELECT translate(left(coalesce(string_agg(part ->> 'text', E'\\n'), ''), 100000), $3 || $4, '')
                 FROM jsonb_array_elements(v.parts) part),
             websearch_to_tsquery('simple', $2),
             'MaxFragments=2, MinWords=5, MaxWords=25, FragmentDelimiter=\" … \", StartSel=' || $3 || ', StopSel=' || $4))
         FROM ({MESSAGE} FROM messages t WHERE t.id = ANY ($1)) v ORDER BY array_position($1, v.id)"
    );
    let query = sqlx::query_scalar::<_, Json<Value>>(AssertSqlSafe(sql))
        .bind(ids)
        .bind(search.words)
        .bind(MARKS[0].to_string())
        .bind(MARKS[1].to_string());
    let rows = query.fetch_all(&mut *tenant.open().await?).await?;
    let found = rows.into_iter().map(|Json(mut row)| {
        let message =
            serde_json::from_value(row["message"].take()).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(FoundView { message, highlights: highlights(row["headline"].as_str().unwrap_or_default()) })
    });
    found.collect()
}

/// What a message is seen in is the conversation that is searched, or else its own.
async fn matching(
    pool: &PgPool,
    tenant: &Tenant,
    who: Principal,
    sight: &Sight,
    search: &Search<'_>,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let sql = format!(
        "{LINE}, found AS (
             SELECT t.id, ts_rank(t.words, websearch_to_tsquery('simple', $2)) AS rank
             FROM messages t JOIN conversations c ON c.id = coalesce($1, t.conversation_id)
             WHERE t.words @@ websearch_to_tsquery('simple', $2) AND t.workspace_id = $3 AND c.workspace_id = $3
                 AND ($1::uuid IS NULL OR EXISTS (
                     SELECT 1 FROM line l WHERE l.id = t.conversation_id AND t.seq <= l.upto))
                 AND ($4::text IS NULL OR t.author = $4)
                 AND ($5::timestamptz IS NULL OR t.posted_at > $5) AND ($6::timestamptz IS NULL OR t.posted_at < $6)
                 AND {})
         SELECT f.id FROM found f
         WHERE $7::uuid IS NULL OR (f.rank, f.id) < (
             SELECT ts_rank(k.words, websearch_to_tsquery('simple', $2)), k.id FROM messages k
             WHERE k.id = $7 AND k.workspace_id = $3)
         ORDER BY f.rank DESC, f.id DESC LIMIT $8",
        may_see("c", 9, 10)
    );
    let (all, denied, role, granted) = sight.parameters();
    let query = sqlx::query_scalar(AssertSqlSafe(sql))
        .bind(search.conversation.map(|id| id.0))
        .bind(search.words)
        .bind(tenant.workspace().0)
        .bind(search.author.map(|who| who.to_string()))
        .bind(search.after)
        .bind(search.before)
        .bind(search.cursor)
        .bind(limit)
        .bind(who.to_string())
        .bind(all)
        .bind(denied)
        .bind(role)
        .bind(granted);
    query.fetch_all(pool).await
}

/// Takes a marked text apart.
fn highlights(marked: &str) -> Vec<Highlight> {
    let (mut pieces, mut left) = (vec![], HIGHLIGHT_LENGTH_MAX);
    for piece in marked.split_inclusive(MARKS) {
        let hit = piece.ends_with(MARKS[1]);
        let text: String = piece.trim_end_matches(MARKS).chars().take(left).collect();
        left -= text.chars().count();
        if !text.is_empty() {
            pieces.push(Highlight { text, hit });
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_looked_for_is_marked_and_the_whole_is_short() {
        let pieces = highlights("the \u{e000}old\u{e001} moon\u{e000}base\u{e001}");
        let shown: Vec<_> = pieces.iter().map(|piece| (piece.text.as_str(), piece.hit)).collect();
        assert_eq!(shown, [("the ", false), ("old", true), (" moon", false), ("base", true)]);
        let long = highlights(&"ä\u{e000}".repeat(2_000));
        assert_eq!(long.iter().map(|piece| piece.text.chars().count()).sum::<usize>(), HIGHLIGHT_LENGTH_MAX);
    }
}
