//! Prints answers: JSON as it came, or tables of what people look for.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{ErrorKind, Write},
};

use clap::ArgMatches;
use serde_json::{Map, Value};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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

    /// Finds the flag in a command line that cannot be parsed.
    pub fn asked_in(words: &[OsString]) -> Self {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let pair = words.windows(2).any(|pair| ["-o", "--output"].contains(&&*pair[0]) && pair[1] == "json");
        let one = words.iter().any(|word| ["-ojson", "-o=json", "--output=json"].contains(&&**word));
        if pair || one { Self::Json } else { Self::Table }
    }
}

/// Prints an answer.
pub(super) fn answer(body: &Value, format: Format) -> Result<(), Error> {
    if format == Format::Json {
        return write(&format!("{body:#}\n"));
    }
    if let Some(events) = body["events"].as_array() {
        let mut narrator = Narrator::new(Paint::detect());
        events.iter().try_for_each(|event| narrator.event(event))?;
        if events.is_empty() {
            note("none");
        }
        return Ok(());
    }
    if let Some(columns) = body["columns"].as_array() {
        let tasks = columns.iter().filter_map(|column| column["tasks"].as_array()).flatten();
        return listed(&tasks.collect::<Vec<_>>());
    }
    let Some(items) = body["items"].as_array() else { return write(&single(body)) };
    listed(&items.iter().collect::<Vec<_>>())?;
    if let Some(cursor) = body["next_cursor"].as_str() {
        note(&format!("more: --cursor {}", plain(&cursor.into())));
    }
    Ok(())
}

/// Prints a list; what is not a row of it goes to standard error, so that lines can be counted.
fn listed(items: &[&Value]) -> Result<(), Error> {
    if items.is_empty() {
        note("none");
        return Ok(());
    }
    write(&rows(items))
}

/// Says something beside the answer, on standard error; whether anybody listens does not matter.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
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
    let text = words(value).unwrap_or_else(|| value.to_string());
    // Characters of others' texts that steer a terminal, or turn the direction of what follows, must not reach it.
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = text.chars().map(|c| if steers(c) { ' ' } else { c });
    shown.collect::<String>().trim_end().to_owned()
}

/// Returns what people call a value; `None` where only JSON says it.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".into()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) if items.is_empty() => Some("-".into()),
        Value::Array(items) => {
            let part = |item: &Value| item.as_str().or(item["text"].as_str()).map(str::to_owned);
            items.iter().map(part).collect::<Option<Vec<_>>>().map(|texts| texts.join(" "))
        }
        Value::Object(_) => None,
    }
}

/// Returns what stands for an object where there is room for one word only.
fn label(value: &Value) -> Option<String> {
    let name = ["name", "title", "identifier", "email", "id"].into_iter().find_map(|field| value[field].as_str());
    words(value).or(name.map(str::to_owned))
}

/// Cuts a text to a width, in columns of a terminal.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let rest = left.checked_sub(c.width().unwrap_or(0));
        left = rest.unwrap_or(left);
        rest.is_some()
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

fn rows(items: &[&Value]) -> String {
    if !items.iter().all(|item| item.is_object()) {
        return items.iter().map(|item| format!("{}\n", plain(item))).collect();
    }
    let names: BTreeSet<&str> =
        items.iter().filter_map(|item| item.as_object()).flatten().map(|(name, _)| &**name).collect();
    let cell = |item: &Value, name: &str| label(&item[name]).map(|text| plain(&text.into()));
    let can_be_told = |name: &str| items.iter().all(|item| cell(item, name).is_some());
    let says_something =
        |name: &str| items.iter().any(|item| cell(item, name).is_some_and(|text| !["-", ""].contains(&&*text)));
    let known = FIRST.iter().copied().filter(|name| names.contains(name));
    let others = names.iter().copied().filter(|name| !FIRST.contains(name));
    let columns = known.chain(others).filter(|name| !ONLY_ALONE.contains(name));
    let columns: Vec<&str> = columns.filter(|name| can_be_told(name) && says_something(name)).collect();
    let header = columns.iter().map(|name| name.to_uppercase()).collect();
    let line = |item: &Value| {
        columns.iter().map(|name| cut(&cell(item, name).unwrap_or_default(), CELL_MAX)).collect::<Vec<_>>()
    };
    aligned(std::iter::once(header).chain(items.iter().map(|item| line(item))).collect())
}

