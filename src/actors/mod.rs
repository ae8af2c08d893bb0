//! Hosting: every state machine of the domain in a supervised actor, and one writer per workspace.
//!
//! ```text
//! directory
//! └─ workspace ─┬─ writer      the log grows here, and only here
//!               ├─ entities    project, task, conversation, agent, session: one actor each, while it is needed
//!               ├─ conductor   hands queued delegations to instances
//!               ├─ runs        one actor per running attempt: drives the agent
//!               ├─ turns       one actor per message that an agent answers: drives the agent
//!               ├─ probes      one actor per instance: asks whether it lives
//!               ├─ couriers    one actor per webhook: sends events to endpoints outside
//!               ├─ peers       one actor per agent that has connected: watches for its signs of life
//!               └─ documents   one actor per shared document in use: merges what people and agents write
//! presence                     tells who comes and goes
//! relays                       one per workspace that somebody listens to: writes what happens to all of them
//! clients                      one actor per socket, while it has something to do
//! ```

pub mod checkpoints;
mod children;
pub mod client;
pub mod client_handle;
pub mod clients;
mod clocks;
mod conductor;
pub mod context;
pub mod directory;
pub mod documents;
mod driving;
mod ear;
pub mod encoding;
mod entity;
pub mod feed;
mod greeting;
pub mod knowledge;
pub mod liveness;
mod member;
pub mod outlet;
mod output;
mod packing;
pub mod peers;
pub mod presence;
mod probe;
mod progress;
mod prompt;
mod reconcile;
mod relay;
mod replay;
pub mod request;
mod ring;
mod room;
mod run;
mod stopping;
pub mod subscription;
pub mod supervision;
mod supervisor;
mod tail;
mod texts;
mod turn;
pub mod webhooks;
mod workspace;
mod writer;

pub use context::Context;
pub use directory::Directory;
pub use reconcile::{Found, Reconciled};
pub use workspace::{Hurt, WorkspaceHandle};
