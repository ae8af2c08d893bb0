//! What a document's updates come to, in memory: the CRDT (Yjs, by way of yrs) and the places in it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use yrs::{
    Assoc, Doc, GetString, IndexedSequence, OffsetKind, Options, ReadTxn, StateVector, StickyIndex, Text as _, TextRef,
    Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

use crate::domain::{
    document::{Blob, Change},
    text::Prose,
};

/// The text that operations read and change; sockets may use others beside it.
pub const ROOT: &str = "content";

/// Why something cannot be done with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The bytes are no update.
    #[error("the update cannot be read")]
    Unreadable,
    /// The update goes with no document.
    #[error("the update cannot be merged")]
    Unmergeable,
    /// Merging the update ran into a bug, and the text in memory is worth nothing any more.
    #[error("the update breaks the text")]
    Broken,
    /// The words to replace are not there, or more than once.
    #[error("the words to find are there {0} times; they must be there once")]
    Ambiguous(usize),
    /// The place is not in the text.
    #[error("the place is not in the text, which has {0} UTF-16 code units")]
    Outside(u32),
    /// What was to be replaced is gone, or looks different.
    #[error("the text there has changed since")]
    Changed,
}

/// One change of the text that somebody asks for by an operation.
#[derive(Clone, Debug)]
pub enum Splice {
    /// Add words at the end.
    Append(String),
    /// Put words in the place of others, which are there once.
    Replace {
        /// The words.
        find: String,
        /// What shall be there.
        with: String,
    },
    /// Take something out at a place, and put words there.
    At {
        /// Where, in UTF-16 code units, as Yjs counts.
        at: u32,
        /// How much goes.
        delete: u32,
        /// What comes.
        insert: String,
    },
}

impl Splice {
    /// Returns what is added at the end, where that is all.
    fn appended(&self) -> Option<&str> {
        match self {
            Self::Append(words) => Some(words),
            Self::Replace { .. } | Self::At { .. } => None,
        }
    }
}

/// A document in memory.
pub struct Text {
    doc: Doc,
    root: TextRef,
}

impl Default for Text {
    fn default() -> Self {
        // Places are counted as in the browsers' Yjs.
        let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() });
        let root = doc.get_or_insert_text(ROOT);
        Self { doc, root }
    }
}

