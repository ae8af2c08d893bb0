//! What people tell each other beside the log: presence and typing. It reaches those who may see its topic.

use serde_json::Value;

use crate::{
    actors::{encoding::Encoded, feed::Signal},
    domain::{
        conversation::ConversationKind,
        ids::{Subject, WorkspaceId},
        principal::Principal,
    },
    persistence::{
        self,
        queries::{self, Scope},
    },
};

use super::Api;

impl Api {
    /// Hands something ephemeral to everyone in the workspace who may see its topic. It is dropped when the sender
    /// may not see it either, or when the database does not answer: that is what a signal is.
    pub async fn signal(
        &self,
        who: Principal,
        workspace: WorkspaceId,
        topic: Subject,
        kind: &'static str,
        mut data: Value,
    ) {
        data["who"] = Value::String(who.to_string());
        let context = self.services().context();
        let scope = match topic {
            Subject::Workspace(_) => Scope::Workspace,
            Subject::Project(_) => Scope::Project,
            Subject::Task(_) => Scope::Task,
            Subject::Conversation(_) => Scope::Conversation,
            Subject::Agent(_) => Scope::Agent,
            Subject::Session(_) | Subject::Webhook(_) => return,
        };
        let access = queries::access(&context.pool, scope, topic.id(), who).await;
        if !access.is_ok_and(|found| found.is_some_and(|(found, _)| found == workspace)) {
            return;
        }
        let audience = match topic {
            Subject::Conversation(id) => match queries::conversation(&context.pool, id).await {
                Ok(Some(known)) if known.kind == ConversationKind::Dm => Some(known.participants),
                Ok(Some(_)) => None,
                Ok(None) | Err(_) => return,
            },
            _ => None,
        };
        context.feed.send(Signal { workspace, topic, kind, data, audience, encoded: Encoded::default() });
    }

    /// Tells whether the database answers.
    pub async fn database_answers(&self) -> bool {
        persistence::answers(&self.services().context().pool).await
    }
}
