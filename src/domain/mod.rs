//! The pure core: state machines as values. Nothing here does I/O, reads a clock or makes an id.
//!
//! `Model` is what an actor hosts: it decides commands into events and folds events into state.

pub mod access;
pub mod agent;
pub mod checkpoint;
pub mod claim;
pub mod conversation;
pub mod doctor;
pub mod document;
pub mod event;
pub mod failure;
pub mod ids;
pub mod loops;
pub mod model;
pub mod pack;
pub mod permission;
pub mod presence;
mod present;
pub mod principal;
pub mod project;
pub mod rejection;
pub mod right;
pub mod routing;
pub mod run;
mod schema;
pub mod session;
pub mod sim;
pub mod task;
pub mod text;
pub mod webhook;
pub mod workspace;

#[cfg(test)]
pub(crate) mod tests;
