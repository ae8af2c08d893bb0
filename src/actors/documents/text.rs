//! What a document's updates come to, in memory: the CRDT (Yjs, by way of yrs) and the places in it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use yrs::{
    Any, Assoc, Doc, GetString, IdSet, IndexedSequence, OffsetKind, Options, Out, ReadTxn, StateVector, StickyIndex,
    Text as _, TextRef, Transact, TransactionMut, Update,
    types::text::YChange,
    updates::{decoder::Decode, encoder::Encode},
};

use crate::domain::{
    document::{Blob, Change},
    text::Prose,
};

use super::bounded::{self, CLIENTS_MAX, Read1, STACK_OF_CLIENT, TYPE_DEPTH_MAX};

/// The text that operations read and change; sockets may use others beside it.
pub const ROOT: &str = "content";

/// Why something cannot be done with a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The bytes are no update.
    #[error("the update cannot be read")]
    Unreadable,
    /// The update has types deeper within each other than can be walked safely, or is of too many clients.
    #[error("the update goes too deep, or is of too many clients")]
    TooDeep,
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
    /// What a proposal would take out cannot be written down in it.
    #[error("a proposed change takes out at most 65536 characters, none of them U+0000")]
    TooMuch,
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

/// What stands in a text for something in it that is no character: a picture, a table, a mention.
const OBJECT: u16 = 0xFFFC;

/// A document in memory.
pub struct Text {
    doc: Doc,
    root: TextRef,
    /// How deep types are within each other at most.
    depth: u32,
    /// How much deeper that may become by what waits for another update.
    waiting: u32,
    /// Of how many clients that is at most.
    clients_waiting: usize,
}

impl Default for Text {
    fn default() -> Self {
        // Places are counted as in the browsers' Yjs.
        let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() });
        let root = doc.get_or_insert_text(ROOT);
        Self { doc, root, depth: 0, waiting: 0, clients_waiting: 0 }
    }
}

