//! Webhooks: events, sent to endpoints outside, each at least once.
//!
//! ```text
//! log ─ cursor of the webhook ─▶ outbox ─ due ─▶ sign ─ guard ─ POST ─▶ settle: delivered, again later, given up
//! ```
//!
//! One courier per webhook that is switched on: an endpoint that is slow or dead delays nobody else's.

mod courier;
mod guard;
mod message;
mod pace;
mod post;

pub(super) use courier::spawn;
pub use guard::{Refused, origin};
pub use message::new_secret;
pub use post::Postman;
