//! The pure core: state machines as values. Nothing here does I/O, reads a clock or makes an id.

pub mod failure;
pub mod ids;
pub mod run;
