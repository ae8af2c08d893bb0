//! `webhooks`: endpoints outside that hear of a workspace's events.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    actors::webhooks::{Refused, new_secret, origin},
    domain::{
        ids::{SealedId, Subject, WebhookId, WorkspaceId},
        model::Command,
        permission::Permission as P,
        principal::Principal,
        text::Text,
        webhook::{Description, PATTERNS_MAX, Pattern, WebhookCommand},
    },
    persistence::{
        deliveries::{self, DeliveryStatus, DeliveryView},
        queries::Scope,
        secrets,
        webhooks::{self, WebhookRow},
    },
};

use super::{
    call::Call,
    inputs::Few,
    problem::{self, Problem},
    table::{Method, Operation},
    workspaces::{Limit, ListIn, Page, page},
};

const SCOPE: (Scope, &str) = (Scope::Webhook, "webhook_id");
const IN_WORKSPACE: (Scope, &str) = (Scope::Workspace, "workspace_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("webhooks.create", Method::Post, "/workspaces/{workspace_id}/webhooks", create)
            .needs(P::ManageIntegrations, IN_WORKSPACE)
            .creates()
            .reveals()
            .doc("Lets an endpoint hear of events from now on; the secret that signs is shown this once."),
        Operation::query("webhooks.list", "/workspaces/{workspace_id}/webhooks", list)
            .needs(P::ManageIntegrations, IN_WORKSPACE)
            .doc("Lists the webhooks of a workspace."),
        Operation::mutation("webhooks.update", Method::Patch, "/webhooks/{webhook_id}", update)
            .needs(P::ManageIntegrations, SCOPE)
            .doc("Changes a webhook's address, description or events, or switches it on or off."),
        Operation::mutation("webhooks.delete", Method::Delete, "/webhooks/{webhook_id}", delete)
            .needs(P::ManageIntegrations, SCOPE)
            .doc("Removes a webhook and what waits for it."),
        Operation::mutation("webhooks.rotate_secret", Method::Post, "/webhooks/{webhook_id}/rotate_secret", rotate)
            .needs(P::ManageIntegrations, SCOPE)
            .reveals()
            .doc("Makes a new secret, shown this once; the one before signs too for 24 hours."),
        Operation::query("webhooks.deliveries", "/webhooks/{webhook_id}/deliveries", list_deliveries)
            .needs(P::ManageIntegrations, SCOPE)
            .doc("Lists what was, is or will be sent to a webhook, newest first."),
        Operation::mutation(
            "webhooks.redeliver",
            Method::Post,
            "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver",
            redeliver,
        )
        .needs(P::ManageIntegrations, SCOPE)
        .doc("Sends a delivery again at once, whatever came of it, under the same id."),
    ]
}

/// A webhook.
#[derive(Serialize, JsonSchema)]
struct WebhookView {
    /// Its id.
    id: WebhookId,
    /// The tenant.
    workspace_id: WorkspaceId,
    /// Where events are sent; null when the address cannot be opened any more.
    url: Option<String>,
    /// What it is for.
    description: String,
    /// Which events it hears of.
    events: BTreeSet<Pattern>,
    /// Whether anything is sent.
    enabled: bool,
    /// Why not.
    disabled_reason: Option<String>,
    /// Since when its endpoint takes nothing; null while it does.
    failing_since: Option<DateTime<Utc>>,
    /// Events that wait to be sent, up to 1,000; the log keeps the rest.
    pending: u64,
    /// The secret that signs; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Until when the secret before signs too.
    former_secret_until: Option<DateTime<Utc>>,
    /// Who made it.
    created_by: Principal,
    /// Rises with each change.
    version: u64,
    /// Since when.
    created_at: DateTime<Utc>,
    /// Last changed.
    updated_at: DateTime<Utc>,
}

