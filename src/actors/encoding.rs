//! How frames are written: as JSON, or the same as MessagePack. What many sockets hear is written once for all of them,
//! as a whole frame of the WebSocket: a server's frames have no mask, so the bytes are the same for everyone.

use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;

/// A frame's first byte: its last piece, of text.
const TEXT: u8 = 0x81;
/// The same, of bytes.
const BINARY: u8 = 0x82;
/// The longest header of a frame without a mask.
const HEADER_MAX: usize = 10;

/// How the frames of a connection are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// JSON.
    Json,
    /// MessagePack: maps with names, ids and times as text, as in JSON.
    MessagePack,
}

impl Encoding {
    /// Writes a value.
    pub fn encode(self, value: &impl Serialize) -> Bytes {
        self.after(0, value).into()
    }

    /// Writes a whole frame of the WebSocket: the header, and the value as what it carries.
    pub fn frame(self, value: &impl Serialize) -> Bytes {
        let mut bytes = self.after(HEADER_MAX, value);
        let length = bytes.len() - HEADER_MAX;
        let first = if self == Self::Json { TEXT } else { BINARY };
        let (mut header, taken) = ([0; HEADER_MAX], header_length(length));
        header[0] = first;
        match taken {
            2 => header[1] = length as u8,
            4 => {
                header[1] = 126;
                header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                header[1] = 127;
                header[2..].copy_from_slice(&(length as u64).to_be_bytes());
            }
        }
        let begin = HEADER_MAX - taken;
        bytes[begin..HEADER_MAX].copy_from_slice(&header[..taken]);
        Bytes::from(bytes).slice(begin..)
    }

    /// Writes a value after some bytes that are left free.
    fn after(self, free: usize, value: &impl Serialize) -> Vec<u8> {
        let always = "a frame has names for keys, and memory takes all that is written";
        let mut bytes = Vec::with_capacity(free + 256);
        bytes.resize(free, 0);
        match self {
            Self::Json => serde_json::to_writer(&mut bytes, value).expect(always),
            Self::MessagePack => {
                let mut to = rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable();
                value.serialize(&mut to).expect(always);
            }
        }
        bytes
    }
}

fn header_length(length: usize) -> usize {
    match length {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => HEADER_MAX,
    }
}

/// The bytes of a frame, in each encoding made when they are first asked for, and then shared.
#[derive(Debug, Default)]
pub struct Encoded {
    json: OnceLock<Bytes>,
    message_pack: OnceLock<Bytes>,
}

impl Encoded {
    /// Returns the bytes of the whole frame, made by the first who asks.
    pub fn get_or_encode(&self, encoding: Encoding, value: &impl Serialize) -> Bytes {
        let bytes = match encoding {
            Encoding::Json => &self.json,
            Encoding::MessagePack => &self.message_pack,
        };
        bytes.get_or_init(|| encoding.frame(value)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_how_long_the_frame_is() {
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 0x12_3456_usize] {
            let text = "x".repeat(length.saturating_sub(2));
            let bytes = Encoding::Json.frame(&text);
            let carried = serde_json::to_vec(&text).unwrap();
            let header = &bytes[..bytes.len() - carried.len()];
            let said = match header {
                [TEXT, short @ 0..=125] => u64::from(*short),
                [TEXT, 126, length @ ..] => u64::from(u16::from_be_bytes(length.try_into().unwrap())),
                [TEXT, 127, length @ ..] => u64::from_be_bytes(length.try_into().unwrap()),
                other => panic!("{other:?}"),
            };
            assert_eq!(said as usize, carried.len());
            assert_eq!(bytes[header.len()..], carried);
        }
    }
}
