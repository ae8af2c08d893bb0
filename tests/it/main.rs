//! The one integration-test binary.

mod actors;
mod crash;
mod embedded_pg;
mod penguin_driver;
mod penguin_end_to_end;
mod penguin_lost;
mod penguin_real;
mod penguin_recordings;
mod spine;
mod support;
