//! What comes in and goes out, tried with values and bytes that nobody would think of.

mod decoders;
mod frames;
mod made_up;
mod values;
