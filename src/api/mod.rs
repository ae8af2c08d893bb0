//! The operation table: one declaration per operation, and the one way through which every door calls it.
//!
//! ```text
//! door ─ Caller, input ─▶ find scope ─ authorize ─ parse ─ remembered? ─ run ─ remember ─▶ Answer | Problem
//! ```

mod access;
mod agents;
mod api_keys;
mod auth;
mod call;
mod conversations;
mod delegation;
pub mod events;
mod identity;
pub mod known_keys;
pub mod limits;
pub mod openapi;
mod penguin;
mod presence;
pub mod problem;
mod projects;
mod rank;
pub mod revocations;
mod services;
mod signals;
pub mod signing;
mod table;
mod tasks;
pub mod tokens;
pub mod typescript;
mod webhooks;
mod workspaces;

pub use call::{Answer, Api};
pub use identity::{Caller, Credential, Identity};
pub use services::Services;
pub use table::{Kind, Method, Operation, Table};

/// Every operation of Link's.
pub fn table() -> Table {
    let routers = [
        auth::operations(),
        api_keys::operations(),
        workspaces::operations(),
        access::operations(),
        projects::operations(),
        tasks::operations(),
        agents::operations(),
        delegation::operations(),
        conversations::operations(),
        presence::operations(),
        penguin::operations(),
        webhooks::operations(),
    ];
    Table::new(routers.into_iter().flatten().collect())
}
