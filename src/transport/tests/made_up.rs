//! Frames and values that are made up.

use std::sync::Arc;

use chrono::DateTime;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    actors::{
        encoding::Encoded,
        feed::{Committed, Signal},
        subscription::Told,
    },
    api::problem::{CODES, FieldError, Problem},
    domain::{
        event::{Event, Recorded},
        ids::Subject,
        presence::Presence,
        principal::{Principal, Service},
        tests::examples::examples,
    },
    transport::ws::{client_frame::ClientFrame, server_frame::ServerFrame},
};

/// Any id.
fn id<T: From<Uuid> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    any::<u128>().prop_map(|n| Uuid::from_u128(n).into())
}

/// Any text that may come in.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "\\PC{0,24}", "[^\0]{0,40}", "[^\0]{250,300}"]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
        select(vec![0_i64, -1, 127, 128, -32, -33, -128, -129, 255, 256, 65_535, 65_536, i64::MIN])
            .prop_map(Value::from),
    ]
}

/// Any value that may come in.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), number(), text().prop_map(Value::from)];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..20).prop_map(Value::from),
            vec((text(), inner), 0..20).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Any `id` that may come in.
fn name() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), number(), "[^\0]{0,24}".prop_map(Value::from)]
}

fn principal() -> impl Strategy<Value = Principal> {
    prop_oneof![
        id().prop_map(Principal::User),
        id().prop_map(Principal::Agent),
        id().prop_map(Principal::Team),
        Just(Principal::Service(Service::Probe)),
    ]
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        id().prop_map(Subject::Workspace),
        id().prop_map(Subject::Project),
        id().prop_map(Subject::Task),
        id().prop_map(Subject::Conversation),
        id().prop_map(Subject::Document),
        id().prop_map(Subject::Agent),
        id().prop_map(Subject::Session),
    ]
}

/// An event around what happened.
pub(super) fn recorded(event: Event) -> impl Strategy<Value = Recorded> {
    let at = (0..4_000_000_000_000_i64).prop_map(|ms| DateTime::from_timestamp_millis(ms).expect("it is a time"));
    let place = (any::<u64>(), id(), subject(), option::of(any::<u64>()));
    (place, principal(), option::of(principal()), at, "[0-9a-f]{32}").prop_map(
        move |((offset, id, subject, cause), actor, on_behalf_of, at, trace)| Recorded {
            offset,
            id,
            subject,
            refs: vec![subject],
            actor,
            on_behalf_of,
            at,
            cause,
            trace,
            audience: None,
            event: event.clone(),
        },
    )
}

fn committed() -> impl Strategy<Value = Arc<Committed>> {
    let event = select(examples()).prop_flat_map(recorded);
    (id(), event).prop_map(|(workspace, event)| Arc::new(Committed::new(workspace, event)))
}

fn signal() -> impl Strategy<Value = Arc<Signal>> {
    let kind = select(vec!["task:output", "user:presence", "user:typing"]);
    (id(), subject(), kind, value()).prop_map(|(workspace, topic, kind, data)| {
        Arc::new(Signal { workspace, topic, refs: vec![], kind, data, audience: None, encoded: Encoded::default() })
    })
}

fn problem() -> impl Strategy<Value = Problem> {
    let field = (text(), text()).prop_map(|(path, message)| FieldError { path, message });
    (select(CODES), text(), vec(field, 0..3), option::of("[0-9a-f]{32}")).prop_map(|(code, detail, errors, trace)| {
        Problem { errors, trace_id: trace.unwrap_or_default(), ..Problem::new(code, detail) }
    })
}

/// Every frame of the server.
pub(super) fn server_frame() -> impl Strategy<Value = ServerFrame> {
    use ServerFrame as F;
    let welcome = (id(), text(), any::<u32>(), text()).prop_map(|(connection, user, ms, node)| {
        F::welcome(connection, user, std::time::Duration::from_millis(ms.into()), node)
    });
    let ok = (name(), value(), option::of(any::<u64>())).prop_map(|(id, data, offset)| F::Ok { id, data, offset });
    let told = prop_oneof![
        (name(), id(), any::<u64>()).prop_map(|(id, workspace, head)| Told::Subscribed { id, workspace, head }),
        name().prop_map(|id| Told::Unsubscribed { id }),
        (id(), any::<u64>()).prop_map(|(workspace, head)| Told::Reset { workspace, head, reason: "too far" }),
        committed().prop_map(Told::Event),
        (id(), any::<u64>()).prop_map(|(workspace, offset)| Told::CaughtUp { workspace, offset }),
        (id(), any::<u64>()).prop_map(|(workspace, offset)| Told::Cursor { workspace, offset }),
        signal().prop_map(Told::Signal),
    ];
    prop_oneof![
        welcome,
        ok,
        (name(), problem()).prop_map(|(id, problem)| F::failed(id, problem)),
        told.prop_map(F::from),
        any::<(u16, u64)>().prop_map(|(code, retry_after_ms)| F::Goodbye { code, reason: "ende", retry_after_ms }),
        name().prop_map(|id| F::Pong { id }),
    ]
}

/// Every frame of a client.
pub(super) fn client_frame() -> impl Strategy<Value = ClientFrame> {
    use ClientFrame as F;
    let subscribe = (name(), id(), vec(text(), 0..5), option::of(any::<u64>()))
        .prop_map(|(id, workspace, topics, after)| F::Subscribe { id, workspace, topics, after });
    let call =
        (name(), text(), value(), option::of(text())).prop_map(|(id, op, input, key)| F::Call { id, op, input, key });
    let status = select(vec![Presence::Online, Presence::Away, Presence::Working, Presence::Offline]);
    prop_oneof![
        text().prop_map(|token| F::Hello { token }),
        subscribe,
        (name(), id()).prop_map(|(id, workspace)| F::Unsubscribe { id, workspace }),
        call,
        (id(), status).prop_map(|(workspace, status)| F::Presence { workspace, status }),
        (id(), subject(), any::<bool>()).prop_map(|(workspace, topic, on)| F::Typing { workspace, topic, on }),
        (name(), text()).prop_map(|(id, token)| F::Auth { id, token }),
        name().prop_map(|id| F::Ping { id }),
    ]
}

/// A frame as a client of this protocol might write it, wrong in one place.
pub(super) fn nearly_a_frame() -> impl Strategy<Value = Value> {
    (client_frame(), text(), value()).prop_map(|(frame, field, value)| {
        let mut frame = json!(frame);
        frame[field] = value;
        frame
    })
}
