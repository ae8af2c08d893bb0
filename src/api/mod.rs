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
mod checkpoints;
mod codes;
mod conversations;
mod decisions;
mod delegation;
mod documents;
pub mod events;
mod fan_outs;
mod hand_offs;
mod identity;
mod inbox;
mod inputs;
pub mod known_keys;
pub mod limits;
pub mod oidc;
pub mod openapi;
mod peers;
mod penguin;
mod presence;
pub mod problem;
mod projects;
mod rank;
mod refusals;
pub mod revocations;
mod service_accounts;
mod services;
mod signals;
pub mod signing;
mod table;
mod tasks;
mod teams;
mod together;
pub mod tokens;
pub mod typescript;
mod webhooks;
mod workspaces;

pub use call::{Answer, Api};
pub use identity::{Caller, Credential, Identity};
pub use services::Services;
pub use table::{Kind, Method, Operation, Table};

/// What each router is for.
pub const ROUTERS: &[(&str, &str)] = &[
    ("auth", "Accounts, logins, tokens, and API keys for programs."),
    ("workspaces", "Tenants, their members and teams, and the log of everything that happens in them."),
    ("projects", "Lists of tasks with a key, their boards and their stories."),
    ("tasks", "What has to be done, in which state, and what waits for what."),
    ("agents", "Members that are programs, and the servers that run them."),
    ("delegation", "Handing tasks to agents, answering their questions, reviewing what they hand in."),
    ("decisions", "What people let agents decide on their behalf, and what agents decide."),
    ("penguin", "The Penguin servers that run agents: whether they live, and what became of their runs."),
    ("webhooks", "Endpoints outside that hear of events, and what was sent to them."),
    ("conversations", "People and agents talking, in one order."),
    ("documents", "Texts that people and agents write together."),
    ("presence", "Who is here, who works and who writes: told at once and kept nowhere."),
];

/// Every operation of Link's.
pub fn table() -> Table {
    let routers = [
        auth::operations(),
        api_keys::operations(),
        service_accounts::operations(),
        workspaces::operations(),
        teams::operations(),
        inbox::operations(),
        access::operations(),
        projects::operations(),
        tasks::operations(),
        checkpoints::operations(),
        agents::operations(),
        delegation::operations(),
        decisions::operations(),
        hand_offs::operations(),
        fan_outs::operations(),
        conversations::operations(),
        documents::operations(),
        presence::operations(),
        penguin::operations(),
        webhooks::operations(),
    ];
    Table::new(routers.into_iter().flatten().collect())
}