async fn shown(call: &Call, row: WebhookRow, secret: Option<String>) -> Result<WebhookView, Problem> {
    let context = call.services.context();
    let url = match context.vault.read(&context.pool, &[row.url_id]).await {
        Ok(mut opened) => opened.pop(),
        Err(secrets::Error::Database(error)) => return Err(error.into()),
        Err(_) => None,
    };
    Ok(WebhookView {
        id: row.id,
        workspace_id: row.workspace_id,
        url,
        description: row.description,
        events: row.events,
        enabled: row.enabled,
        disabled_reason: row.disabled_reason,
        failing_since: row.failing_since,
        pending: row.pending,
        secret,
        former_secret_until: row.former_until.filter(|until| *until > call.clock().now()),
        created_by: row.created_by,
        version: row.version,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

async fn read(call: &Call, id: WebhookId, secret: Option<String>) -> Result<WebhookView, Problem> {
    shown(call, existing(call, id).await?, secret).await
}

async fn existing(call: &Call, id: WebhookId) -> Result<WebhookRow, Problem> {
    webhooks::shown(&call.tenant()?, id).await?.ok_or_else(|| Problem::not_found("webhook"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    workspace_id: WorkspaceId,
    /// Where to send events: `https://…` or `http://…`, at a public address.
    url: Text<1, 2048>,
    /// What it is for.
    #[serde(default)]
    description: Description,
    /// Which events: `*`, `noun:*` or types; all when absent.
    #[serde(default = "all")]
    #[schemars(length(min = 1, max = 64))]
    events: Few<Pattern, PATTERNS_MAX>,
}

fn all() -> Few<Pattern, PATTERNS_MAX> {
    Few([Pattern::any()].into())
}

async fn create(call: Call, input: Create) -> Result<WebhookView, Problem> {
    must_be_some(&input.events)?;
    let (id, secret): (WebhookId, _) = (call.clock().id(), fresh_secret()?);
    let (origin, url) = sealed_address(&call, &input.url).await?;
    let sealed = sealed(&call, &secret).await?;
    let Create { workspace_id, description, events: Few(events), .. } = input;
    let command = WebhookCommand::Create { origin, url, secret: sealed, description, events };
    let receipt = call.execute_in(workspace_id, Subject::Webhook(id), Command::Webhook(command)).await?;
    let made = WebhookId(receipt.subject.id());
    // A repeated request finds what the first one made, whose secret was shown then.
    read(&call, made, (made == id).then_some(secret)).await
}

fn must_be_some(events: &Few<Pattern, PATTERNS_MAX>) -> Result<(), Problem> {
    match events.0.is_empty() {
        true => Err(Problem::field("events", format!("must be 1 to {PATTERNS_MAX} patterns"))),
        false => Ok(()),
    }
}

fn fresh_secret() -> Result<String, Problem> {
    new_secret().ok_or_else(|| Problem::new(problem::UNAVAILABLE, "there are no random numbers"))
}

/// Keeps an address aside; the log only learns its beginning.
async fn sealed_address(call: &Call, address: &str) -> Result<(String, SealedId), Problem> {
    let allow_private = call.services.context().postman.allows_private();
    let origin =
        origin(address, allow_private).map_err(|refused: Refused| Problem::field("url", refused.to_string()))?;
    Ok((origin, sealed(call, address).await?))
}

async fn sealed(call: &Call, text: &str) -> Result<SealedId, Problem> {
    let (context, id) = (call.services.context(), call.clock().id());
    let kept = context.vault.put(&context.pool, call.workspace()?, id, text, call.clock().now()).await;
    kept.map_err(|error| {
        tracing::error!(%error, "a text was not sealed");
        Problem::new(problem::UNAVAILABLE, "the address or the secret could not be kept")
    })?;
    Ok(id)
}

async fn list(call: Call, input: ListIn) -> Result<Page<WebhookView>, Problem> {
    let rows = input.limit.rows()?;
    let mut items = vec![];
    for row in webhooks::list(&call.tenant()?, input.cursor, rows + 1).await? {
        items.push(shown(&call, row, None).await?);
    }
    Ok(page(items, rows, |row| row.id.0))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    webhook_id: WebhookId,
    /// Where to send events from now on.
    url: Option<Text<1, 2048>>,
    /// What it is for.
    description: Option<Description>,
    /// Which events from now on.
    #[schemars(length(min = 1, max = 64))]
    events: Option<Few<Pattern, PATTERNS_MAX>>,
    /// Whether anything is sent. Switched on again, it goes on where it stopped.
    enabled: Option<bool>,
}

async fn update(call: Call, input: Update) -> Result<WebhookView, Problem> {
    input.events.as_ref().map_or(Ok(()), must_be_some)?;
    let Update { webhook_id: id, url, description, events, enabled } = input;
    let address = match url {
        Some(url) => Some(sealed_address(&call, &url).await?),
        None => None,
    };
    if enabled == Some(true) {
        deliveries::forgive(call.pool(), id).await?;
    }
    let command = WebhookCommand::Update { address, description, events: events.map(|events| events.0), enabled };
    call.execute(Subject::Webhook(id), Command::Webhook(command)).await?;
    read(&call, id, None).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Named {
    webhook_id: WebhookId,
}

/// Which webhook is gone.
#[derive(Serialize, JsonSchema)]
struct Deleted {
    webhook_id: WebhookId,
}

async fn delete(call: Call, input: Named) -> Result<Deleted, Problem> {
    call.execute(Subject::Webhook(input.webhook_id), Command::Webhook(WebhookCommand::Delete)).await?;
    Ok(Deleted { webhook_id: input.webhook_id })
}

async fn rotate(call: Call, input: Named) -> Result<WebhookView, Problem> {
    let secret = fresh_secret()?;
    let sealed = sealed(&call, &secret).await?;
    let command = Command::Webhook(WebhookCommand::RotateSecret(sealed));
    let made = call.execute_making(Subject::Webhook(input.webhook_id), command, sealed.0).await?;
    read(&call, input.webhook_id, (made == sealed.0).then_some(secret)).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Deliveries {
    webhook_id: WebhookId,
    /// Only those that stand there.
    status: Option<DeliveryStatus>,
    #[serde(default)]
    limit: Limit,
    cursor: Option<Uuid>,
}

async fn list_deliveries(call: Call, input: Deliveries) -> Result<Page<DeliveryView>, Problem> {
    let rows = input.limit.rows()?;
    existing(&call, input.webhook_id).await?;
    let items = deliveries::page(&call.tenant()?, input.webhook_id, input.status, input.cursor, rows + 1).await?;
    Ok(page(items, rows, |row| row.id))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Redeliver {
    webhook_id: WebhookId,
    delivery_id: Uuid,
}

async fn redeliver(call: Call, input: Redeliver) -> Result<DeliveryView, Problem> {
    let id = input.webhook_id;
    let row = existing(&call, id).await?;
    if !row.enabled {
        return Err(Problem::new(problem::BUSY, "the webhook is switched off: switch it on first"));
    }
    let again = deliveries::redeliver(call.pool(), id, input.delivery_id, call.clock().now()).await?;
    let again = again.ok_or_else(|| Problem::not_found("delivery"))?;
    call.services.directory.workspace(row.workspace_id).await?.wake_couriers();
    Ok(again)
}