impl Text {
    /// Merges an update, and returns what of it was new: nothing when it was all known. Bytes from outside may run into
    /// a bug of the CRDT's; then the text is broken, and has to be made anew.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, TextError> {
        let decoded = catch_unwind(|| Update::decode_v1(bytes).ok()).ok().flatten();
        let update = decoded.ok_or(TextError::Unreadable)?;
        catch_unwind(AssertUnwindSafe(|| self.apply(update, bytes))).unwrap_or(Err(TextError::Broken))
    }

    fn apply(&mut self, update: Update, bytes: &[u8]) -> Result<Option<Vec<u8>>, TextError> {
        let mut tx = self.doc.transact_mut();
        let waited = tx.has_missing_updates();
        tx.apply_update(update).map_err(|_| TextError::Unmergeable)?;
        if waited || tx.has_missing_updates() {
            // It waits for another one, or another one waited for it: it is kept as it came.
            return Ok(Some(bytes.to_vec()));
        }
        Ok(tx.has_changes().then(|| tx.encode_update_v1()))
    }

    /// Returns what somebody lacks who has this much.
    pub fn missing(&self, known: &StateVector) -> Vec<u8> {
        self.doc.transact().encode_state_as_update_v1(known)
    }

    /// Returns how much there is.
    pub fn known(&self) -> StateVector {
        self.doc.transact().state_vector()
    }

    /// Returns everything, as one update.
    pub fn whole(&self) -> Vec<u8> {
        self.missing(&StateVector::default())
    }

    /// Returns the words.
    pub fn words(&self) -> String {
        self.root.get_string(&self.doc.transact())
    }

    /// Carries out changes one after another, all or none, and returns the update that they are.
    pub fn splice(&mut self, splices: &[Splice]) -> Result<Vec<u8>, TextError> {
        let appended: Option<Vec<&str>> = splices.iter().map(Splice::appended).collect();
        if let Some(appended) = appended {
            return Ok(self.append(&appended));
        }
        // Tried on the words first: a transaction of the CRDT cannot be taken back.
        let mut tried: Vec<u16> = self.words().encode_utf16().collect();
        let mut planned = vec![];
        for splice in splices {
            let (at, delete, insert) = place(&tried, splice)?;
            tried.splice(at..at + delete, insert.encode_utf16());
            planned.push((to_index(at), to_index(delete), insert.to_owned()));
        }
        let mut tx = self.doc.transact_mut();
        for (at, delete, insert) in planned {
            if delete > 0 {
                self.root.remove_range(&mut tx, at, delete);
            }
            if !insert.is_empty() {
                self.root.insert(&mut tx, at, &insert);
            }
        }
        Ok(tx.encode_update_v1())
    }

    /// Adds words at the end, however long the text is.
    fn append(&mut self, words: &[&str]) -> Vec<u8> {
        let mut tx = self.doc.transact_mut();
        for words in words.iter().filter(|words| !words.is_empty()) {
            self.root.push(&mut tx, words);
        }
        tx.encode_update_v1()
    }

    /// Describes changes by places that stay where they are while others write.
    pub fn describe(&self, splices: &[Splice]) -> Result<Vec<Change>, TextError> {
        let words: Vec<u16> = self.words().encode_utf16().collect();
        let tx = self.doc.transact();
        let mut changes = vec![];
        for splice in splices {
            let (at, delete, insert) = place(&words, splice)?;
            let sticky = |index: usize, assoc| {
                let found = self.root.sticky_index(&tx, to_index(index), assoc);
                found.map(|found| Blob(found.encode_v1())).ok_or(TextError::Outside(to_index(words.len())))
            };
            // Nobody's words between the two places but those that are to go.
            let (from, to) = match delete {
                0 => (sticky(at, Assoc::Before)?, sticky(at, Assoc::Before)?),
                _ => (sticky(at, Assoc::After)?, sticky(at + delete, Assoc::Before)?),
            };
            let removes = Prose::fitted(&String::from_utf16_lossy(&words[at..at + delete]));
            changes.push(Change { from, to, removes, inserts: Prose::fitted(insert) });
        }
        Ok(changes)
    }

    /// Turns a proposed change into one that can be carried out now.
    pub fn found(&self, change: &Change) -> Result<Splice, TextError> {
        let tx = self.doc.transact();
        let index = |place: &Blob| {
            let sticky = StickyIndex::decode_v1(&place.0).map_err(|_| TextError::Changed)?;
            sticky.get_offset(&tx).map(|offset| offset.index).ok_or(TextError::Changed)
        };
        let (from, to) = (index(&change.from)?, index(&change.to)?);
        let words: Vec<u16> = self.root.get_string(&tx).encode_utf16().collect();
        let there = words.get(from as usize..to as usize).ok_or(TextError::Changed)?;
        match String::from_utf16_lossy(there) == *change.removes {
            true => Ok(Splice::At { at: from, delete: to - from, insert: change.inserts.to_string() }),
            false => Err(TextError::Changed),
        }
    }
}

/// Finds where a change is to be made: from where, how much goes, what comes.
fn place<'s>(words: &[u16], splice: &'s Splice) -> Result<(usize, usize, &'s str), TextError> {
    match splice {
        Splice::Append(text) => Ok((words.len(), 0, text)),
        Splice::Replace { find, with } => {
            let wanted: Vec<u16> = find.encode_utf16().collect();
            let found: Vec<usize> = match wanted.len() {
                0 => vec![],
                n => words.windows(n).enumerate().filter(|(_, here)| *here == wanted).map(|(at, _)| at).collect(),
            };
            match found[..] {
                [at] => Ok((at, wanted.len(), with)),
                _ => Err(TextError::Ambiguous(found.len())),
            }
        }
        Splice::At { at, delete, insert } => {
            let (at, delete) = (*at as usize, *delete as usize);
            let inside = at.checked_add(delete).is_some_and(|end| end <= words.len());
            // Half of a character cannot stay behind.
            let whole = |index: usize| !words.get(index).is_some_and(|unit| (0xDC00..0xE000).contains(unit));
            match inside && whole(at) && whole(at + delete) {
                true => Ok((at, delete, insert)),
                false => Err(TextError::Outside(to_index(words.len()))),
            }
        }
    }
}

