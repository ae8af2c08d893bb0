//! Prints answers: JSON as it came, or tables of what people look for.

use std::io::{ErrorKind, Write};

use clap::ArgMatches;
use serde_json::Value;

use super::{error::Error, narrator::Narrator, paint::Paint};

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Aligned columns.
    Table,
    /// JSON, one document per answer or line.
    Json,
}

/// Columns that come first, in this order.
const FIRST: &[&str] = &[
    "id",
    "user_id",
    "identifier",
    "key",
    "seq",
    "name",
    "title",
    "type",
    "email",
    "role",
    "status",
    "availability",
    "runtime",
    "priority",
    "assignee",
    "progress",
    "phase",
    "author",
    "parts",
    "healthy",
    "cause",
];
/// Fields that only the view of a single thing shows.
const ONLY_ALONE: &[&str] = &[
    "workspace_id",
    "version",
    "rank",
    "number",
    "created_by",
    "created_at",
    "updated_at",
    "joined_at",
    "description",
    "instructions",
    "content",
    "delegator",
    "review",
    "round",
    "output",
    "max_concurrency",
    "owner_id",
    "posted_at",
    "recorded_at",
    "conversation_id",
    "project_id",
    "parent_id",
];
/// The widest cell of a table with several rows.
const CELL_MAX: usize = 48;

impl Format {
    /// Reads the flag.
    pub fn of(matches: &ArgMatches) -> Self {
        match matches.get_one::<String>("output").map(String::as_str) {
            Some("json") => Self::Json,
            _ => Self::Table,
        }
    }
}

/// Prints an answer.
pub(super) fn answer(body: &Value, format: Format) -> Result<(), Error> {
    if format == Format::Json {
        return write(&format!("{body:#}\n"));
    }
    if let Some(events) = body["events"].as_array() {
        let mut narrator = Narrator::new(Paint::detect());
        return events.iter().try_for_each(|event| narrator.event(event));
    }
    if let Some(columns) = body["columns"].as_array() {
        let tasks = columns.iter().filter_map(|column| column["tasks"].as_array()).flatten();
        return write(&rows(&tasks.collect::<Vec<_>>()));
    }
    match body["items"].as_array() {
        Some(items) => {
            write(&rows(&items.iter().collect::<Vec<_>>()))?;
            match &body["next_cursor"] {
                Value::Null => Ok(()),
                cursor => write(&format!("more: --cursor {}\n", plain(cursor))),
            }
        }
        None => write(&single(body)),
    }
}

/// Writes to standard output; a reader that has gone away ends the command quietly.
pub(super) fn write(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Error::Closed),
        Err(error) => Err(anyhow::Error::new(error).context("writing to standard output").into()),
    }
}

/// Returns a value in words, on one line.
pub(super) fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    };
    // Control characters of others' texts must not reach the terminal.
    let shown = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    shown.collect::<String>().trim_end().to_owned()
}

/// Cuts a text to a width.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn rows(items: &[&Value]) -> String {
    let Some(first) = items.first().and_then(|item| item.as_object()) else { return "none\n".into() };
    let is_scalar = |name: &str| {
        items.iter().all(|item| {
            !item[name].is_object() && item[name].as_array().is_none_or(|list| list.iter().all(Value::is_string))
        })
    };
    let says_something = |name: &str| items.iter().any(|item| !matches!(plain(&item[name]).as_str(), "-" | ""));
    let known = FIRST.iter().copied().filter(|name| first.contains_key(*name));
    let others = first.keys().map(String::as_str).filter(|name| !FIRST.contains(name));
    let columns = known.chain(others).filter(|name| !ONLY_ALONE.contains(name));
    let columns: Vec<&str> = columns.filter(|name| is_scalar(name) && says_something(name)).collect();
    let header = columns.iter().map(|name| name.to_uppercase()).collect();
    let cells = items.iter().map(|item| columns.iter().map(|name| cut(&plain(&item[*name]), CELL_MAX)).collect());
    aligned(std::iter::once(header).chain(cells).collect())
}

fn single(body: &Value) -> String {
    let Some(fields) = body.as_object() else { return format!("{}\n", plain(body)) };
    let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_by_key(|name| rank(name));
    let mut lines = vec![];
    for name in names {
        match &fields[name] {
            Value::Array(items) if items.iter().any(Value::is_object) => {
                lines.extend(items.iter().map(|item| vec![name.to_owned(), item.to_string()]));
            }
            Value::Object(inner) => {
                lines.extend(inner.iter().map(|(field, value)| vec![format!("{name}.{field}"), plain(value)]));
            }
            value => lines.push(vec![name.to_owned(), plain(value)]),
        }
    }
    aligned(lines)
}

fn aligned(lines: Vec<Vec<String>>) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_becomes_aligned_columns() {
        let items = [
            json!({"version": 1, "title": "Paint", "id": "1", "status": "ready", "phase": null, "x": {"y": 1}}),
            json!({"version": 2, "title": "Shed the\nleaves", "id": "22", "status": "done", "phase": null, "x": null}),
        ];
        let table = rows(&items.iter().collect::<Vec<_>>());
        assert_eq!(table, "ID  TITLE            STATUS\n1   Paint            ready\n22  Shed the leaves  done\n");
        assert_eq!(rows(&[]), "none\n");
    }

    #[test]
    fn one_thing_becomes_lines() {
        let text = single(&json!({"zeta": true, "id": "1", "user": {"name": "Ada"}, "empty": []}));
        assert_eq!(text, "id         1\nempty      -\nuser.name  Ada\nzeta       true\n");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        assert_eq!(plain(&json!("a\u{1b}[31mb\r\n")), "a [31mb");
    }
}