impl Text {
    /// Merges an update, and returns what of it was new: nothing when it was all known. Bytes from outside may run into
    /// a bug of the CRDT's; then the text is broken, and has to be made anew.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, TextError> {
        self.merge_read(read(bytes)?, bytes)
    }

    /// The same for what comes in by a socket.
    pub fn merge_message(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, TextError> {
        let read = read(bytes)?;
        if read.clients > CLIENTS_MAX {
            return Err(TextError::TooDeep);
        }
        self.merge_read(read, bytes)
    }

    fn merge_read(&mut self, read: Read1, bytes: &[u8]) -> Result<Option<Vec<u8>>, TextError> {
        let clients = read.clients.saturating_add(self.clients_waiting);
        let apply = || catch_unwind(AssertUnwindSafe(|| self.apply(read, bytes))).unwrap_or(Err(TextError::Broken));
        if clients <= CLIENTS_MAX {
            return apply();
        }
        // A whole document of many clients: yrs goes as deep as there are clients, so the stack is made for them.
        let stack = std::thread::Builder::new().stack_size(clients.saturating_mul(STACK_OF_CLIENT));
        std::thread::scope(|scope| match stack.spawn_scoped(scope, apply) {
            Ok(merging) => merging.join().unwrap_or(Err(TextError::Broken)),
            Err(_) => Err(TextError::TooDeep),
        })
    }

    fn apply(&mut self, read: Read1, bytes: &[u8]) -> Result<Option<Vec<u8>>, TextError> {
        let Read1 { update, types, clients } = read;
        self.must_not_be_deeper(types, bytes)?;
        let mut tx = self.doc.transact_mut();
        let waited = waiting(&tx);
        let beyond_a_hole = leaves_a_hole(&tx, &update);
        tx.apply_update(update).map_err(|_| TextError::Unmergeable)?;
        if waiting(&tx) != waited {
            // It waits for another one, or another one waited for it: it is kept as it came.
            self.waiting = self.waiting.saturating_add(types);
            self.clients_waiting = self.clients_waiting.saturating_add(clients);
            if !tx.has_missing_updates() {
                self.clients_waiting = 0;
                self.depth = self.depth.saturating_add(std::mem::take(&mut self.waiting));
            }
            return Ok(Some(bytes.to_vec()));
        }
        self.depth = self.depth.saturating_add(types);
        Ok(match tx.has_changes() {
            false => None,
            // What comes after a hole is not in what the transaction says of itself.
            true if beyond_a_hole => Some(bytes.to_vec()),
            true => Some(tx.encode_update_v1()),
        })
    }

    /// Refuses an update by which types would be too deep within each other. How deep they are is added up, and only
    /// looked at when that comes to too much.
    fn must_not_be_deeper(&mut self, types: u32, bytes: &[u8]) -> Result<(), TextError> {
        if types.saturating_add(self.depth).saturating_add(self.waiting) <= TYPE_DEPTH_MAX {
            return Ok(());
        }
        let both = yrs::merge_updates_v1([self.whole().as_slice(), bytes]).map_err(|_| TextError::Unreadable)?;
        let depth = bounded::read(&both).map_err(|_| TextError::Unreadable)?.types;
        if depth > TYPE_DEPTH_MAX {
            return Err(TextError::TooDeep);
        }
        self.depth = depth;
        Ok(())
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

    /// Returns the words as the CRDT counts them: with something in the place of everything that is no character.
    fn units<T: ReadTxn>(&self, tx: &T) -> Result<Vec<u16>, TextError> {
        let mut units = vec![];
        for piece in self.root.diff(tx, YChange::identity) {
            match piece.insert {
                Out::Any(Any::String(words)) => units.extend(words.encode_utf16()),
                _ => units.push(OBJECT),
            }
        }
        // Words that were put in as one thing look like others, and count otherwise.
        let length = self.root.len(tx);
        if to_index(units.len()) == length { Ok(units) } else { Err(TextError::Outside(length)) }
    }

    /// Carries out changes one after another, all or none, and returns the update that they are.
    pub fn splice(&mut self, splices: &[Splice]) -> Result<Vec<u8>, TextError> {
        let appended: Option<Vec<&str>> = splices.iter().map(Splice::appended).collect();
        if let Some(appended) = appended {
            return Ok(self.append(&appended));
        }
        // Tried on the words first: a transaction of the CRDT cannot be taken back.
        let mut tried = self.units(&self.doc.transact())?;
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
        let tx = self.doc.transact();
        let words = self.units(&tx)?;
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
            let taken = String::from_utf16_lossy(&words[at..at + delete]);
            let removes = Prose::fitted(&taken);
            if *removes != *taken {
                return Err(TextError::TooMuch);
            }
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
        let words = self.units(&tx)?;
        let there = words.get(from as usize..to as usize).ok_or(TextError::Changed)?;
        match String::from_utf16_lossy(there) == *change.removes {
            true => Ok(Splice::At { at: from, delete: to - from, insert: change.inserts.to_string() }),
            false => Err(TextError::Changed),
        }
    }
}

fn read(bytes: &[u8]) -> Result<Read1, TextError> {
    catch_unwind(|| bounded::read(bytes).ok()).ok().flatten().ok_or(TextError::Unreadable)
}

/// What waits for another update: changes, and what is to go.
type Waiting = (Option<Vec<u8>>, Option<IdSet>);

fn waiting(tx: &TransactionMut) -> Waiting {
    let store = ReadTxn::store(tx);
    (store.pending_update().map(|pending| pending.update.encode_v1()), store.pending_ds().cloned())
}

/// Tells whether something of an update comes after changes of the same client that are not here.
fn leaves_a_hole(tx: &TransactionMut, update: &Update) -> bool {
    let known = tx.state_vector();
    update.insertions(true).iter().any(|(client, blocks)| {
        let mut reached = known.get(client);
        blocks.iter().any(|blocks| {
            let hole = blocks.start > reached;
            reached = reached.max(blocks.end);
            hole
        })
    })
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
mod tests;
