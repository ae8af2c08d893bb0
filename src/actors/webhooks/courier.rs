//! The actor of one webhook: takes events up from the log into the outbox, and sends what is due, one after another, in
//! the order of the log. Killed at any moment, the next one goes on where the outbox says.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorMessage;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::{
    actors::{request::CommandError, workspace::WorkspaceHandle},
    domain::{
        access::{Rights, Viewer},
        event::Recorded,
        ids::{Subject, WebhookId},
        model::Command,
        permission::{Permission, Permissions},
        principal::{Principal, Service},
        webhook::WebhookCommand,
    },
    persistence::{
        deliveries::{self, Cursor, DeliveryStatus, Due, NewDelivery, Tried},
        log, queries, secrets,
        webhooks::{self, WebhookRow},
    },
};

use super::{
    message,
    pace::{self, Next},
    post::Letter,
};

/// How often it looks without being told: what was missed is caught here.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How long it waits when the database did not answer.
const RETRY: Duration = Duration::from_secs(1);
/// Events that are read from the log at a time.
const PAGE: i64 = 200;
/// Deliveries that may wait in the outbox; more stay in the log.
const PENDING_MAX: u64 = 1_000;
/// Deliveries that are sent before it looks again.
const BATCH_MAX: i64 = 16;

/// What a courier is told.
#[derive(RactorMessage)]
pub(in crate::actors) enum CourierMessage {
    /// Its work has ended; the webhook is gone or switched off, or the work panicked.
    Ended(Result<(), &'static str>),
}

/// Sends the events of one webhook.
struct Courier;

/// Spawns a courier below the workspace's supervisor.
pub(in crate::actors) async fn spawn(
    handle: WorkspaceHandle,
    id: WebhookId,
    wake: Arc<Notify>,
    supervisor: ractor::ActorCell,
) -> Result<ActorRef<CourierMessage>, ractor::SpawnErr> {
    let (actor, _) = Actor::spawn_linked(None, Courier, (handle, id, wake), supervisor).await?;
    Ok(actor)
}

impl Actor for Courier {
    type Msg = CourierMessage;
    /// Dropped with the actor: a stopped one leaves no request behind.
    type State = AbortOnDropHandle<()>;
    type Arguments = (WorkspaceHandle, WebhookId, Arc<Notify>);

    async fn pre_start(
        &self,
        myself: ActorRef<CourierMessage>,
        (handle, id, wake): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let work = tokio::spawn(async move {
            let walk = AssertUnwindSafe(Round { handle, id }.walk(wake)).catch_unwind().await;
            let _ = myself.cast(CourierMessage::Ended(walk.map_err(|_| "the courier panicked")));
        });
        Ok(AbortOnDropHandle::new(work))
    }

