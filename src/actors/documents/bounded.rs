//! Reads updates that came from outside, and refuses what would be too deep for whoever walks it: yrs reads values, drops
//! them and deletes nested types by functions that call themselves, and a stack that overflows ends the process.

use std::{collections::BTreeMap, sync::Arc};

use yrs::{
    Any, ClientID, ID, Update,
    encoding::read::{Cursor, Error, Read},
    updates::decoder::{Decode, Decoder},
};

/// How deep a value goes: arrays and maps within each other. As deep as any other door reads.
const VALUE_DEPTH_MAX: usize = 64;
/// How deep types go within each other, in a whole document.
pub(super) const TYPE_DEPTH_MAX: u32 = 128;
/// Clients whose changes one update from outside may have: yrs walks through those that have nothing left by a function
/// that calls itself, too.
pub(super) const CLIENTS_MAX: usize = 2_048;
/// Bytes of the stack that it may need for each, generously.
pub(super) const STACK_OF_CLIENT: usize = 2_048;

/// What was read.
pub(super) struct Read1 {
    pub update: Update,
    /// The longest chain of types within each other that it adds at most.
    pub types: u32,
    /// How many clients' changes it has.
    pub clients: usize,
}

/// Reads an update.
pub(super) fn read(bytes: &[u8]) -> Result<Read1, Error> {
    let mut decoder = Bounded { cursor: Cursor::new(bytes), seen: Seen::default() };
    let update = Update::decode(&mut decoder)?;
    let clients = decoder.seen.clients;
    Ok(Read1 { update, types: decoder.seen.types()?, clients })
}

/// The first version of the encoding, as yrs reads it.
struct Bounded<'a> {
    cursor: Cursor<'a>,
    seen: Seen,
}

impl Bounded<'_> {
    fn read_id(&mut self) -> Result<ID, Error> {
        let client = self.cursor.read_var::<u64>()?;
        Ok(ID::new(ClientID::new(client), self.cursor.read_var()?))
    }

    /// What comes next, without taking it.
    fn peek<T: yrs::encoding::varint::VarInt>(&self) -> Result<T, Error> {
        Cursor { buf: self.cursor.buf, next: self.cursor.next }.read_var()
    }
}

impl Read for Bounded<'_> {
    fn read_u8(&mut self) -> Result<u8, Error> {
        self.cursor.read_u8()
    }

    fn read_exact(&mut self, len: usize) -> Result<&[u8], Error> {
        self.cursor.read_exact(len)
    }

    fn read_string(&mut self) -> Result<&str, Error> {
        let text = self.cursor.read_string()?;
        self.seen.string(text);
        Ok(text)
    }
}

impl Decoder for Bounded<'_> {
    fn reset_ds_cur_val(&mut self) {}

    fn read_ds_clock(&mut self) -> Result<u32, Error> {
        self.cursor.read_var()
    }

    fn read_ds_len(&mut self) -> Result<u32, Error> {
        self.cursor.read_var()
    }

    fn read_left_id(&mut self) -> Result<ID, Error> {
        let id = self.read_id()?;
        self.seen.left(id);
        Ok(id)
    }

    fn read_right_id(&mut self) -> Result<ID, Error> {
        let id = self.read_id()?;
        self.seen.beside(id);
        Ok(id)
    }

    fn read_client(&mut self) -> Result<ClientID, Error> {
        let client = ClientID::new(self.cursor.read_var::<u64>()?);
        // The clock of the first block follows.
        let clock = self.peek()?;
        self.seen.client(client, clock)?;
        Ok(client)
    }

    fn read_info(&mut self) -> Result<u8, Error> {
        let info = self.cursor.read_u8()?;
        self.seen.block(info)?;
        if info == SKIP {
            let len = self.peek()?;
            self.seen.len(len);
        }
        Ok(info)
    }

    fn read_parent_info(&mut self) -> Result<bool, Error> {
        let named = self.cursor.read_var::<u32>()? == 1;
        self.seen.parent_follows = !named;
        Ok(named)
    }

    fn read_type_ref(&mut self) -> Result<u8, Error> {
        self.seen.is_type();
        self.cursor.read_u8()
    }

    fn read_len(&mut self) -> Result<u32, Error> {
        let len = self.cursor.read_var()?;
        self.seen.len(len);
        Ok(len)
    }

    fn read_any(&mut self) -> Result<Any, Error> {
        skip_value(&mut Cursor { buf: self.cursor.buf, next: self.cursor.next }, VALUE_DEPTH_MAX)?;
        Any::decode(&mut self.cursor)
    }

    fn read_json(&mut self) -> Result<Any, Error> {
        // Its reader has a limit of its own.
        Any::from_json(self.cursor.read_string()?)
    }

    fn read_key(&mut self) -> Result<Arc<str>, Error> {
        Ok(self.cursor.read_string()?.into())
    }

    fn read_to_end(&mut self) -> Result<&[u8], Error> {
        Ok(self.cursor.buf.get(self.cursor.next..).unwrap_or_default())
    }
}

/// Walks over a value; refuses one that is too deep, or says that it has more parts than there are bytes.
fn skip_value(cursor: &mut Cursor, depth: usize) -> Result<(), Error> {
    let (parts, named) = match cursor.read_u8()? {
        120 | 121 | 126 | 127 => return Ok(()),
        125 => return cursor.read_var::<i64>().map(|_| ()),
        124 => return cursor.read_exact(4).map(|_| ()),
        122 | 123 => return cursor.read_exact(8).map(|_| ()),
        116 | 119 => return cursor.read_buf().map(|_| ()),
        117 => (cursor.read_var::<usize>()?, false),
        118 => (cursor.read_var::<usize>()?, true),
        _ => return Err(Error::UnexpectedValue),
    };
    if depth == 0 || parts > cursor.buf.len() - cursor.next {
        return Err(Error::UnexpectedValue);
    }
    for _ in 0..parts {
        if named {
            cursor.read_buf()?;
        }
        skip_value(cursor, depth - 1)?;
    }
    Ok(())
}

