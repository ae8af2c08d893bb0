//! Each way to break a client is noticed, and each way to help one is no break.

use serde_json::{Value, json};

use super::{changes, version_was_raised};

fn document() -> Value {
    json!({
        "info": {"version": "0.1.0"},
        "paths": {"/tasks/{task_id}": {
            "post": {
                "operationId": "tasks.make",
                "security": [],
                "parameters": [
                    {"name": "task_id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}},
                    {"name": "limit", "in": "query", "required": false, "schema": {"type": "integer", "maximum": 200}},
                ],
                "requestBody": {"required": false, "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["title"],
                    "properties": {
                        "title": {"type": "string", "minLength": 1, "maxLength": 200},
                        "priority": {"$ref": "#/components/schemas/Priority"},
                        "note": {"anyOf": [{"$ref": "#/components/schemas/Note"}, {"type": "null"}]},
                        "labels": {"type": "array", "items": {"type": "string", "maxLength": 64}, "maxItems": 8},
                    },
                }}}},
                "responses": {
                    "201": {
                        "headers": {"Link-Offset": {"$ref": "#/components/headers/Link-Offset"}},
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TaskView"}}},
                    },
                    "409": {"$ref": "#/components/responses/Problem409"},
                },
            },
        }},
        "components": {"schemas": {
            "Priority": {"type": "string", "enum": ["low", "high"]},
            "Note": {"type": "object", "properties": {"text": {"type": "string"}}},
            "TaskView": {
                "type": "object",
                "required": ["id", "status", "parts"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "status": {"oneOf": [{"type": "string", "const": "open"}, {"type": "string", "const": "done"}]},
                    "parent": {"type": ["string", "null"]},
                    "parts": {"type": "array", "items": {"$ref": "#/components/schemas/TaskView"}},
                },
            },
        }},
        "x-error-codes": [{"code": "busy", "status": 409}],
    })
}

const OPERATION: &str = "/paths/~1tasks~1{task_id}/post";
const BODY: &str = "/paths/~1tasks~1{task_id}/post/requestBody/content/application~1json/schema";
const TASK: &str = "/components/schemas/TaskView";

/// What happens when the value at a pointer becomes another one; `null` takes it out.
fn after(pointer: &str, value: Value) -> (bool, String) {
    let (old, mut new) = (document(), document());
    let (parent, name) = pointer.rsplit_once('/').expect("it is a pointer");
    let name = name.replace("~1", "/");
    let parent = new.pointer_mut(parent).unwrap_or_else(|| panic!("{parent} leads nowhere"));
    match parent {
        Value::Object(fields) if value.is_null() => drop(fields.remove(&name).expect("it is there")),
        Value::Object(fields) => drop(fields.insert(name, value)),
        Value::Array(items) if value.is_null() => drop(items.remove(name.parse().expect("it is a number"))),
        Value::Array(items) => items.insert(name.parse::<usize>().expect("it is a number").min(items.len()), value),
        _ => panic!("{pointer} leads into nothing"),
    }
    let found = changes(&old, &new);
    assert!(!found.is_empty(), "nothing was noticed of {pointer}");
    let what = found.iter().map(|change| format!("{}: {}", change.place, change.what)).collect::<Vec<_>>().join("\n");
    (found.iter().any(|change| change.breaking), what)
}

#[test]
fn nothing_changed_where_nothing_changed() {
    assert_eq!(changes(&document(), &document()), []);
    let mut words = document();
    words["paths"]["/tasks/{task_id}"]["post"]["summary"] = json!("Other words.");
    words["components"]["schemas"]["TaskView"]["description"] = json!("Other words.");
    assert_eq!(changes(&document(), &words), []);
}

