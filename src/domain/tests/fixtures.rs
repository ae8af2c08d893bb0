//! The bytes of every event, as they are in logs that exist: `events.jsonl` is only ever added to.

use serde_json::{Value, json};

use crate::domain::event::{
    AgentEvent, ConversationEvent, DocumentEvent, Event, ProjectEvent, SessionEvent, TaskEvent, WebhookEvent,
    WorkspaceEvent,
};

use super::examples::examples;

/// Lists every variant with its name on the wire; a variant that is missing here does not compile.
macro_rules! kinds {
    ($($family:ident $type:ident { $($variant:ident = $kind:literal),+ $(,)? })+) => {
        /// Returns the name of every event that exists.
        pub(super) fn kinds() -> Vec<&'static str> { vec![$($($kind),+),+] }
        fn kind_of(event: &Event) -> &'static str {
            match event { $($(Event::$family($type::$variant { .. }) => $kind),+),+ }
        }
    };
}
kinds! {
    Workspace WorkspaceEvent {
        Created = "workspace:created", Renamed = "workspace:renamed", MemberAdded = "member:added",
        MemberUpdated = "member:updated", MemberRemoved = "member:removed", TeamFormed = "team:formed", TeamUpdated = "team:updated",
        TeamDissolved = "team:dissolved",
        RoleCreated = "role:created", RoleUpdated = "role:updated", RoleDeleted = "role:deleted",
        GrantSet = "grant:set", GrantRemoved = "grant:removed",
        ServiceAdded = "service:added", ServiceRemoved = "service:removed", KeyIssued = "key:issued",
        KeyRevoked = "key:revoked", RightGiven = "right:given", RightRevoked = "right:revoked",
    }
    Project ProjectEvent { Created = "project:created", Updated = "project:update", Archived = "project:archived" }
    Task TaskEvent {
        Created = "task:created", Updated = "task:updated", Transitioned = "task:transitioned", Ready = "task:ready",
        Moved = "task:moved", DependencyAdded = "task:dependency_added",
        DependencyRemoved = "task:dependency_removed", Progress = "task:progress",
        DelegationQueued = "delegation:queued", DelegationRunning = "delegation:running",
        DelegationAwaiting = "delegation:awaiting", DelegationPaused = "delegation:paused",
        DelegationSubmitted = "delegation:submitted", DelegationReviewing = "delegation:reviewing",
        DelegationReviewed = "delegation:reviewed", DelegationCompleted = "delegation:completed",
        DelegationRecovering = "delegation:recovering", DelegationEscalated = "delegation:escalated",
        DelegationCancelling = "delegation:cancelling", DelegationCancelled = "delegation:cancelled",
        DelegationFailed = "delegation:failed", DelegationOverdue = "delegation:overdue",
        ReminderSent = "reminder:sent", DecisionMade = "decision:made", DelegationReviewStuck = "delegation:review_stuck",
        DelegationApproversSet = "delegation:approvers_set",
        HandOffOffered = "handoff:offered", HandOffAccepted = "handoff:accepted",
        HandOffDeclined = "handoff:declined", HandOffLapsed = "handoff:lapsed",
        FanOutOpened = "fanout:opened", FanOutJoined = "fanout:joined",
        AttemptStarted = "attempt:started", AttemptAccepted = "attempt:accepted", AttemptTool = "attempt:tool",
        AttemptNudged = "attempt:nudged",
        AttemptUsage = "attempt:usage", AttemptSucceeded = "attempt:succeeded", AttemptFailed = "attempt:failed",
        AttemptLost = "attempt:lost", AttemptCancelled = "attempt:cancelled",
        AttemptSuperseded = "attempt:superseded", AttemptReleased = "attempt:released",
        InterruptOpened = "interrupt:opened", InterruptResolved = "interrupt:resolved",
        InterruptDelivered = "interrupt:delivered", InterruptLapsed = "interrupt:lapsed",
        InterruptRenewed = "interrupt:renewed", InterruptClosed = "interrupt:closed",
        ArtifactRecorded = "artifact:recorded", Checkpointed = "task:checkpointed", RolledBack = "task:rolled_back",
    }
    Conversation ConversationEvent {
        Created = "conversation:created", ParticipantAdded = "conversation:participant_added",
        ParticipantRemoved = "conversation:participant_removed", Message = "conversation:message",
        MessageEdited = "conversation:message_edited", Branched = "conversation:branched",
        MessageDeleted = "conversation:message_deleted", Reacted = "conversation:reacted",
        Unreacted = "conversation:unreacted", Read = "conversation:read", Merged = "conversation:merged",
        Sealed = "conversation:sealed", Updated = "conversation:updated", TurnQueued = "conversation:turn_queued",
        TurnStarted = "conversation:turn_started", TurnStopping = "conversation:turn_stopping",
        TurnEnded = "conversation:turn_ended", RolledBack = "conversation:rolled_back",
    }
    Document DocumentEvent {
        Created = "document:created", Renamed = "document:renamed", Archived = "document:archived",
        Edited = "document:edited", Suggested = "document:suggested", Resolved = "document:suggestion_resolved",
    }
    Agent AgentEvent {
        Registered = "agent:registered", Updated = "agent:updated", Status = "agent:status",
        Availability = "agent:availability", InstanceAdded = "instance:added", InstanceRemoved = "instance:removed",
        InstanceProbed = "instance:probed", InstanceConnected = "instance:connected",
        InstanceStanding = "instance:standing", Skill = "agent:skill",
    }
    Session SessionEvent { Bound = "session:bound", Packed = "session:packed", Followed = "session:followed" }
    Webhook WebhookEvent {
        Created = "webhook:created", Updated = "webhook:updated", SecretRotated = "webhook:secret_rotated",
        Disabled = "webhook:disabled", Enabled = "webhook:enabled", Deleted = "webhook:deleted",
    }
}

fn lines() -> Vec<Value> {
    include_str!("events.jsonl").lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn decode(line: &Value) -> Event {
    let kind = line["type"].as_str().expect("a line has a type");
    Event::decode(kind, line["data"].clone()).unwrap_or_else(|why| panic!("{kind} cannot be read any more: {why}"))
}

#[test]
fn every_stored_event_still_means_the_same() {
    let (lines, examples) = (lines(), examples());
    for (line, example) in lines.iter().zip(&examples) {
        assert_eq!(decode(line), *example);
    }
    let written: Vec<Value> = examples.iter().map(shown).collect();
    assert_eq!(lines.len(), examples.len(), "add these lines to events.jsonl: {}", rows(&written[lines.len()..]));
}

#[test]
fn every_stored_event_is_still_written_the_same_way() {
    for line in lines() {
        assert_eq!(shown(&decode(&line)), line);
    }
}

#[test]
fn every_kind_of_event_has_a_stored_example() {
    let stored: Vec<_> = lines().iter().map(decode).map(|event| kind_of(&event)).collect();
    for kind in kinds() {
        assert!(stored.contains(&kind), "events.jsonl has no `{kind}`: add an example of it");
    }
    for event in examples() {
        assert_eq!(event.encode().0, kind_of(&event));
    }
}

#[test]
fn an_unknown_event_is_refused_with_its_name() {
    let why = Event::decode("ghost:seen", json!({})).unwrap_err();
    assert!(why.to_string().contains("ghost:seen"));
}

fn shown(event: &Event) -> Value {
    let (kind, data) = event.encode();
    json!({"type": kind, "data": data})
}

fn rows(values: &[Value]) -> String {
    values.iter().map(|value| format!("\n{value}")).collect()
}
