//! The description of the operations: whole, and readable without the internet.

use std::{collections::BTreeSet, path::Path};

use link::api::{openapi, table};
use serde_json::Value;

use crate::support::{node::TestNode, person::http};

/// Hands every value inside a value on.
fn walk(value: &Value, seen: &mut impl FnMut(&Value)) {
    seen(value);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, seen)),
        Value::Object(fields) => fields.values().for_each(|item| walk(item, seen)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_whole_and_every_reference_in_it_leads_somewhere() {
    let node = TestNode::start().await;
    let answer = http().get(format!("{}/api/v1/openapi.json", node.url)).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document: Value = answer.json().await.expect("it is JSON");
    assert_eq!(document["openapi"], "3.1.0");
    let mut references = 0;
    walk(&document, &mut |value| {
        if let Some(path) = value.get("$ref").and_then(Value::as_str) {
            references += 1;
            let pointer = path.strip_prefix('#').unwrap_or_else(|| panic!("{path} leads out of the document"));
            assert!(document.pointer(pointer).is_some(), "{path} leads nowhere");
        }
    });
    assert!(references > 50, "only {references} references");

    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("there are methods") {
            let name = operation["operationId"].as_str().expect("an operation has a name");
            assert!(names.insert(name.to_owned()), "{name} is described twice");
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 10), "{name} has no summary");
            for status in ["400", "429", "500", "503"] {
                assert!(operation["responses"][status].is_object(), "{name} says nothing of {status}");
            }
            let closed = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
            assert_eq!(
                closed,
                operation["responses"]["401"].is_object() && operation["x-permission"]["name"] != "public"
            );
            let parameters = operation["parameters"].as_array().expect("there may be none");
            for field in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let known = |it: &&Value| it["name"] == field && it["in"] == "path" && it["required"] == true;
                assert_eq!(parameters.iter().filter(known).count(), 1, "{method} {path}: {field}");
            }
        }
    }
    let declared: BTreeSet<String> = table().operations().iter().map(|operation| operation.name.to_owned()).collect();
    assert_eq!(names, declared);
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docs_need_nothing_from_elsewhere() {
    let node = TestNode::start().await;
    let answer = http().get(format!("{}/docs", node.url)).send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text().await.unwrap();
    let mut files = vec![page.clone()];
    for part in page.split("=\"/docs/").skip(1) {
        let name = part.split('"').next().unwrap();
        let answer = http().get(format!("{}/docs/{name}", node.url)).send().await.unwrap();
        assert!(answer.status().is_success(), "{name}");
        assert_eq!(answer.headers()["content-security-policy"], *policy);
        files.push(answer.text().await.unwrap());
    }
    assert_eq!(files.len(), 3, "a page, a style and a script");
    for file in files {
        for elsewhere in ["http://", "https://", "\"//", "'//", "@import", " url(", "innerHTML", "<script>", "style="] {
            assert!(!file.contains(elsewhere), "the page needs {elsewhere}");
        }
    }
    assert!(page.contains("/api/v1/openapi.json"));
    node.node.stop().await;
}

fn committed() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let text = std::fs::read_to_string(&path).expect("the description is committed");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn a_breaking_change_of_the_description_needs_a_new_version() {
    let (old, new) = (committed(), openapi::document(&table()));
    let breaking = openapi::changes(&old, &new).into_iter().filter(|change| change.breaking);
    let breaking: Vec<String> = breaking.map(|change| format!("  {} {}", change.place, change.what)).collect();
    assert!(
        breaking.is_empty() || openapi::version_was_raised(&old, &new),
        "clients of {} break:\n{}\nKeep what they rely on, or raise `version` in Cargo.toml to a new minor version (a \
         major one from 1.0 on).",
        old["info"]["version"],
        breaking.join("\n"),
    );
}

#[test]
fn the_committed_description_is_the_one_that_is_served() {
    let (old, new) = (committed(), openapi::document(&table()));
    if old == new {
        return;
    }
    let changes = openapi::changes(&old, &new);
    let changes: Vec<String> = changes.iter().map(|change| format!("  {} {}", change.place, change.what)).collect();
    panic!(
        "docs/openapi.json is older than the code:\n{}\nAfter a look at it: `cargo run -- openapi > /tmp/openapi.json && \
         mv /tmp/openapi.json docs/`",
        changes.join("\n")
    );
}
