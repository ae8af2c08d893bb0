//! The description of the operations: whole, and readable without the internet.

use std::collections::BTreeSet;

use link::api::table;
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
            assert!(operation["responses"]["default"].is_object(), "{name} says nothing of problems");
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
    let page = answer.text().await.unwrap();
    for elsewhere in ["http://", "https://", "\"//", "'//", "@import", "url("] {
        assert!(!page.contains(elsewhere), "the page needs {elsewhere}");
    }
    assert!(page.contains("/api/v1/openapi.json"));
    node.node.stop().await;
}
