//! One operation: its parameters, its body, and everything that it may answer.

use serde_json::{Map, Value, json};

use crate::{
    api::{
        call::KEY_LENGTH_MAX,
        table::{Kind, Method, Operation},
    },
    domain::{permission::Permission, workspace::Role},
};

use super::{
    examples, header_references, response_name,
    schemas::{Schemas, without_null},
};

/// Describes an operation.
pub(super) fn describe(schemas: &mut Schemas, operation: &Operation) -> Value {
    let input = schemas.input(operation.input);
    let output = schemas.output(operation.output);
    let public = operation.permission == Permission::Public;
    let mut described = json!({
        "operationId": operation.name,
        "tags": [operation.router()],
        "summary": operation.doc,
        "parameters": parameters(schemas, operation, &input),
        "responses": responses(operation, output),
        "security": if public { json!([]) } else { json!([{"bearer": []}]) },
        "x-permission": needed(operation),
        "x-error-codes": operation.refusals().iter().map(|code| code.name).collect::<Vec<_>>(),
    });
    if let Some(body) = body(schemas, operation, input) {
        described["requestBody"] = body;
    }
    described
}

/// What a caller needs: the permission's name, and the least role that has it.
fn needed(operation: &Operation) -> Value {
    let roles = [Role::Guest, Role::Member, Role::Admin, Role::Owner];
    let mut enough = roles.into_iter().filter(|role| role.permissions().contains(operation.permission));
    // Outside of a workspace nobody has a role.
    let least = operation.scope.and_then(|_| enough.next());
    json!({"name": operation.permission, "role": least})
}

/// Where a field of the input stands: everything that is neither in the path nor in a body is in the query.
fn place(operation: &Operation, field: &str) -> Option<&'static str> {
    match operation.method {
        _ if operation.path_fields().any(|known| known == field) => Some("path"),
        Method::Get | Method::Delete => Some("query"),
        Method::Post | Method::Patch => None,
    }
}

fn required(input: &Value) -> Vec<&str> {
    input.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn fields(input: &Value) -> impl Iterator<Item = (&String, &Value)> {
    input.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn parameters(schemas: &Schemas, operation: &Operation, input: &Value) -> Vec<Value> {
    let needed = required(input);
    let mut parameters: Vec<Value> = vec![];
    for (name, schema) in fields(input) {
        let Some(place) = place(operation, name) else { continue };
        let mut schema = schema.clone();
        without_null(&mut schema);
        let words = schema.as_object_mut().and_then(|fields| fields.remove("description"));
        let style = if place == "path" { "simple" } else { "form" };
        let mut parameter = json!({
            "name": name, "in": place, "style": style, "explode": place == "query",
            "required": place == "path" || needed.contains(&name.as_str()),
            "description": words.unwrap_or_else(|| words_of(name).into()),
            "schema": schema,
        });
        // Ids in examples exist nowhere; a good guess of a filter is of no use.
        if parameter["required"] == true {
            parameter["example"] = examples::field(schemas, name, &schema);
        }
        parameters.push(parameter);
    }
    if operation.kind == Kind::Mutation && operation.permission != Permission::Public {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "style": "simple", "required": false,
            "description": "The same key with the same request gives the first answer again.",
            "schema": {
                "type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[\\t -~]*[!-~][\\t -~]*$",
            },
        }));
    }
    parameters
}

/// What an id is, where the input does not say.
fn words_of(field: &str) -> String {
    match field.strip_suffix("_id") {
        None if field == "cursor" => "Where the page begins: `next_cursor` of the page before.".into(),
        Some(thing) => format!("The id of the {}.", thing.replace('_', " ")),
        None => format!("The {}.", field.replace('_', " ")),
    }
}

fn body(schemas: &Schemas, operation: &Operation, mut input: Value) -> Option<Value> {
    let in_body = |name: &str| place(operation, name).is_none();
    let needed: Vec<String> = required(&input).into_iter().filter(|name| in_body(name)).map(str::to_owned).collect();
    let fields = input.as_object_mut()?;
    let mut properties = fields.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    properties.retain(|name, _| in_body(name));
    if properties.is_empty() {
        return None;
    }
    if operation.takes_key_in_body() && operation.permission != Permission::Public {
        properties.insert(
            "key".into(),
            json!({
                "type": ["string", "null"], "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[^\\u0000]*$",
                "description": "The idempotency key, where no header can be set.",
            }),
        );
    }
    fields.remove("title");
    fields.insert("properties".into(), properties.into());
    if needed.is_empty() {
        fields.remove("required");
    } else {
        fields.insert("required".into(), json!(needed));
    }
    let example = examples::of(schemas, &input);
    // Where one of several fields has to be given, nothing is not enough.
    let required = !needed.is_empty() || input["oneOf"].is_array();
    Some(json!({
        "required": required,
        "content": {"application/json": {"schema": input, "example": example}},
    }))
}

fn responses(operation: &Operation, output: Value) -> Map<String, Value> {
    let done = if operation.status == 201 { "It is made." } else { "Done." };
    let mut success = json!({"description": done, "content": {"application/json": {"schema": output}}});
    if operation.kind == Kind::Mutation && operation.permission != Permission::Public {
        success["headers"] = header_references(&["Link-Offset"]);
    }
    let mut responses = Map::new();
    responses.insert(operation.status.to_string(), success);
    for code in operation.refusals() {
        let reference = format!("#/components/responses/{}", response_name(code.status));
        responses.insert(code.status.to_string(), json!({"$ref": reference}));
    }
    responses
}
