//! Values from outside: bytes, depth, number and characters are checked before anyone looks at the meaning.
//!
//! JSON and MessagePack go through the same reading, so what one of them may not carry, the other may not either. No
//! length that the bytes merely promise is believed: memory is taken for what has been read.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::{
    actors::encoding::Encoding,
    api::problem::{self, Problem},
};

/// The most bytes of a body or a frame.
pub const BYTES_MAX: usize = 1 << 20;
/// The deepest nesting.
pub const DEPTH_MAX: usize = 64;
/// The most values in one body or frame, however they are nested: each takes many times its bytes in memory.
pub const VALUES_MAX: usize = 1 << 16;
/// Names that serde_json keeps for itself: it would take what is below them for something else.
const RESERVED: &str = "$serde_json::private::";

/// Reads a value.
pub fn parse(encoding: Encoding, bytes: &[u8]) -> Result<Value, Problem> {
    match encoding {
        Encoding::Json => json(bytes).map_err(|error| malformed("JSON", &error)),
        Encoding::MessagePack => message_pack(bytes).map_err(|error| malformed("MessagePack", &error)),
    }
}

fn malformed(what: &str, error: &dyn fmt::Display) -> Problem {
    Problem::new(problem::MALFORMED, format!("the {what} cannot be read: {error}"))
}

fn json(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = Bounded { depth: DEPTH_MAX, left: &Cell::new(VALUES_MAX) }.deserialize(&mut from)?;
    from.end()?;
    Ok(value)
}

fn message_pack(bytes: &[u8]) -> Result<Value, rmp_serde::decode::Error> {
    let mut from = rmp_serde::Deserializer::from_read_ref(bytes);
    let value = Bounded { depth: DEPTH_MAX, left: &Cell::new(VALUES_MAX) }.deserialize(&mut from)?;
    // The reader does not tell what is left: only at the end there is nothing to begin another value with.
    match <bool as serde::Deserialize>::deserialize(&mut from) {
        Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
        Ok(_) | Err(_) => Err(Error::custom("something follows the value")),
    }
}

/// Reads one value, and lets no more be in it than may be.
#[derive(Clone, Copy)]
struct Bounded<'a> {
    /// How much deeper it may go.
    depth: usize,
    /// How many more values there may be.
    left: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(E::custom(format_args!("it is nested more than {DEPTH_MAX} deep"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(D::Error::custom(format_args!("it holds more than {VALUES_MAX} values"))),
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, true, false, a number, a text, a list, or a map with texts for names")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Bool(is))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number is not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        match text.contains('\0') {
            true => Err(E::custom("a text holds U+0000")),
            false => Ok(Value::String(text)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut items = vec![];
        while let Some(item) = from.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut fields = Map::new();
        while let Some(name) = from.next_key_seed(Name)? {
            if fields.insert(name, from.next_value_seed(inside)?).is_some() {
                return Err(A::Error::custom("a name is given twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

/// Reads the name of a value in a map: a text, also where the encoding knows other keys.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<String, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Name {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text for a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<String, E> {
        if name.contains('\0') {
            return Err(E::custom("a name holds U+0000"));
        }
        if name.starts_with(RESERVED) {
            return Err(E::custom(format_args!("names that begin with {RESERVED} are reserved")));
        }
        Ok(name.to_owned())
    }
}