fn to_index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(words: &str) -> Text {
        let mut text = Text::default();
        text.splice(&[Splice::Append(words.into())]).unwrap();
        text
    }

    #[test]
    fn words_that_are_there_once_are_replaced_and_others_are_refused() {
        let mut text = text("a cat and a dog 🐧.");
        let replace = |find: &str, with: &str| Splice::Replace { find: find.into(), with: with.into() };
        assert_eq!(text.splice(&[replace("a ", "the ")]), Err(TextError::Ambiguous(2)));
        assert_eq!(text.splice(&[replace("cow", "bull")]), Err(TextError::Ambiguous(0)));
        assert_eq!(text.splice(&[replace("cat", "fox"), replace("cow", "bull")]), Err(TextError::Ambiguous(0)));
        assert_eq!(text.words(), "a cat and a dog 🐧.", "all or none");
        text.splice(&[replace("cat", "fox"), replace("🐧", "🦭"), Splice::Append("!".into())]).unwrap();
        assert_eq!(text.words(), "a fox and a dog 🦭.!");
        let half = Splice::At { at: 17, delete: 1, insert: String::new() };
        assert_eq!(text.splice(&[half]), Err(TextError::Outside(20)));
    }

    #[test]
    fn a_proposed_change_finds_its_place_while_others_write_and_notices_when_it_is_gone() {
        let mut text = text("salt and pepper");
        let proposed = text.describe(&[Splice::Replace { find: "salt".into(), with: "sugar".into() }]).unwrap();
        text.splice(&[Splice::At { at: 0, delete: 0, insert: "Take ".into() }, Splice::Append(".".into())]).unwrap();
        let splice = text.found(&proposed[0]).unwrap();
        text.splice(&[splice]).unwrap();
        assert_eq!(text.words(), "Take sugar and pepper.");
        assert_eq!(text.found(&proposed[0]).err(), Some(TextError::Changed));
    }

    #[test]
    fn what_is_no_update_is_refused_and_what_is_known_is_nothing_new() {
        let mut here = text("hello");
        assert_eq!(here.merge(&[255, 1, 2]), Err(TextError::Unreadable));
        assert_eq!(here.merge(&here.whole()).unwrap(), None);
        assert_eq!(here.merge(&[0, 0]).unwrap(), None);
        let mut there = Text::default();
        assert!(there.merge(&here.whole()).unwrap().is_some());
        assert_eq!(there.words(), "hello");
    }

    #[test]
    fn an_update_that_waits_for_another_is_kept_until_that_one_comes() {
        let mut from = Text::default();
        let updates: Vec<Vec<u8>> =
            ["a", "b", "c"].iter().map(|word| from.splice(&[Splice::Append((*word).into())]).unwrap()).collect();
        let mut to = Text::default();
        let kept: Vec<Vec<u8>> = [2, 1, 0].iter().filter_map(|n: &usize| to.merge(&updates[*n]).unwrap()).collect();
        assert_eq!((to.words().as_str(), kept.len()), ("abc", 3));
        let mut again = Text::default();
        kept.iter().for_each(|update| drop(again.merge(update).unwrap()));
        assert_eq!(again.words(), "abc", "what was kept is enough to come to the same");
    }

    proptest! {
        #[test]
        fn any_bytes_are_merged_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = text("hello").merge(&bytes);
        }

        #[test]
        fn texts_that_heard_the_same_say_the_same(
            edits in proptest::collection::vec((0..3usize, any::<u32>(), 0..4u32, "[a-z🐧]{0,4}"), 0..40),
        ) {
            let mut texts = [Text::default(), Text::default(), Text::default()];
            let mut updates: Vec<(usize, Vec<u8>)> = vec![];
            for (who, at, delete, insert) in edits {
                let length = to_index(texts[who].words().encode_utf16().count());
                let at = at % (length + 1);
                let splice = Splice::At { at, delete: delete.min(length - at), insert };
                if let Ok(update) = texts[who].splice(&[splice]) {
                    updates.push((who, update));
                }
            }
            let mut kept = Text::default();
            for (n, (who, update)) in updates.iter().enumerate() {
                let others = texts.iter_mut().enumerate().filter(|(other, _)| other != who);
                others.for_each(|(_, text)| drop(text.merge(update).unwrap()));
                // Another order, and twice.
                let (_, other) = &updates[updates.len() - 1 - n];
                kept.merge(other).unwrap();
                kept.merge(other).unwrap();
            }
            prop_assert_eq!(texts[0].words(), texts[1].words());
            prop_assert_eq!(texts[1].words(), texts[2].words());
            prop_assert_eq!(kept.words(), texts[0].words());
        }
    }
}