const GC: u8 = 0;
const SKIP: u8 = 10;
/// Which bits of a block's first byte say what it has.
const CONTENT: u8 = 0b1111;
const JSON: u8 = 2;
const STRING: u8 = 4;

/// One block, as far as it matters where it is.
#[derive(Clone, Copy)]
struct Block {
    info: u8,
    client: ClientID,
    clock: u32,
    len: u32,
    is_type: bool,
    parent: Option<ID>,
    /// What stands left and right of it has the same parent.
    beside: [Option<ID>; 2],
}

/// The blocks of an update.
#[derive(Default)]
struct Seen {
    blocks: Vec<Block>,
    /// The one that is being read.
    open: Option<Block>,
    at: Option<(ClientID, u32)>,
    clients: usize,
    parent_follows: bool,
}

impl Seen {
    fn client(&mut self, client: ClientID, clock: u32) -> Result<(), Error> {
        self.close()?;
        self.clients += 1;
        self.at = Some((client, clock));
        Ok(())
    }

    fn block(&mut self, info: u8) -> Result<(), Error> {
        self.close()?;
        let (client, clock) = self.at.ok_or(Error::UnexpectedValue)?;
        self.parent_follows = false;
        self.open = Some(Block { info, client, clock, len: 1, is_type: false, parent: None, beside: [None; 2] });
        Ok(())
    }

    /// Notes that a block ends here: the next one is behind it.
    fn close(&mut self) -> Result<(), Error> {
        let Some(block) = self.open.take() else { return Ok(()) };
        let end = block.clock.checked_add(block.len).ok_or(Error::UnexpectedValue)?;
        self.at = Some((block.client, end));
        // What has no length is left out by yrs, too.
        if block.len > 0 && !matches!(block.info, GC | SKIP) {
            self.blocks.push(block);
        }
        Ok(())
    }

    fn left(&mut self, id: ID) {
        let is_parent = std::mem::take(&mut self.parent_follows);
        if let Some(block) = &mut self.open {
            match is_parent {
                true => block.parent = Some(id),
                false => block.beside[0] = Some(id),
            }
        }
    }

    fn beside(&mut self, id: ID) {
        if let Some(block) = &mut self.open {
            block.beside[1] = Some(id);
        }
    }

    fn len(&mut self, len: u32) {
        if let Some(block) = &mut self.open {
            // That many and one are read by yrs.
            let more = u32::from(block.info & CONTENT == JSON);
            block.len = len.saturating_add(more);
        }
    }

    /// The last string of a block of text is the text.
    fn string(&mut self, text: &str) {
        if let Some(block) = self.open.as_mut().filter(|block| block.info & CONTENT == STRING && block.info != SKIP) {
            block.len = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
        }
    }

    fn is_type(&mut self) {
        self.open.iter_mut().for_each(|block| block.is_type = true);
    }

    /// Returns the longest chain of types within each other. What is not in the update counts as being nowhere.
    fn types(mut self) -> Result<u32, Error> {
        self.close()?;
        if !self.blocks.iter().any(|block| block.is_type) {
            return Ok(0);
        }
        let at = self.blocks.iter().enumerate().map(|(n, block)| ((block.client, block.clock), n));
        let by_id: BTreeMap<(ClientID, u32), usize> = at.collect();
        // Two blocks at one place: no client writes that.
        let mut last: Option<(ClientID, u32)> = None;
        for ((client, clock), n) in &by_id {
            if last.is_some_and(|(before, end)| before == *client && end > *clock) {
                return Err(Error::UnexpectedValue);
            }
            last = Some((*client, clock + self.blocks[*n].len));
        }
        if by_id.len() < self.blocks.len() {
            return Err(Error::UnexpectedValue);
        }
        let find = |id: &ID| {
            let (_, n) = by_id.range(..=(id.client, id.clock)).next_back()?;
            let block = &self.blocks[*n];
            (block.client == id.client && id.clock - block.clock < block.len).then_some(*n)
        };
        Ok(longest(&self.blocks, find))
    }
}

/// Follows each block to what it is in, without a function that calls itself. What is in itself gets nowhere.
fn longest(blocks: &[Block], find: impl Fn(&ID) -> Option<usize>) -> u32 {
    let mut depths: Vec<Option<u32>> = vec![None; blocks.len()];
    let mut entered = vec![false; blocks.len()];
    let mut deepest = 0;
    for first in 0..blocks.len() {
        let mut path = vec![first];
        while let Some(&n) = path.last() {
            if depths[n].is_some() {
                path.pop();
                continue;
            }
            let block = &blocks[n];
            let beside = block.beside.iter().flatten().filter_map(&find).map(|other| (other, 0));
            let inside = block.parent.iter().filter_map(&find).map(|other| (other, 1));
            let before: Vec<(usize, u32)> = inside.chain(beside).collect();
            if !std::mem::replace(&mut entered[n], true) {
                path.extend(before.iter().map(|(other, _)| *other).filter(|other| !entered[*other]));
                continue;
            }
            let depth = before.iter().filter_map(|(other, more)| Some(depths[*other]? + more)).max().unwrap_or(0);
            depths[n] = Some(depth);
            deepest = deepest.max(depth + u32::from(block.is_type));
            path.pop();
        }
    }
    deepest
}
