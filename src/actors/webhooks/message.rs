//! What is sent: the event as everybody may read it, its name, and the signature of Standard Webhooks.

use aws_lc_rs::{digest, hmac, rand};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    actors::feed::shown,
    domain::{
        event::Recorded,
        ids::{EventId, WebhookId, WorkspaceId},
    },
};

/// What a secret begins with; base64 follows.
const SECRET_PREFIX: &str = "whsec_";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// The most bytes of a body; a larger event goes without its data.
const BODY_MAX: usize = 1 << 20;

/// Makes a new secret; nothing when there are no random numbers.
pub fn new_secret() -> Option<String> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes)))
}

/// Names a delivery: the same event for the same webhook has the same name, and names rise as events do.
pub(super) fn delivery_id(event: EventId, webhook: WebhookId) -> Uuid {
    let pair = [event.0.as_bytes().as_slice(), webhook.0.as_bytes()].concat();
    let digest = digest::digest(&digest::SHA256, &pair);
    let mut bytes = *event.0.as_bytes();
    bytes[8..].copy_from_slice(&digest.as_ref()[..8]);
    // The time and the version stay the event's; only the variant has to be set again.
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

/// Writes an event down as it is sent.
pub(super) fn body(workspace: WorkspaceId, event: &Recorded) -> String {
    let mut data = shown(event);
    data["workspace"] = json!(workspace);
    let (kind, at) = (data["type"].take(), data["at"].clone());
    if let Value::Object(fields) = &mut data {
        fields.remove("type");
    }
    let mut body = json!({"type": kind, "timestamp": at, "data": data});
    let text = body.to_string();
    if text.len() <= BODY_MAX {
        return text;
    }
    body["data"]["data"] = Value::Null;
    body["data"]["truncated"] = Value::Bool(true);
    body.to_string()
}

/// Signs a message with each of the secrets, the newest first.
pub(super) fn signature(secrets: &[String], id: &str, timestamp: i64, body: &str) -> String {
    let signed = format!("{id}.{timestamp}.{body}");
    let sign = |secret: &String| {
        let key = STANDARD.decode(secret.strip_prefix(SECRET_PREFIX)?).ok()?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(tag.as_ref())))
    };
    secrets.iter().filter_map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standard() {
        // The vector of the reference libraries.
        let secrets = vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()];
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signed = signature(&secrets, id, 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signature(&[secrets[0].clone(), "whsec_AAAA".into()], id, 1_614_265_330, "{}");
        assert_eq!(both.split(' ').count(), 2);
    }

    #[test]
    fn a_delivery_has_one_name_and_names_rise_with_events() {
        let (first, second) =
            (Uuid::from_u128(0x0190_f3c2_7b1e_7001 << 64), Uuid::from_u128(0x0190_f3c2_7b1f_7000 << 64));
        let webhook = |n| WebhookId(Uuid::from_u128(n));
        let id = delivery_id(EventId(first), webhook(1));
        assert_eq!(id, delivery_id(EventId(first), webhook(1)));
        assert_ne!(id, delivery_id(EventId(first), webhook(2)));
        assert!(id < delivery_id(EventId(second), webhook(1)));
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
    }

    #[test]
    fn secrets_are_never_the_same() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(STANDARD.decode(one.strip_prefix(SECRET_PREFIX).unwrap()).unwrap().len(), SECRET_BYTES);
    }
}
