//! Messages that are orders: `/penguin` and what is to be done. Other words after a slash are words.

use super::Part;

/// A task that a message asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Its first line; may be empty.
    pub title: String,
    /// The rest.
    pub description: String,
}

/// Reads a message as an order.
pub fn order(parts: &[Part]) -> Option<Order> {
    let Some(Part::Text { text }) = parts.first() else { return None };
    let rest = text.trim_start().strip_prefix("/penguin")?;
    if rest.chars().next().is_some_and(|c| !c.is_whitespace()) {
        return None;
    }
    let (title, first) = rest.trim_start().split_once('\n').unwrap_or((rest.trim_start(), ""));
    let more = super::words(&parts[1..]);
    let description: Vec<&str> = std::iter::once(first).chain(more).map(str::trim).collect();
    Some(Order { title: title.trim().to_owned(), description: description.join("\n\n").trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::Words;

    fn of(text: &str) -> Option<(String, String)> {
        let parts = [Part::Text { text: Words::fitted(text) }];
        order(&parts).map(|order| (order.title, order.description))
    }

    #[test]
    fn an_order_is_a_title_and_a_description() {
        let read = |title: &str, description: &str| Some((title.to_owned(), description.to_owned()));
        assert_eq!(of("/penguin Write it\nin two lines\nof text"), read("Write it", "in two lines\nof text"));
        assert_eq!(of(" /penguin\tWrite it "), read("Write it", ""));
        assert_eq!(of("/penguin\nWrite it"), read("Write it", ""));
        assert_eq!(of("/penguin"), read("", ""));
        for words in ["/penguins Write", "penguin Write", "please /penguin", "/shrug", "/"] {
            assert_eq!(of(words), None, "{words}");
        }
    }
}
