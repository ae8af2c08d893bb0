//! Link: the backend where people and AI agents work together as equals.

pub mod actors;
pub mod agents;
pub mod api;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod domain;
pub mod node;
pub mod oidc;
pub mod persistence;
pub mod telemetry;
pub mod transport;
