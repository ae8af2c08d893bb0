//! The one integration-test binary.

mod actors;
mod cli;
mod cli_operations;
mod cli_shell;
mod crash;
mod documents;
mod doors_input;
mod doors_keys;
mod doors_tenancy;
mod embedded_pg;
mod layering;
mod limits;
mod openapi;
mod penguin_driver;
mod penguin_end_to_end;
mod penguin_lost;
mod penguin_real;
mod penguin_recordings;
mod penguin_router;
mod readme;
mod sockets;
mod sockets_encodings;
mod sockets_feed;
mod sockets_malformed;
mod spine;
mod support;
