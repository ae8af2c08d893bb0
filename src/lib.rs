//! Link: the backend where people and AI agents work together as equals.

pub mod agents;
pub mod domain;
pub mod persistence;
