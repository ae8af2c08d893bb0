//! What messages are made of, and whom their words name.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    principal::Principal,
    rejection::Rejection,
    text::{Label, Title, Words, scrubbed},
};

/// A piece of a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part {
    /// Words, in Markdown.
    Text {
        /// The words.
        text: Words,
    },
    /// A file by reference.
    File {
        /// Its name.
        name: Title,
        /// Where it is.
        url: Title,
    },
    /// Structured data.
    Data {
        /// The data.
        data: Value,
    },
    /// Someone who shall notice; beside `@name` in words.
    Mention {
        /// Who.
        principal: Principal,
    },
    /// Something that was decided.
    Decision {
        /// What and how.
        #[serde(flatten)]
        decision: Decision,
    },
}

/// Something that was decided: about what, and how.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Decided")]
pub struct Decision {
    /// About what.
    pub key: Label,
    /// How.
    pub value: Title,
}

/// Two decisions about the same thing, both of which stand until somebody decides again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Conflict {
    /// About what.
    pub key: Label,
    /// How it was decided before.
    pub here: Vec<Title>,
    /// How the branch decided.
    pub there: Title,
}

/// A reaction: an emoji, or a short name of one.
pub type Emoji = crate::domain::text::Text<1, 32>;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Somebody's words.
    #[default]
    Said,
    /// An agent's words as far as it came before it was interrupted.
    Partial,
    /// A word of Link's own: what became of a request.
    Note,
    /// What a branch came to.
    Merge,
}

impl MessageKind {
    /// Tells whether it is somebody's words.
    pub fn is_said(&self) -> bool {
        *self == Self::Said
    }
}

/// The most parts of one message.
pub const PARTS_MAX: usize = 32;
/// The most that one message mentions.
pub const MENTIONS_MAX: usize = 50;
/// The longest `@name`.
const HANDLE_LENGTH_MAX: usize = 64;

/// Returns the names after `@` in words, folded as [`handle`] folds them. What is inside of backquotes is no name.
pub fn handles(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut before, mut quoted) = (' ', false);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        quoted ^= c == '`';
        if c == '@' && !quoted && !(before.is_alphanumeric() || before == '_') {
            let name: String = rest.clone().take_while(|c| c.is_alphanumeric() || "-_.".contains(*c)).collect();
            let name = handle(&name);
            if !name.is_empty() && name.chars().count() <= HANDLE_LENGTH_MAX && found.len() < MENTIONS_MAX {
                found.insert(name);
            }
        }
        before = c;
    }
    found
}

/// Folds a name to what `@` finds it by: its letters and digits, in small letters. `Ada Lovelace` is `@adalovelace`,
/// and `@ada-lovelace` too.
pub fn handle(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Returns the words of a message.
pub fn words(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(&**text),
        _ => None,
    })
}

pub(super) fn decisions(parts: &[Part]) -> impl Iterator<Item = &Decision> {
    parts.iter().filter_map(|part| match part {
        Part::Decision { decision } => Some(decision),
        _ => None,
    })
}

/// Returns whom the parts name themselves.
pub(super) fn mentioned(parts: &[Part]) -> impl Iterator<Item = Principal> {
    parts.iter().filter_map(|part| match part {
        Part::Mention { principal } => Some(*principal),
        _ => None,
    })
}

pub(super) fn must_fit(parts: &[Part]) -> Result<(), Rejection> {
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(Rejection::Invalid { path: "parts", message: format!("1 to {PARTS_MAX} parts are needed") });
    }
    let unfit = |part: &Part| matches!(part, Part::Data { data } if scrubbed(data.clone()) != *data);
    if parts.iter().any(unfit) {
        return Err(Rejection::Invalid { path: "parts", message: "contains the character U+0000".into() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Vec<String> {
        handles(text).into_iter().collect()
    }

    #[test]
    fn names_are_found_after_an_at_that_begins_a_word() {
        assert_eq!(of("@Ada and (@ben), @ada-lovelace!"), ["ada", "adalovelace", "ben"]);
        assert_eq!(of("write to ada@example.org, `@ben`, @ or @@"), Vec::<String>::new());
        assert_eq!(of("@Zoë."), ["zoë"]);
    }

    proptest! {
        #[test]
        fn whatever_is_written_its_names_are_folded_and_few(text in "(@|`|[a-zA-Z.ß-]| ){0,400}") {
            let found = handles(&text);
            prop_assert!(found.len() <= MENTIONS_MAX);
            prop_assert!(found.iter().all(|name| !name.is_empty() && handle(name) == *name));
        }

        #[test]
        fn whoever_is_named_by_their_folded_name_is_found(name in "[A-Za-z]{1,20}( [A-Za-z]{1,20})?") {
            let text = format!("hello @{}, you", handle(&name));
            prop_assert!(handles(&text).contains(&handle(&name)));
        }
    }
}
