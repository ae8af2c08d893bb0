//! What tests share.

pub mod driving;
pub mod fake_penguin;
pub mod runs;
pub mod shape;
