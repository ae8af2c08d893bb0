//! What tests share.

pub mod browser;
pub mod data_dir;
pub mod driving;
pub mod endpoint;
pub mod fake_penguin;
pub mod matrix;
pub mod node;
pub mod peer;
pub mod person;
pub mod provider;
pub mod python;
pub mod raw;
pub mod real_penguin;
pub mod runs;
pub mod shape;
pub mod socket;
pub mod talk;
pub mod team;
pub mod terminal;
pub mod trpc;
pub mod writer;
