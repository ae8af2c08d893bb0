//! The OpenAPI 3.1 description, made from the operation table.

use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::domain::permission::Permission;

use super::{
    problem::{CODES, Problem},
    table::{Kind, Method, Operation, Table},
};

/// Describes every operation.
pub fn document(table: &Table) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in table.operations() {
        let described = describe(&mut schemas, operation);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.name().to_lowercase()] = described;
    }
    let problem = schemas.subschema_for::<Problem>();
    let components = schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Link",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The backend where people and AI agents work together as equals.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1"}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "responses": {"Problem": {
                "description": "What went wrong, and what to do about it.",
                "content": {"application/problem+json": {"schema": problem}},
            }},
        },
        "x-error-codes": CODES.iter().map(|code| json!({
            "code": code.name, "status": code.status, "title": code.title, "retryable": code.retryable,
            "next_actions": code.next_actions,
        })).collect::<Vec<_>>(),
    })
}

fn describe(schemas: &mut SchemaGenerator, operation: &Operation) -> Value {
    let input = (operation.input)(schemas).to_value();
    let input = resolved(schemas, input);
    let output = (operation.output)(schemas).to_value();
    let in_path: Vec<&str> = operation.path_fields().collect();
    let fields = input.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let required: Vec<&str> =
        input.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let in_query = |name: &str| operation.method == Method::Get && !in_path.contains(&name);
    let parameters: Vec<Value> = fields
        .iter()
        .filter(|(name, _)| in_path.contains(&name.as_str()) || in_query(name))
        .map(|(name, schema)| {
            let place = if in_path.contains(&name.as_str()) { "path" } else { "query" };
            json!({"name": name, "in": place, "required": place == "path" || required.contains(&name.as_str()), "schema": schema})
        })
        .collect();
    let mut described = json!({
        "operationId": operation.name,
        "tags": [operation.name.split('.').next()],
        "summary": operation.doc,
        "parameters": parameters,
        "responses": {
            operation.status.to_string(): {
                "description": "Done.",
                "content": {"application/json": {"schema": output}},
            },
            "default": {"$ref": "#/components/responses/Problem"},
        },
    });
    if operation.permission != Permission::Public {
        described["security"] = json!([{"bearer": []}]);
    }
    if operation.kind == Kind::Mutation {
        if let Some(parameters) = described["parameters"].as_array_mut() {
            parameters.push(json!({
                "name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same key with the same body gives the first answer again.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }));
        }
        let body: Map<String, Value> =
            fields.into_iter().filter(|(name, _)| !in_path.contains(&name.as_str())).collect();
        if !body.is_empty() {
            let needed: Vec<&str> = required.into_iter().filter(|name| !in_path.contains(name)).collect();
            let mut schema = json!({"type": "object", "properties": body, "additionalProperties": false});
            if !needed.is_empty() {
                schema["required"] = json!(needed);
            }
            described["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        }
    }
    described
}

/// Follows a reference to the input's own definition.
fn resolved(schemas: &SchemaGenerator, schema: Value) -> Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    name.and_then(|name| schemas.definitions().get(name)).cloned().unwrap_or(schema)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_operation_is_described() {
        let table = crate::api::table();
        let document = super::document(&table);
        for operation in table.operations() {
            let described = &document["paths"][operation.path][operation.method.name().to_lowercase()];
            assert_eq!(described["operationId"], operation.name);
        }
    }
}