#[test]
fn each_break_is_noticed() {
    let breaks = [
        // operations and paths
        ("/paths/~1tasks~1{task_id}".to_owned(), json!(null)),
        (format!("{OPERATION}/operationId"), json!("tasks.other")),
        (format!("{OPERATION}/security"), json!([{"bearer": []}])),
        // parameters
        (format!("{OPERATION}/parameters/1"), json!(null)),
        (format!("{OPERATION}/parameters/2"), json!({"name": "q", "in": "query", "required": true, "schema": {}})),
        (format!("{OPERATION}/parameters/1/required"), json!(true)),
        (format!("{OPERATION}/parameters/1/schema/maximum"), json!(100)),
        (format!("{OPERATION}/parameters/1/schema/minimum"), json!(1)),
        (format!("{OPERATION}/parameters/1/schema/type"), json!("string")),
        // the body
        (format!("{OPERATION}/requestBody"), json!(null)),
        (format!("{OPERATION}/requestBody/required"), json!(true)),
        (format!("{BODY}/properties/labels"), json!(null)),
        (format!("{BODY}/properties/labels/maxItems"), json!(4)),
        (format!("{BODY}/properties/labels/items/maxLength"), json!(8)),
        (format!("{BODY}/properties/labels/items/pattern"), json!("^a")),
        (format!("{BODY}/properties/title/minLength"), json!(2)),
        (format!("{BODY}/properties/title/format"), json!("email")),
        (format!("{BODY}/properties/title/type"), json!("integer")),
        (format!("{BODY}/required/1"), json!("labels")),
        (format!("{BODY}/additionalProperties"), json!(false)),
        (format!("{BODY}/properties/note/anyOf/1"), json!(null)),
        ("/components/schemas/Priority/enum/0".into(), json!(null)),
        ("/components/schemas/Note/properties/text/type".into(), json!("integer")),
        // what is answered
        (format!("{OPERATION}/responses/201"), json!(null)),
        (format!("{OPERATION}/responses/200"), json!({"description": "Done."})),
        (format!("{OPERATION}/responses/201/headers/Link-Offset"), json!(null)),
        (format!("{TASK}/properties/parent"), json!(null)),
        (format!("{TASK}/properties/id/type"), json!(["string", "null"])),
        (format!("{TASK}/properties/id/format"), json!(null)),
        (format!("{TASK}/properties/status/oneOf/0"), json!(null)),
        (format!("{TASK}/properties/parts/items"), json!({"type": "string"})),
        (format!("{TASK}/required/0"), json!(null)),
        // codes
        ("/x-error-codes/0".into(), json!(null)),
        ("/x-error-codes/0/status".into(), json!(429)),
    ];
    for (pointer, value) in breaks {
        let (breaking, what) = after(&pointer, value.clone());
        assert!(breaking, "{pointer} = {value} was taken for harmless:\n{what}");
    }
}

#[test]
fn what_adds_breaks_nobody() {
    let additions = [
        ("/paths/~1others".to_owned(), json!({"get": {"operationId": "others.list"}})),
        (format!("{OPERATION}/parameters/2"), json!({"name": "q", "in": "query", "required": false, "schema": {}})),
        (format!("{OPERATION}/parameters/1/schema/maximum"), json!(500)),
        (format!("{OPERATION}/parameters/1/schema/maximum"), json!(null)),
        (format!("{BODY}/properties/other"), json!({"type": "string"})),
        (format!("{BODY}/properties/title/maxLength"), json!(400)),
        (format!("{BODY}/properties/title/type"), json!(["string", "null"])),
        (format!("{BODY}/required"), json!(null)),
        ("/components/schemas/Priority/enum/2".into(), json!("urgent")),
        (format!("{TASK}/properties/other"), json!({"type": "string"})),
        (format!("{TASK}/properties/parent/type"), json!("string")),
        (format!("{TASK}/properties/status/oneOf/2"), json!({"type": "string", "const": "lost"})),
        (format!("{TASK}/required/3"), json!("parent")),
        ("/x-error-codes/1".into(), json!({"code": "lost", "status": 410})),
    ];
    for (pointer, value) in additions {
        let (breaking, what) = after(&pointer, value.clone());
        assert!(!breaking, "{pointer} = {value} was taken for a break:\n{what}");
    }
}

#[test]
fn only_a_new_line_of_versions_allows_a_break() {
    let version = |text: &str| json!({"info": {"version": text}});
    let raised = |old, new| version_was_raised(&version(old), &version(new));
    assert!(raised("0.1.0", "0.2.0") && raised("0.9.3", "1.0.0") && raised("1.4.0", "2.0.0"));
    assert!(!raised("0.1.0", "0.1.1") && !raised("1.4.0", "1.5.0") && !raised("1.0.0", "0.9.0"));
    assert!(!raised("0.2.0", "0.1.0") && !raised("0.1.0", "soon"));
}
