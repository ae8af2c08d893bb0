//! The documents say what the code does: every event, metric and setting is in them.

use std::path::Path;

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every event of the code, with the names of its fields, as the source declares them.
fn events() -> Vec<(String, Vec<String>)> {
    let source = ["conversation", "document", "mod", "task", "webhook", "workspace"]
        .map(|file| text(&format!("src/domain/event/{file}.rs")))
        .concat();
    let declared = source.split("#[serde(rename = \"").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once("\")]")?;
        let (_, rest) = rest.split_once('{')?;
        // An event without fields has nothing between its braces.
        let body = if rest.starts_with('}') { "" } else { rest.split("\n    }").next()? };
        let fields = body.lines().map(str::trim).filter(|line| !line.starts_with(['/', '#', '}']));
        let fields = fields.filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned()));
        name.contains(':').then(|| (name.to_owned(), fields.collect()))
    });
    declared.collect()
}

#[test]
fn every_event_and_every_field_of_it_is_documented() {
    let page = text("docs/events.md");
    let events = events();
    assert!(events.len() > 50, "only {} events were found in the source", events.len());
    for (name, fields) in events {
        let section = page.split(&format!("### `{name}`\n")).nth(1);
        let section = section.unwrap_or_else(|| panic!("docs/events.md says nothing about `{name}`"));
        let section = section.split("\n#").next().unwrap();
        for field in fields {
            assert!(section.contains(&format!("| `{field}` |")), "docs/events.md: `{name}` lacks the field `{field}`");
        }
    }
}

#[test]
fn no_event_is_documented_that_does_not_exist() {
    let known: Vec<String> = events().into_iter().map(|(name, _)| name).collect();
    for line in text("docs/events.md").lines() {
        if let Some(name) = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) {
            assert!(known.iter().any(|event| event == name), "`{name}` is documented and does not exist");
        }
    }
}

#[test]
fn the_table_of_roles_is_the_one_of_the_code() {
    use link::domain::{
        permission::{Permission, Permissions},
        workspace::Role,
    };
    let page = text("docs/access.md");
    let columns = [Role::Guest, Role::Member, Role::Admin, Role::Owner].map(Role::permissions);
    let columns = [columns.as_slice(), &[Permissions::OF_AGENTS]].concat();
    for permission in Role::Owner.permissions().iter() {
        let has = |set: &Permissions| set.contains(permission) || permission == Permission::Enter;
        let cells: String = columns.iter().map(|set| if has(set) { " yes |" } else { " |" }).collect();
        let row = format!("| `{}` |{cells} ", permission.name());
        assert!(page.contains(&row), "docs/access.md lacks the row {row}");
    }
}

#[test]
fn every_metric_is_documented() {
    let page = text("docs/operations.md");
    for (name, kind, meaning) in link::telemetry::METRICS {
        let row = format!("| `{name}` | {kind} | {meaning} |");
        assert!(page.contains(&row), "docs/operations.md lacks the row {row}");
    }
}

#[test]
fn every_error_code_is_documented() {
    assert_eq!(text("docs/errors.md"), link::api::problem::page(), "`cargo run -- openapi --errors > docs/errors.md`");
}

#[test]
fn every_setting_is_documented() {
    let (page, readme, file) = (text("docs/operations.md"), text("README.md"), text("cluster.toml"));
    let source = text("src/config.rs");
    let names =
        source.split('"').filter(|name| name.starts_with("LINK_") || *name == "DATABASE_URL" || *name == "RUST_LOG");
    for name in names {
        for (document, text) in [("docs/operations.md", &page), ("README.md", &readme), ("cluster.toml", &file)] {
            assert!(text.contains(name), "{document} says nothing about {name}");
        }
    }
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (document, base) in [
        ("README.md", ""),
        ("ARCHITECTURE.md", ""),
        ("docs/operations.md", "docs"),
        ("docs/events.md", "docs"),
        ("docs/access.md", "docs"),
        ("docs/recovery.md", "docs"),
    ] {
        let text = text(document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http") && !target.starts_with('#')) {
            let path = root.join(base).join(target.split('#').next().unwrap());
            assert!(path.exists(), "{document} leads to {target}, which does not exist");
        }
    }
}

#[test]
fn every_source_file_that_a_page_names_exists() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut known, mut folders) = (vec![], vec![src]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                known.push(format!("/{}", path.display()));
            }
        }
    }
    for page in ["ARCHITECTURE.md", "README.md", "docs/adr/0001-one-writer-per-workspace.md"] {
        let text = text(page);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || "_./".contains(c)));
        for file in words.filter(|word| word.ends_with(".rs") && word.len() > 3) {
            let tail = format!("/{}", file.trim_start_matches("src/"));
            assert!(known.iter().any(|path| path.ends_with(&tail)), "{page} names {file}, which does not exist");
        }
    }
}
