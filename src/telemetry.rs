//! Logs and metrics: what is written where, and what each number means.

use std::io::IsTerminal;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Seconds that latencies are counted by.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0];
/// Events that commits are counted by.
const EVENTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Every metric: name, kind, meaning.
pub const METRICS: &[(&str, &str, &str)] = &[
    ("link_operations_total", "counter", "Calls of operations, by operation and outcome"),
    ("link_operation_seconds", "histogram", "Time of a call of an operation"),
    ("link_identifications_total", "counter", "Tokens and keys that were shown, by credential and outcome"),
    ("link_revocations_known", "gauge", "Revocations that this node has to remember"),
    ("link_revocation_polls_total", "counter", "Questions to the database what other nodes revoked, by outcome"),
    ("link_oidc_logins_total", "counter", "Logins by another provider, by step and outcome"),
    ("link_oidc_calls_total", "counter", "Calls of the provider of logins, by call and outcome"),
    ("link_oidc_call_seconds", "histogram", "Time of a call of the provider of logins"),
    ("link_commands_total", "counter", "Commands to entities, by kind and outcome"),
    ("link_command_seconds", "histogram", "Time from handing a command in to its answer"),
    ("link_commit_seconds", "histogram", "Time of a commit of the log"),
    ("link_commit_events", "histogram", "Events in one commit"),
    ("link_events_total", "counter", "Events committed"),
    ("link_activation_seconds", "histogram", "Time to build an entity from snapshot and log"),
    ("link_entities_active", "gauge", "Entities in memory, in the workspace that was swept last"),
    ("link_workspaces_active", "gauge", "Workspaces in memory"),
    ("link_entity_panics_total", "counter", "Commands that panicked in decide"),
    ("link_actor_failures_total", "counter", "Actors that failed, by kind"),
    ("link_dispatches_total", "counter", "Delegations handed to an instance"),
    ("link_nudges_total", "counter", "Agents that do not move, by how, and whether they could be told"),
    ("link_reminders_total", "counter", "Reminders of what waits for people, by what it is"),
    ("link_questions_expired_total", "counter", "Questions that nobody answered in time"),
    ("link_delegations_overdue_total", "counter", "Delegations that were in the queue for too long"),
    ("link_errands_total", "counter", "What was decided about tasks because it was time, by what it was"),
    ("link_delegations_queued", "gauge", "Queued delegations, by what they wait for"),
    ("link_instances", "gauge", "Instances of agents, by how they stand"),
    ("link_instance_standings_total", "counter", "Changes of how an instance stands, by what it came to"),
    ("link_skill_alarms_total", "counter", "Agents whose work at something got worse"),
    (
        "link_attempts_released_total",
        "counter",
        "Attempts that no longer count and whose agents were told to stop, by whether they did",
    ),
    ("link_checkpoints_total", "counter", "Checkpoints that Link makes by itself, by reason and outcome"),
    ("link_pack_seconds", "histogram", "Time to put together what an attempt is told"),
    ("link_turns_total", "counter", "Turns of agents in conversations that began"),
    ("link_probes_total", "counter", "Questions to instances whether they live, by runtime and outcome"),
    ("link_agent_calls_total", "counter", "Calls of agent servers, by runtime, call and outcome"),
    ("link_agent_call_seconds", "histogram", "Time of a call of an agent server"),
    ("link_limited_total", "counter", "Calls refused because one caller asks for too much, by class"),
    ("link_connections_open", "gauge", "Open connections, sockets among them"),
    ("link_connections_refused_total", "counter", "Connections that were refused because there were too many"),
    ("link_document_sockets", "gauge", "Sockets that are connected to a shared document"),
    ("link_document_updates_total", "counter", "Updates of shared documents committed"),
    ("link_document_deliveries_total", "counter", "Messages about shared documents handed to sockets"),
    ("link_document_load_seconds", "histogram", "Time to build a shared document from snapshot and log"),
    ("link_webhook_requests_total", "counter", "Requests to endpoints of webhooks, by outcome"),
    ("link_webhook_request_seconds", "histogram", "Time of a request to an endpoint of a webhook"),
    ("link_peers_connected", "gauge", "Agents that are connected"),
    ("link_peer_frames_total", "counter", "Frames of connected agents, by what became of them"),
    ("link_peer_ends_total", "counter", "Ends of connections of agents, by close code"),
    ("link_clients_connected", "gauge", "Open sockets of clients"),
    ("link_clients_awake", "gauge", "Clients whose actor has had something to do in the last seconds"),
    ("link_relays_fallen_total", "counter", "Relays that failed and were started anew"),
    ("link_clients_too_slow_total", "counter", "Clients that were cut because they did not read"),
];

/// Sets the process's logs up; a second call changes nothing.
pub fn logs(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let colours = std::io::stderr().is_terminal();
    // Another subscriber may be there already, in tests.
    let _ = match json {
        true => registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
        false => registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init(),
    };
}

/// Sets the process's metrics up.
///
/// # Errors
/// When another recorder is there already.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_events".into()), EVENTS)?;
    let handle = builder.install_recorder()?;
    for (name, kind, meaning) in METRICS {
        match *kind {
            "counter" => describe_counter!(*name, *meaning),
            "gauge" => describe_gauge!(*name, *meaning),
            _ if name.ends_with("_seconds") => describe_histogram!(*name, Unit::Seconds, *meaning),
            _ => describe_histogram!(*name, *meaning),
        }
    }
    Ok(handle)
}
