//! Tells an absent value from one that is null, so that a snapshot gives back what it was given: for fields with
//! `#[serde(default, deserialize_with = "…", skip_serializing_if = "Option::is_none")]`.

use serde::{Deserialize, Deserializer};

/// Reads whatever is there, null included, as present.
pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}
