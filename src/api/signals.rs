//! What people tell each other beside the log: presence and typing. It reaches those who may see its topic.

use serde_json::{Value, json};

use crate::{
    actors::{client_handle::ClientHandle, feed::Signal, knowledge, presence},
    domain::{
        access::Verdict,
        conversation::ConversationKind,
        ids::{Subject, WorkspaceId},
        permission::Permission,
        presence::Presence,
    },
    persistence::{
        self,
        access::Access,
        queries::{self, Scope},
        talks,
    },
};

use super::{Api, Identity, problem::Problem, services::Services};

/// The type of the signal that someone is writing, or no longer.
pub(super) const TYPING: &str = "user:typing";

impl Api {
    /// Notes how someone is for as long as their connection lives; nothing happens where they are no member, or where
    /// the database does not answer.
    pub async fn present(&self, who: &Identity, workspace: WorkspaceId, connection: ClientHandle, status: Presence) {
        let (context, principal) = (self.services().context(), who.principal);
        let changes = context.feed.known.changes(workspace);
        if self.converses(who, workspace).await {
            presence::set(context, (workspace, principal), Some(connection), (status, None));
            // Whoever was removed in this moment is not here either.
            if context.feed.known.changes(workspace) != changes && !self.converses(who, workspace).await {
                context.presence.forget(workspace, principal);
            }
        }
    }

    async fn converses(&self, who: &Identity, workspace: WorkspaceId) -> bool {
        let pool = &self.services().context().pool;
        let access = queries::access(pool, Scope::Workspace, workspace.0, who.viewer()).await;
        let may = |access: Access| access.decision().verdict(Permission::Converse) == Verdict::Granted;
        access.is_ok_and(|found| found.is_some_and(may))
    }

    /// Tells that someone is writing, or no longer. It is dropped where they may not see the topic either, or where
    /// the database does not answer: that is what a signal is.
    pub async fn typing(&self, who: &Identity, workspace: WorkspaceId, topic: Subject, on: bool) {
        let _ = tell(self.services(), who, workspace, topic, TYPING, json!({"on": on})).await;
    }

    /// Tells whether the database answers.
    pub async fn database_answers(&self) -> bool {
        persistence::answers(&self.services().context().pool).await
    }
}

/// Hands something ephemeral to everyone in the workspace who may see its topic; returns whether the sender may.
pub(super) async fn tell(
    services: &Services,
    who: &Identity,
    workspace: WorkspaceId,
    topic: Subject,
    kind: &'static str,
    mut data: Value,
) -> Result<bool, Problem> {
    data["who"] = Value::String(who.principal.to_string());
    let context = services.context();
    let Some(scope) = Scope::of(topic) else { return Ok(false) };
    let needed = if scope == Scope::Workspace { Permission::Enter } else { Permission::Read };
    // Whoever types says so with every key: where nothing has changed, the database is not asked again.
    if let Some((rights, place)) = context.feed.known.place(workspace, who.viewer(), topic) {
        let decision = if scope == Scope::Workspace { rights.in_workspace() } else { rights.at(&place.chain) };
        let invited = place.audience.as_ref().is_none_or(|audience| audience.contains(&who.principal));
        if decision.verdict(needed) != Verdict::Granted || !invited {
            return Ok(false);
        }
        let (refs, audience) = (place.chain.clone(), place.audience.clone());
        context.feed.send(Signal { refs, audience, ..Signal::new(workspace, topic, kind, data) });
        return Ok(true);
    }
    let moves = context.feed.known.moves(workspace);
    let Some(access) = queries::access(&context.pool, scope, topic.id(), who.viewer()).await? else { return Ok(false) };
    if access.workspace != workspace || access.decision().verdict(needed) != Verdict::Granted {
        return Ok(false);
    }
    let audience = match topic {
        Subject::Conversation(id) => match talks::conversation(&context.tenant(workspace), id).await? {
            Some(known) if known.kind == ConversationKind::Dm => Some(known.participants),
            Some(_) => None,
            None => return Ok(false),
        },
        _ => None,
    };
    let refs = access.chain;
    let place = knowledge::Place { chain: refs.clone(), audience: audience.clone() };
    context.feed.known.remember_place(workspace, topic, place, moves);
    context.feed.send(Signal { refs, audience, ..Signal::new(workspace, topic, kind, data) });
    Ok(true)
}
