//! What people tell each other beside the log: presence and typing. It reaches those who may see its topic.

use serde_json::Value;

use crate::{
    actors::{encoding::Encoded, feed::Signal},
    domain::{
        access::Verdict,
        conversation::ConversationKind,
        ids::{Subject, WorkspaceId},
        permission::Permission,
    },
    persistence::{
        self,
        queries::{self, Scope},
    },
};

use super::{Api, Identity};

impl Api {
    /// Hands something ephemeral to everyone in the workspace who may see its topic. It is dropped when the sender
    /// may not see it either, or when the database does not answer: that is what a signal is.
    pub async fn signal(
        &self,
        who: &Identity,
        workspace: WorkspaceId,
        topic: Subject,
        kind: &'static str,
        mut data: Value,
    ) {
        data["who"] = Value::String(who.principal.to_string());
        let context = self.services().context();
        let Some(scope) = Scope::of(topic) else { return };
        let needed = if scope == Scope::Workspace { Permission::Enter } else { Permission::Read };
        let Ok(Some(access)) = queries::access(&context.pool, scope, topic.id(), who.viewer()).await else { return };
        if access.workspace != workspace || access.decision().verdict(needed) != Verdict::Granted {
            return;
        }
        let audience = match topic {
            Subject::Conversation(id) => match queries::conversation(&context.tenant(workspace), id).await {
                Ok(Some(known)) if known.kind == ConversationKind::Dm => Some(known.participants),
                Ok(Some(_)) => None,
                Ok(None) | Err(_) => return,
            },
            _ => None,
        };
        let refs = access.chain;
        context.feed.send(Signal { workspace, topic, refs, kind, data, audience, encoded: Encoded::default() });
    }

    /// Tells whether the database answers.
    pub async fn database_answers(&self) -> bool {
        persistence::answers(&self.services().context().pool).await
    }
}
