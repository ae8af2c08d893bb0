//! The OpenAPI 3.1 description, made from the operation table: whatever is declared there is described here.

mod changes;
mod examples;
mod links;
mod operation;
mod schemas;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ROUTERS,
    problem::{CODES, Code, Problem},
    table::Table,
};

pub use changes::{Change, changes, version_was_raised};

const DESCRIPTION: &str = "The backend where people and AI agents work together as equals.\n\n\
    Every operation can also be called over the WebSocket at `/ws`, by its `operationId`. Errors are RFC 9457 problems; \
    `code` is one of `x-error-codes`. Lists are read page by page with `limit` and `cursor`. A change with an \
    `Idempotency-Key` is made once, however often it is sent.";

/// Describes every operation.
pub fn document(table: &Table) -> Value {
    let mut schemas = schemas::Schemas::new();
    let mut paths: Map<String, Value> = Map::new();
    for operation in table.operations() {
        let mut described = operation::describe(&mut schemas, operation);
        links::add(&mut described, &mut schemas, operation, table);
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method.name().to_lowercase()] = described;
    }
    let problem = schemas.output(|generator| generator.subschema_for::<Problem>());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Link",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api/v1", "description": "The node that serves this description."}],
        "tags": tags(table),
        "paths": paths,
        "components": {
            "schemas": schemas.take(),
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "The `access_token` of `auth.login`, `auth.register` or `auth.refresh`.",
            }},
            "headers": headers(),
            "responses": problems(&problem),
        },
        "x-error-codes": CODES.iter().map(|code| json!({
            "code": code.name, "status": code.status, "title": code.title, "cause": code.cause, "effect": code.effect,
            "retryable": code.retryable, "next_actions": code.next_actions,
        })).collect::<Vec<_>>(),
    })
}

/// The routers that the table has, with what they are for.
fn tags(table: &Table) -> Vec<Value> {
    let mut tags: Vec<Value> = vec![];
    for operation in table.operations() {
        let name = operation.router();
        if tags.iter().all(|tag| tag["name"] != name) {
            let known = ROUTERS.iter().find(|(router, _)| *router == name).map(|(_, words)| *words);
            tags.push(json!({"name": name, "description": known.unwrap_or("Not described.")}));
        }
    }
    tags
}

fn headers() -> Value {
    json!({
        "Link-Offset": {
            "description": "The offset of the workspace's log at which the change is readable; absent when nothing changed.",
            "schema": {"type": "integer", "minimum": 1},
        },
        "Retry-After": {
            "description": "After how many seconds the same request may succeed.", "required": true,
            "schema": {"type": "integer", "minimum": 0},
        },
        "WWW-Authenticate": {
            "description": "How to authenticate.", "required": true,
            "schema": {"type": "string", "pattern": "^Bearer"},
        },
    })
}

/// The name of the answer that all codes of a status share.
fn response_name(status: u16) -> String {
    format!("Problem{status}")
}

/// One answer per status, with an example of each of its codes.
fn problems(problem: &Value) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<&Code>> = BTreeMap::new();
    CODES.iter().for_each(|code| by_status.entry(code.status).or_default().push(code));
    let answer = |(status, codes): (u16, Vec<&Code>)| {
        let names: Vec<&str> = codes.iter().map(|code| code.name).collect();
        let titles: Vec<&str> = codes.iter().map(|code| code.title).collect();
        let examples: Map<String, Value> = codes.iter().map(|code| (code.name.to_owned(), example(code))).collect();
        let mut answer = json!({
            "description": format!("{}.", titles.join(", or: ")),
            "content": {"application/problem+json": {
                "schema": {"allOf": [problem, {"properties": {"status": {"const": status}, "code": {"enum": names}}}]},
                "examples": examples,
            }},
        });
        match status {
            401 => answer["headers"] = header_references(&["WWW-Authenticate"]),
            _ if codes.iter().all(|code| code.retryable) => answer["headers"] = header_references(&["Retry-After"]),
            _ => {}
        }
        (response_name(status), answer)
    };
    by_status.into_iter().map(answer).collect()
}

fn example(code: &Code) -> Value {
    let mut problem = Problem::new(*code, code.title);
    problem.trace_id = "0af7651916cd43dd8448eb211c80319c".into();
    json!({"summary": code.title, "value": problem})
}

fn header_references(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")})))
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described() {
        let table = crate::api::table();
        let document = document(&table);
        for operation in table.operations() {
            let described = &document["paths"][operation.path][operation.method.name().to_lowercase()];
            assert_eq!(described["operationId"], operation.name);
            for code in operation.refusals() {
                assert!(
                    described["responses"][code.status.to_string()].is_object(),
                    "{}: {}",
                    operation.name,
                    code.name
                );
            }
        }
    }

    #[test]
    fn every_router_says_what_it_is_for() {
        let table = crate::api::table();
        for operation in table.operations() {
            let known = ROUTERS.iter().any(|(router, words)| *router == operation.router() && words.len() > 10);
            assert!(known, "say in `ROUTERS` of src/api/mod.rs what `{}` is for", operation.router());
        }
    }
}