    async fn handle(
        &self,
        myself: ActorRef<CourierMessage>,
        CourierMessage::Ended(end): CourierMessage,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        myself.stop(Some("nothing more to send".into()));
        Ok(end?)
    }
}

/// Why a round could not be finished; the next one tries again.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Log(#[from] log::Error),
    #[error(transparent)]
    Vault(#[from] secrets::Error),
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// What to do after a round.
enum Then {
    Again,
    Wait(Duration),
    Stop,
}

/// What came of taking events up.
enum Taken {
    /// The log has more.
    More,
    /// That was all, or all that there is room for.
    Rest,
    /// The webhook was switched off.
    Nothing,
}

/// A webhook with its address and the secrets that sign now, opened.
struct Endpoint {
    address: String,
    secrets: Vec<String>,
}

struct Round {
    handle: WorkspaceHandle,
    id: WebhookId,
}

impl Round {
    async fn walk(&self, wake: Arc<Notify>) {
        loop {
            let pause = match self.go().await {
                Ok(Then::Again) => continue,
                Ok(Then::Wait(pause)) => pause,
                Ok(Then::Stop) => return,
                // The node is stopping; the next one goes on.
                Err(_) if self.handle.context.pool.is_closed() => return,
                Err(error) => {
                    tracing::warn!(webhook = %self.id, %error, "deliveries interrupted; they go on in a moment");
                    RETRY
                }
            };
            let _ = tokio::time::timeout(pause, wake.notified()).await;
        }
    }

    #[tracing::instrument(name = "actors.webhooks.round", skip_all, fields(webhook = %self.id))]
    async fn go(&self) -> Result<Then, Interrupted> {
        let pool = &self.handle.context.pool;
        let row = webhooks::get(pool, self.id).await?;
        let Some(row) = row.filter(|row| row.enabled) else { return Ok(Then::Stop) };
        let mut cursor = deliveries::cursor(pool, self.handle.id, self.id, row.born).await?;
        let taken = if row.pending < PENDING_MAX { self.take_up(&row, &cursor).await? } else { Taken::Rest };
        if matches!(taken, Taken::Nothing) {
            return Ok(Then::Stop);
        }
        let now = self.now();
        if let Some(rest) = cursor.rest_until.filter(|rest| *rest > now) {
            return Ok(Then::Wait(until(rest, now)));
        }
        let due = deliveries::due(pool, self.id, now, BATCH_MAX).await?;
        if due.is_empty() {
            let next = deliveries::next_due(pool, self.id).await?;
            return Ok(if matches!(taken, Taken::More) {
                Then::Again
            } else {
                Then::Wait(next.map_or(LOOK_EVERY, |at| until(at, now)))
            });
        }
        let Some(endpoint) = self.open(&row, now).await? else { return Ok(Then::Stop) };
        for delivery in due {
            match self.deliver(&row, &endpoint, delivery, cursor).await? {
                Some(next) if next.rest_until.is_none() => cursor = next,
                Some(_) => break,
                None => return Ok(Then::Stop),
            }
        }
        Ok(Then::Again)
    }

    fn now(&self) -> DateTime<Utc> {
        self.handle.context.clock.now()
    }

    /// Takes events up that its maker may read, and that are not said to a few.
    async fn take_up(&self, row: &WebhookRow, cursor: &Cursor) -> Result<Taken, Interrupted> {
        let page = log::page(&self.handle.context.pool, self.handle.id, cursor.offset, PAGE).await?;
        let Some(last) = page.last().map(|event| event.offset) else { return Ok(Taken::Rest) };
        // Asked after the page was read: what may be seen now may be seen of everything that is in it.
        let Some(rights) = self.rights(row).await? else { return Ok(Taken::Nothing) };
        let wanted = |event: &&Recorded| event.audience.is_none() && rights.see(event);
        let new = page.iter().filter(wanted).filter_map(|event| {
            let (kind, _) = event.event.encode();
            let heard = row.events.iter().any(|pattern| pattern.matches(&kind));
            heard.then(|| NewDelivery { id: message::delivery_id(event.id, self.id), offset: event.offset, kind })
        });
        let new: Vec<NewDelivery> = new.collect();
        let whose = (self.handle.id, self.id);
        deliveries::take_up(&self.handle.context.pool, whose, (cursor.offset, last), &new, self.now()).await?;
        Ok(if page.len() as i64 == PAGE { Taken::More } else { Taken::Rest })
    }

    /// Returns what the maker may see. Whoever left, or may no longer manage webhooks, has none that sends anything.
    async fn rights(&self, row: &WebhookRow) -> Result<Option<Rights>, Interrupted> {
        let viewer = Viewer { principal: row.created_by, scopes: Permissions::ALL, workspace: None };
        let rights = queries::rights(&self.handle.context.pool, self.handle.id, viewer).await?;
        let rights = rights.filter(|rights| rights.standing.role.contains(Permission::ManageIntegrations));
        if rights.is_none() {
            self.switch_off("whoever made it may no longer manage webhooks here: make it anew".into()).await?;
        }
        Ok(rights)
    }

    /// Opens address and secrets; a webhook that cannot be opened is switched off.
    async fn open(&self, row: &WebhookRow, now: DateTime<Utc>) -> Result<Option<Endpoint>, Interrupted> {
        let former = row.former_secret_id.filter(|_| row.former_until.is_some_and(|until| now < until));
        let names: Vec<_> = [row.url_id, row.secret_id].into_iter().chain(former).collect();
        let context = &self.handle.context;
        match context.vault.read(&context.pool, &names).await {
            Ok(mut opened) => {
                let secrets = opened.split_off(1);
                Ok(opened.pop().map(|address| Endpoint { address, secrets }))
            }
            Err(secrets::Error::Database(error)) => Err(error.into()),
            Err(error) => {
                self.switch_off(error.to_string()).await?;
                Ok(None)
            }
        }
    }

    /// Sends one event; returns how the endpoint does, or nothing when the webhook was switched off.
    async fn deliver(
        &self,
        row: &WebhookRow,
        endpoint: &Endpoint,
        due: Due,
        cursor: Cursor,
    ) -> Result<Option<Cursor>, Interrupted> {
        let context = &self.handle.context;
        let event = log::page(&context.pool, self.handle.id, due.offset - 1, 1).await?.pop();
        // It may have waited for days: what its maker must not see any more is not sent any more.
        let Some(rights) = self.rights(row).await? else { return Ok(None) };
        let Some(event) = event.filter(|event| event.offset == due.offset && rights.see(event)) else {
            let error = Some("whoever made the webhook may not see the event any more".to_owned());
            let tried = Tried { status: DeliveryStatus::Failed, next_at: None, code: None, response: None, error };
            deliveries::settle(&context.pool, self.id, due.offset, &tried, &cursor, self.now()).await?;
            return Ok(Some(cursor));
        };
        let (body, timestamp) = (message::body(self.handle.id, &event), self.now().timestamp());
        let signature = message::signature(&endpoint.secrets, &due.id.to_string(), timestamp, &body);
        let letter = Letter { id: due.id, timestamp, signature, body };
        let answer = context.postman.send(&endpoint.address, letter, self.now()).await;
        let now = self.now();
        let Next { tried, cursor, disable } = pace::after(answer, due.attempts, cursor, now, luck());
        deliveries::settle(&context.pool, self.id, due.offset, &tried, &cursor, now).await?;
        match disable {
            Some(reason) => {
                self.switch_off(reason).await?;
                Ok(None)
            }
            None => Ok(Some(cursor)),
        }
    }

    async fn switch_off(&self, reason: String) -> Result<(), Interrupted> {
        tracing::warn!(webhook = %self.id, reason, "webhook switched off");
        let meta = self.handle.meta(Principal::Service(Service::Courier), None);
        let command = Command::Webhook(WebhookCommand::Disable(reason));
        self.handle.execute(Subject::Webhook(self.id), command, meta).await?;
        Ok(())
    }
}

/// How long to wait for a time, and no longer than until the next look.
fn until(at: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    let pause = (at - now).max(TimeDelta::milliseconds(5));
    pause.to_std().unwrap_or_default().min(LOOK_EVERY)
}

/// Anything from 0 to 1.
fn luck() -> f64 {
    let mut bytes = [0; 4];
    // Without random numbers the longest pause is as good as any.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}
