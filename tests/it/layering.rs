//! Who may import whom, and what may be where: read from the sources themselves.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use link::api::{Caller, table};
use tracing::{Subscriber, field::Visit, span};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt};

use crate::support::{matrix::World, node::TestNode, person::http};

/// A layer: what it may import beside itself, and what its files must not contain.
struct Rule {
    layer: &'static str,
    may_import: &'static [&'static str],
    must_not_contain: &'static [&'static str],
}

const IO: &[&str] = &[
    "tokio::",
    "sqlx::",
    "ractor::",
    "axum::",
    "reqwest::",
    "tracing::",
    "metrics::",
    "Utc::now",
    "SystemTime",
    "Clock",
    "async fn",
    ".await",
];

const RULES: &[Rule] = &[
    Rule { layer: "domain", may_import: &[], must_not_contain: IO },
    Rule { layer: "persistence", may_import: &["domain"], must_not_contain: &["ractor::", "axum::"] },
    Rule { layer: "agents", may_import: &["domain"], must_not_contain: &["sqlx::", "ractor::", "axum::"] },
    Rule { layer: "cluster", may_import: &["domain", "persistence"], must_not_contain: &["axum::"] },
    Rule { layer: "oidc", may_import: &["config"], must_not_contain: &["sqlx::", "ractor::", "axum::", "Clock"] },
    Rule {
        layer: "actors",
        may_import: &["domain", "persistence", "agents", "cluster", "clock"],
        must_not_contain: &["axum::"],
    },
    Rule {
        layer: "api",
        may_import: &["domain", "actors", "persistence", "oidc", "clock"],
        must_not_contain: &["axum::", "ActorRef"],
    },
    // Of the domain the doors know the names of things, and no rule.
    Rule {
        layer: "transport",
        may_import: &["api", "actors", "domain"],
        must_not_contain: &["ActorRef", "sqlx::", "decide(", ".apply("],
    },
    Rule { layer: "clock", may_import: &[], must_not_contain: &["tokio::", "sqlx::", "axum::"] },
    Rule { layer: "config", may_import: &[], must_not_contain: &["tokio::", "sqlx::", "axum::"] },
    Rule { layer: "telemetry", may_import: &[], must_not_contain: &["tokio::", "sqlx::", "axum::"] },
];
/// They put everything together; nobody imports them.
const ROOTS: &[&str] = &["node", "main", "lib", "cli", "demo"];

/// A file is one idea. These are one idea and longer: all that can happen to a task is one enumeration.
const LINES_MAX: usize = 400;
const LONG: &[(&str, usize)] = &[("domain/event/task.rs", 680)];

/// Every source file, without its tests and comments.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], vec![]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("the sources are there").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") && name != "tests.rs" {
                let text = fs::read_to_string(&path).expect("sources are text");
                files.push((path.strip_prefix(&root).expect("it is below").to_owned(), text));
            }
        }
    }
    assert!(files.len() > 50, "only {} files", files.len());
    files
}

fn code(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn layer(path: &Path) -> String {
    let first = path.components().next().expect("a path has a beginning").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules right below the crate that a text names.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if !rest.starts_with('{') {
            found.insert(word(rest));
            continue;
        }
        let (mut depth, mut begins) = (0, false);
        for (at, c) in rest.char_indices() {
            if depth == 1 && begins && !c.is_whitespace() {
                found.insert(word(&rest[at..]));
                begins = false;
            }
            match c {
                '{' => (depth, begins) = (depth + 1, depth == 0),
                '}' if depth == 1 => break,
                '}' => depth -= 1,
                ',' if depth == 1 => begins = true,
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn every_layer_imports_only_what_is_below_it() {
    assert_eq!(imports("use crate::{\n a::{b, c},\n d,\n};\ncrate::e::f()"), ["a", "d", "e"].map(str::to_owned).into());
    for (path, text) in sources() {
        let layer = layer(&path);
        if ROOTS.contains(&layer.as_str()) {
            continue;
        }
        let rule = RULES.iter().find(|rule| rule.layer == layer);
        let rule = rule.unwrap_or_else(|| panic!("{}: say what {layer} may import", path.display()));
        for import in imports(&code(&text)) {
            let fine = import == layer || rule.may_import.contains(&import.as_str());
            assert!(fine, "{} imports {import}", path.display());
        }
    }
}

#[test]
fn nothing_is_where_it_does_not_belong() {
    let sql = ["sqlx::query", "\"SELECT ", "\"INSERT INTO ", "\"UPDATE ", "\"DELETE FROM ", "\"WITH ", "\"CREATE "];
    for (path, text) in sources() {
        let (layer, code) = (layer(&path), code(&text));
        let rule = RULES.iter().find(|rule| rule.layer == layer);
        for banned in rule.into_iter().flat_map(|rule| rule.must_not_contain) {
            assert!(!code.contains(banned), "{} contains {banned}", path.display());
        }
        for words in sql.iter().filter(|_| layer != "persistence") {
            assert!(!code.contains(words), "{} contains SQL: {words}", path.display());
        }
    }
}

#[test]
fn a_file_is_one_idea_and_says_which() {
    for (path, text) in sources() {
        let name = path.to_string_lossy().into_owned();
        let lines = text.lines().count();
        match LONG.iter().find(|(known, _)| *known == name) {
            None => assert!(lines <= LINES_MAX, "{name} has {lines} lines: split it"),
            Some((_, most)) => {
                assert!(lines <= *most, "{name} grew from {most} to {lines} lines: split it");
                assert!(lines > LINES_MAX, "{name} is short by now: take it out of the list");
            }
        }
        assert!(text.starts_with("//!"), "{name} does not say what it is");
    }
}

#[test]
fn no_source_names_the_machine_that_it_was_written_on() {
    for (path, text) in sources() {
        for place in [env!("CARGO_MANIFEST_DIR"), "/Users/", "/workspace/", "file:///"] {
            assert!(!text.contains(place), "{} names {place}", path.display());
        }
    }
}

/// Remembers the operations whose span was opened.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<BTreeSet<String>>>);

impl<S: Subscriber> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "api.operation" {
            attributes.record(&mut self.clone());
        }
    }
}

impl Visit for Spans {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "operation" {
            self.0.lock().expect("nobody panicked").insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

#[tokio::test]
async fn every_operation_leaves_a_span_and_a_metric() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let spans = Spans::default();
    let watching = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    let table = table();
    for operation in table.operations() {
        let identity = node.node.api().identify(&world.person.token).await.ok();
        let caller = Caller { identity, trace: "0".repeat(32), ..Caller::default() };
        // Whether it succeeds does not matter.
        let _ = node.node.api().call(operation.name, caller, world.input(operation).into()).await;
    }
    drop(watching);
    let metrics = http().get(format!("{}/metrics", node.url)).send().await.unwrap().text().await.unwrap();
    for operation in table.operations() {
        assert!(spans.0.lock().unwrap().contains(operation.name), "{} has no span", operation.name);
        for metric in ["link_operations_total", "link_operation_seconds_count"] {
            let line = format!("{metric}{{operation=\"{}\"", operation.name);
            assert!(metrics.contains(&line), "{line} is missing");
        }
    }
    node.node.stop().await;
}
