//! Text with a length, so that a value that exists is a value that fits.

use std::{borrow::Cow, fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Text of `MIN` to `MAX` characters, without NUL, with something to see in it where `MIN` is above zero.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MIN: usize, const MAX: usize>(String);

/// A name or a title.
pub type Title = Text<1, 200>;
/// A description, instructions, a comment: Markdown.
pub type Prose = Text<0, 65_536>;
/// One message's text.
pub type Words = Text<1, 65_536>;
/// A short machine-made or machine-read word: a skill, a label, a name of a runtime.
pub type Label = Text<1, 64>;

/// Why a text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadText {
    /// Fewer characters than allowed.
    #[error("is too short: at least {0} character(s), not only white space, needed")]
    TooShort(usize),
    /// More characters than allowed.
    #[error("is too long: at most {0} characters")]
    TooLong(usize),
    /// Holds U+0000, which the database cannot store.
    #[error("contains the character U+0000")]
    Nul,
}

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// Checks and keeps the text.
    pub fn new(text: impl Into<String>) -> Result<Self, BadText> {
        let text = text.into();
        if text.contains('\0') {
            return Err(BadText::Nul);
        }
        if !is_long_enough(&text, MIN) {
            return Err(BadText::TooShort(MIN));
        }
        if text.len() > MAX && text.chars().count() > MAX {
            return Err(BadText::TooLong(MAX));
        }
        Ok(Self(text))
    }

    /// Keeps what fits: for text that comes from an agent, which is kept rather than refused.
    pub fn fitted(text: &str) -> Self {
        let mut kept: String = text.chars().filter(|c| *c != '\0').take(MAX).collect();
        if !is_long_enough(&kept, MIN) {
            kept = "-".repeat(MIN);
        }
        Self(kept)
    }
}

/// Tells whether there are so many characters, and one of them can be seen.
fn is_long_enough(text: &str, length_min: usize) -> bool {
    let invisible = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    length_min == 0 || (text.chars().nth(length_min - 1).is_some() && !text.chars().all(invisible))
}

/// The same as a pattern, and that U+0000 is nowhere. It means the same to every engine: what `\s` matches besides is
/// named.
fn pattern(length_min: usize) -> &'static str {
    match length_min {
        0 => r"^[^\u0000]*$",
        _ => r"^[^\u0000]*[^\s\u0000-\u001f\u007f-\u009f\ufeff][^\u0000]*$",
    }
}

impl<const MIN: usize, const MAX: usize> TryFrom<String> for Text<MIN, MAX> {
    type Error = BadText;
    fn try_from(text: String) -> Result<Self, BadText> {
        Self::new(text)
    }
}
impl<const MIN: usize, const MAX: usize> From<Text<MIN, MAX>> for String {
    fn from(text: Text<MIN, MAX>) -> Self {
        text.0
    }
}
impl<const MIN: usize, const MAX: usize> Default for Text<MIN, MAX> {
    fn default() -> Self {
        Self::fitted("")
    }
}
impl<const MIN: usize, const MAX: usize> Deref for Text<MIN, MAX> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}
impl<const MIN: usize, const MAX: usize> fmt::Display for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<const MIN: usize, const MAX: usize> fmt::Debug for Text<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl<const MIN: usize, const MAX: usize> JsonSchema for Text<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Text_{MIN}_{MAX}").into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": MIN, "maxLength": MAX, "pattern": pattern(MIN)})
    }
}

/// Keeps what the database can store, up to so many characters: for an agent's words that are no [`Text`].
pub fn storable(text: &str, length_max: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(length_max).collect()
}

/// Takes U+0000, which the database cannot store, out of every string of a value.
pub fn scrubbed(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as V;
    match value {
        V::String(text) if text.contains('\0') => V::String(text.replace('\0', "")),
        V::Array(items) => V::Array(items.into_iter().map(scrubbed).collect()),
        V::Object(fields) => {
            V::Object(fields.into_iter().map(|(name, value)| (name.replace('\0', ""), scrubbed(value))).collect())
        }
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_exists_fits() {
        assert_eq!(Text::<1, 3>::new("abcd"), Err(BadText::TooLong(3)));
        assert_eq!(Text::<1, 3>::new("  "), Err(BadText::TooShort(1)));
        assert_eq!(Text::<1, 3>::new("a\0"), Err(BadText::Nul));
        assert_eq!(Text::<1, 3>::new("\u{feff}\u{85}"), Err(BadText::TooShort(1)));
        assert_eq!(Text::<3, 9>::new(" a"), Err(BadText::TooShort(3)));
        assert_eq!(&*Text::<3, 9>::new(" a ").unwrap(), " a ");
        assert_eq!(&*Text::<1, 3>::new("äöü").unwrap(), "äöü");
        assert_eq!(&*Text::<1, 3>::fitted("a\0bcde"), "abc");
    }
}
