//! What a client asks for, and how it is answered.

use futures::FutureExt;
use serde_json::Value;

use crate::{
    actors::{
        client::SUBSCRIPTIONS_MAX,
        subscription::{Refusal, Wanted},
    },
    api::{
        Caller,
        problem::{self, Problem},
    },
    domain::{ids::WorkspaceId, permission::Permission},
    transport::going_on,
};

use super::{
    client_frame::{ClientFrame, parse_topics},
    identify,
    server_frame::ServerFrame,
    session::Session,
    wire::{BAD_FRAME, Close, NOT_AUTHENTICATED, close},
};

/// Calls of one socket that may be under way at once.
pub(super) const CALLS_MAX: usize = 64;
/// Answers that may wait to be written; with more, no frame is read.
pub(super) const ANSWERS_MAX: usize = 2 * CALLS_MAX;

impl Session {
    /// Answers at once.
    pub(super) fn answer(&self, frame: ServerFrame) {
        self.calls.push(std::future::ready(Some(frame)).boxed());
    }

    /// Does what a frame asks for.
    pub(super) async fn handle(&mut self, frame: ClientFrame) -> Result<(), Close> {
        if !matches!(frame, ClientFrame::Auth { .. }) {
            self.must_be_good()?;
        }
        match frame {
            ClientFrame::Hello { .. } => return Err(close(BAD_FRAME, "hello was said already")),
            ClientFrame::Ping { id } => self.answer(ServerFrame::Pong { id }),
            ClientFrame::Call { id, op, input, key } => self.call(id, op, input, key),
            ClientFrame::Subscribe { id, workspace, topics, after } => self.subscribe(id, workspace, &topics, after),
            ClientFrame::Unsubscribe { id, workspace } => {
                let done = self.client.unsubscribe(workspace, id);
                self.calls.push(done.map(|()| None).boxed());
            }
            ClientFrame::Auth { id, token } => {
                let identity = identify(&self.doors, &token).await?;
                if identity.principal != self.identity.principal {
                    return Err(close(NOT_AUTHENTICATED, "the token is another one's"));
                }
                // What was subscribed to under one key must not go on under another one that reaches less.
                if (identity.scopes, identity.workspace) != (self.identity.scopes, self.identity.workspace) {
                    return Err(close(NOT_AUTHENTICATED, "the token reaches other things: connect anew with it"));
                }
                self.shown.is(identity.clone());
                self.identity = identity;
                self.answer(ServerFrame::done(id));
            }
            ClientFrame::Presence { workspace, .. } | ClientFrame::Typing { workspace, .. }
                if !self.identity.reaches(workspace, Permission::Converse) => {}
            ClientFrame::Presence { workspace, status } => {
                let connection = self.client.clone();
                self.doors.api.present(&self.identity, workspace, connection, status).await;
            }
            ClientFrame::Typing { workspace, topic, on } => {
                self.doors.api.typing(&self.identity, workspace, topic, on).await;
            }
        }
        Ok(())
    }

    fn call(&mut self, id: Value, op: String, input: Value, key: Option<String>) {
        if self.calls.len() >= CALLS_MAX {
            let problem = Problem::new(problem::TOO_MANY, format!("at most {CALLS_MAX} calls at once"));
            return self.answer(ServerFrame::failed(id, problem));
        }
        let api = self.doors.api.clone();
        let trace = api.services().context().clock.id::<uuid::Uuid>().simple().to_string();
        let caller = Caller { identity: Some(self.identity.clone()), key, trace, address: self.peer.address };
        let call = going_on(async move { api.call(&op, caller, input).await });
        let call = async move {
            match call.await {
                Ok(answer) => ServerFrame::Ok { id, data: answer.body, offset: answer.offset },
                Err(problem) => ServerFrame::failed(id, problem),
            }
        };
        self.calls.push(call.map(Some).boxed());
    }

    fn subscribe(&mut self, id: Value, workspace: WorkspaceId, topics: &[String], after: Option<u64>) {
        let topics = match parse_topics(topics) {
            Ok(topics) => topics,
            Err(problem) => return self.answer(ServerFrame::failed(id, problem)),
        };
        if !self.identity.reaches(workspace, Permission::Read) {
            return self.answer(ServerFrame::failed(id, Problem::not_found("workspace")));
        }
        let wanted = Wanted { id: id.clone(), workspace, topics, after };
        // Not waited for here: the replay of another subscription may wait until this session writes its frames.
        let answer = self.client.subscribe(wanted);
        let refusal = async move {
            let problem = match answer.await {
                Ok(_) => return None,
                Err(Refusal::NotFound) => Problem::not_found("workspace"),
                Err(Refusal::TooMany) => {
                    Problem::new(problem::TOO_MANY, format!("at most {SUBSCRIPTIONS_MAX} subscriptions"))
                }
                Err(Refusal::Unavailable) => Problem::new(problem::UNAVAILABLE, "the log could not be read"),
            };
            Some(ServerFrame::failed(id, problem))
        };
        self.calls.push(refusal.boxed());
    }
}
