//! How frames are written: as JSON, or the same as MessagePack. What many sockets hear is written once for all of them.

use std::sync::OnceLock;

use bytes::Bytes;
use serde::Serialize;

/// How the frames of a connection are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// MessagePack: maps with names, ids and times as text, as in JSON.
    MessagePack,
}

impl Encoding {
    /// Writes a frame.
    pub fn encode(self, frame: &impl Serialize) -> Bytes {
        let always = "a frame has names for keys, and memory takes all that is written";
        match self {
            Self::Json => serde_json::to_vec(frame).expect(always).into(),
            Self::MessagePack => {
                let mut bytes = Vec::with_capacity(256);
                let mut to = rmp_serde::Serializer::new(&mut bytes).with_struct_map().with_human_readable();
                frame.serialize(&mut to).expect(always);
                bytes.into()
            }
        }
    }
}

/// The bytes of a frame, in each encoding made when they are first asked for, and then shared.
#[derive(Debug, Default)]
pub struct Encoded {
    json: OnceLock<Bytes>,
    message_pack: OnceLock<Bytes>,
}

impl Encoded {
    /// Returns the bytes, made by the first who asks.
    pub fn get_or_encode(&self, encoding: Encoding, frame: &impl Serialize) -> Bytes {
        let bytes = match encoding {
            Encoding::Json => &self.json,
            Encoding::MessagePack => &self.message_pack,
        };
        bytes.get_or_init(|| encoding.encode(frame)).clone()
    }
}
