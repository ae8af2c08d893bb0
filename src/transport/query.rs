//! Queries of addresses: each field once, every escape whole, valid UTF-8. What is unclear is refused, not guessed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::api::problem::{self, Problem};

/// Reads the fields of a query; those that are no text are read as JSON.
pub fn fields(query: &str, typed: &BTreeSet<String>) -> Result<Map<String, Value>, Problem> {
    let mut fields = Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, text) = (decoded(name)?, decoded(text)?);
        let value = match typed.contains(&name) {
            // What is absent is left out, so `null` is a text like others; and no field is a fraction.
            true => serde_json::from_str(&text)
                .ok()
                .filter(|value: &Value| !value.is_null() && !value.is_f64())
                .unwrap_or(text.into()),
            false => Value::String(text),
        };
        if fields.insert(name.clone(), value).is_some() {
            return Err(Problem::field(name, "is given twice"));
        }
    }
    Ok(fields)
}

/// Returns a text with its escapes resolved.
pub fn decoded(text: &str) -> Result<String, Problem> {
    let malformed = |why| Problem::new(problem::MALFORMED, format!("the query {why}"));
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => escaped(&mut bytes).ok_or_else(|| malformed("holds a % without two hexadecimal digits"))?,
            byte => byte,
        });
    }
    let plain = String::from_utf8(plain).map_err(|_| malformed("is not valid UTF-8"))?;
    if plain.contains('\0') {
        return Err(malformed("holds U+0000"));
    }
    Ok(plain)
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let mut digit = || char::from(bytes.next()?).to_digit(16);
    let (high, low) = (digit()?, digit()?);
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_exactly_or_not_at_all() {
        let typed = ["limit".to_owned()].into();
        let read = |query| fields(query, &typed).map(Value::Object).map_err(|problem| problem.code);
        assert_eq!(read("q=a+b%26c&limit=3&x"), Ok(serde_json::json!({"q": "a b&c", "limit": 3, "x": ""})));
        assert_eq!(read("q=%C3%A4&&"), Ok(serde_json::json!({"q": "ä"})));
        for bad in ["q=%", "q=%4", "q=%zz", "q=%+1", "q=%ff", "q=%00", "%ff=1"] {
            assert_eq!(read(bad), Err("malformed".into()), "{bad}");
        }
        assert_eq!(read("limit=1&limit=2"), Err("invalid_input".into()));
    }
}