/// One thing: its fields line by line, then its lists of things as tables of their own.
fn single(body: &Value) -> String {
    let Some(fields) = body.as_object() else { return format!("{}\n", plain(body)) };
    let rank = |name: &str| FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
    let mut names: Vec<&str> = fields.keys().map(String::as_str).collect();
    names.sort_by_key(|name| rank(name));
    let (mut lines, mut tables) = (vec![], String::new());
    for name in names {
        match &fields[name] {
            Value::Object(inner) => flattened(name, inner, &mut lines),
            Value::Array(items) if words(&fields[name]).is_none() => {
                tables.push_str(&format!("\n{name}\n{}", rows(&items.iter().collect::<Vec<_>>())));
            }
            value => lines.push(vec![name.to_owned(), plain(value)]),
        }
    }
    aligned(lines) + &tables
}

fn flattened(path: &str, fields: &Map<String, Value>, lines: &mut Vec<Vec<String>>) {
    if fields.is_empty() {
        lines.push(vec![path.to_owned(), "-".to_owned()]);
    }
    for (name, value) in fields {
        let path = format!("{path}.{name}");
        match value {
            Value::Object(inner) => flattened(&path, inner, lines),
            value => lines.push(vec![path, plain(value)]),
        }
    }
}

fn aligned(lines: Vec<Vec<String>>) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded = |(cell, width): (&String, &usize)| format!("{cell}{}", " ".repeat(width - cell.width()));
        let cells = line.iter().zip(&widths).map(padded);
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
    }

    #[test]
    fn a_list_tells_names_and_words_of_what_is_nested() {
        let items = [
            json!({"id": "1", "parts": [{"type": "text", "text": "hello"}], "agent": {"id": "9", "name": "Scribe"}}),
            json!({"id": "2", "parts": [], "agent": null}),
        ];
        let table = rows(&items.iter().collect::<Vec<_>>());
        assert_eq!(table, "ID  PARTS  AGENT\n1   hello  Scribe\n2   -      -\n");
        assert_eq!(rows(&[&json!("a"), &json!(2)]), "a\n2\n");
    }

    #[test]
    fn wide_characters_keep_the_columns_straight() {
        let items = [json!({"name": "月面基地", "status": "ready"}), json!({"name": "e\u{301}", "status": "done"})];
        let table = rows(&items.iter().collect::<Vec<_>>());
        assert_eq!(table, "NAME      STATUS\n月面基地  ready\ne\u{301}         done\n");
        assert_eq!(
            (cut("月面基地", 8), cut("月面基地", 7), cut("月面基地", 6)),
            ("月面基地".into(), "月面基…".into(), "月面…".into())
        );
    }

    #[test]
    fn one_thing_becomes_lines() {
        let text = single(&json!({"zeta": true, "id": "1", "user": {"name": "Ada"}, "empty": []}));
        assert_eq!(text, "id         1\nempty      -\nuser.name  Ada\nzeta       true\n");
        let text = single(&json!({"id": "1", "a": {"b": {"c": 1}, "d": {}}, "instances": [{"id": "2", "url": "x"}]}));
        assert_eq!(text, "id     1\na.b.c  1\na.d    -\n\ninstances\nID  URL\n2   x\n");
    }

    #[test]
    fn nothing_that_steers_a_terminal_is_printed() {
        assert_eq!(plain(&json!("a\u{1b}[31mb\r\n")), "a [31mb");
        assert_eq!(plain(&json!("a\u{202e}b")), "a b");
        assert_eq!(plain(&json!({"a": "\u{9b}"})), "{\"a\":\" \"}");
    }

    #[test]
    fn json_is_recognised_in_a_command_line_that_is_wrong() {
        let format = |line: &str| Format::asked_in(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for line in ["link x -o json", "link -ojson x", "link --output=json", "link --output json"] {
            assert_eq!(format(line), Format::Json, "{line}");
        }
        assert_eq!(format("link x -o table --title json"), Format::Table);
    }
}
