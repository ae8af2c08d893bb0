//! Paths that a task claims for itself: a path means itself and everything below it.

use std::{borrow::Cow, collections::BTreeSet, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The most paths that one task may claim.
pub const CLAIMS_MAX: usize = 64;
/// The longest path, in characters.
pub const PATH_LENGTH_MAX: usize = 512;
/// What a path looks like.
const PATH: &str = r"^(?!\.{1,2}(/|$))[^/\\\u0000-\u001f\u007f]+(/(?!\.{1,2}(/|$))[^/\\\u0000-\u001f\u007f]+)*$";

/// A path below a project's root, in the one way in which it can be written: no `.`, no `..`, no empty part.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClaimedPath(String);

/// What a task claims.
pub type Claims = BTreeSet<ClaimedPath>;

/// The text is no path that can be claimed.
#[derive(Debug, thiserror::Error)]
#[error(
    "must be a path as in `src/api`: relative, without `.`, `..`, empty parts and backslashes, at most {PATH_LENGTH_MAX} characters"
)]
pub struct NoPath;

impl ClaimedPath {
    /// Tells whether one of the two is the other, or below it.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (long, short) = if self.0.len() < other.0.len() { (&other.0, &self.0) } else { (&self.0, &other.0) };
        long.strip_prefix(short.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the first path of `wanted` that overlaps one of `held`.
pub fn clash<'a>(wanted: &'a Claims, held: &Claims) -> Option<&'a ClaimedPath> {
    wanted.iter().find(|path| held.iter().any(|other| path.overlaps(other)))
}

impl TryFrom<String> for ClaimedPath {
    type Error = NoPath;
    fn try_from(text: String) -> Result<Self, NoPath> {
        let sound = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && !part.contains(|c: char| c == '\\' || c.is_ascii_control())
        };
        let fits = text.chars().count() <= PATH_LENGTH_MAX;
        if fits && text.split('/').all(sound) { Ok(Self(text)) } else { Err(NoPath) }
    }
}

impl From<ClaimedPath> for String {
    fn from(path: ClaimedPath) -> Self {
        path.0
    }
}

impl fmt::Display for ClaimedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for ClaimedPath {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ClaimedPath".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "minLength": 1, "maxLength": PATH_LENGTH_MAX, "pattern": PATH, "examples": ["src/api"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> ClaimedPath {
        ClaimedPath::try_from(text.to_owned()).expect("it is one")
    }

    #[test]
    fn a_path_means_itself_and_everything_below_it() {
        for (one, other, overlap) in [
            ("src/api", "src/api", true),
            ("src/api", "src/api/x.rs", true),
            ("src/api", "src", true),
            ("src/api", "src/apis", false),
            ("src/api", "src/actors", false),
            ("a", "b", false),
        ] {
            assert_eq!(path(one).overlaps(&path(other)), overlap, "{one} {other}");
            assert_eq!(path(other).overlaps(&path(one)), overlap, "{other} {one}");
        }
    }

    #[test]
    fn a_path_can_be_written_in_one_way_only() {
        for good in ["a", "src/api/x.rs", ".github", "..a", "a b/ü", "...", "a/.b"] {
            assert!(ClaimedPath::try_from(good.to_owned()).is_ok(), "{good}");
        }
        let long = "a".repeat(PATH_LENGTH_MAX + 1);
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/..", "a/./b", "a\\b", "a\nb", "a\0", &long] {
            assert!(ClaimedPath::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn paths_overlap_exactly_where_the_parts_of_one_begin_those_of_the_other(
            a in "[ab]{1,2}(/[ab]{1,2}){0,3}", b in "[ab]{1,2}(/[ab]{1,2}){0,3}",
        ) {
            let (ours, theirs): (Vec<&str>, Vec<&str>) = (a.split('/').collect(), b.split('/').collect());
            let begins = ours.starts_with(&theirs) || theirs.starts_with(&ours);
            prop_assert_eq!(path(&a).overlaps(&path(&b)), begins);
        }
    }
}
