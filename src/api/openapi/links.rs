//! Links from what was made to what can be done with it: the id in an answer is the id that other operations want.

use serde_json::{Map, Value, json};

use crate::api::table::{Method, Operation, Table};

use super::schemas::{Schemas, named};

/// Says which operations can go on with what this one made.
pub(super) fn add(described: &mut Value, schemas: &mut Schemas, operation: &Operation, table: &Table) {
    if operation.status != 201 {
        return;
    }
    let answer = &mut described["responses"]["201"];
    let made = answer["content"]["application/json"]["schema"].clone();
    let mut links = Map::new();
    for target in table.operations() {
        let needed = required(schemas, target);
        let all = |fields: &mut dyn Iterator<Item = &str>| -> Option<Map<String, Value>> {
            fields.map(|field| Some((field.to_owned(), source(schemas, operation, &made, field)?.into()))).collect()
        };
        let in_path = |name: &&str| target.path_fields().any(|field| field == *name);
        let mut in_body = needed.iter().map(String::as_str).filter(|name| !in_path(name));
        // Words are the caller's own; only what names a thing goes on.
        let names_things = in_body.clone().all(|name| name.ends_with("_id") || name.ends_with("_token"));
        let Some(parameters) = all(&mut target.path_fields()) else { continue };
        let body = match target.method {
            Method::Post | Method::Patch if names_things => all(&mut in_body).unwrap_or_default(),
            Method::Get | Method::Post | Method::Patch | Method::Delete => Map::new(),
        };
        // What only repeats the ids of the request does not go on with what was made.
        if !parameters.values().chain(body.values()).any(is_from_answer) {
            continue;
        }
        let mut link = json!({"operationId": target.name, "parameters": parameters, "description": target.doc});
        if !body.is_empty() {
            link["requestBody"] = body.into();
        }
        links.insert(target.name.replace('.', "_"), link);
    }
    if !links.is_empty() {
        answer["links"] = links.into();
    }
}

fn required(schemas: &mut Schemas, operation: &Operation) -> Vec<String> {
    let input = schemas.input(operation.input);
    let names = input.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn is_from_answer(source: &Value) -> bool {
    source.as_str().is_some_and(|text| text.starts_with("$response"))
}

/// Where an id is found: in the answer, in a list in the answer, or in the request's own path.
fn source(schemas: &Schemas, operation: &Operation, made: &Value, field: &str) -> Option<String> {
    let fields = schemas.resolved(made).get("properties")?;
    if id_of(made).is_some_and(|own| own == field) && fields.get("id").is_some() {
        return Some("$response.body#/id".into());
    }
    if fields.get(field).is_some_and(|schema| schema["type"] == "string" || schema.get("$ref").is_some()) {
        return Some(format!("$response.body#/{field}"));
    }
    let list = format!("{}s", field.strip_suffix("_id")?);
    // A list may be empty, unless something was just added to it.
    let items = fields
        .get(&list)
        .filter(|_| operation.path.ends_with(&format!("/{list}")))
        .and_then(|schema| schema.get("items"));
    if items.is_some_and(|items| id_of(items).is_some_and(|own| own == field)) {
        return Some(format!("$response.body#/{list}/0/id"));
    }
    operation.path_fields().any(|known| known == field).then(|| format!("$request.path.{field}"))
}

/// The name of the field that names a thing of this shape: `task_id` of a `TaskView`.
fn id_of(schema: &Value) -> Option<String> {
    let name = named(schema)?.strip_suffix("View")?;
    Some(format!("{}_id", name.to_lowercase()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_was_made_leads_to_what_can_be_done_with_it() {
        let document = super::super::document(&crate::api::table());
        let links = &document["paths"]["/projects/{project_id}/tasks"]["post"]["responses"]["201"]["links"];
        assert_eq!(links["tasks_get"]["parameters"]["task_id"], "$response.body#/id");
        let links = &document["paths"]["/auth/register"]["post"]["responses"]["201"]["links"];
        assert_eq!(links["auth_logout"]["requestBody"]["refresh_token"], "$response.body#/refresh_token");
        let links = &document["paths"]["/workspaces/{workspace_id}/members"]["post"]["responses"]["201"]["links"];
        let remove = &links["workspaces_remove_member"]["parameters"];
        assert_eq!(remove["user_id"], "$response.body#/user_id");
        assert_eq!(remove["workspace_id"], "$request.path.workspace_id");
        let links = &document["paths"]["/agents/{agent_id}/instances"]["post"]["responses"]["201"]["links"];
        let remove = &links["agents_remove_instance"]["parameters"];
        assert_eq!(remove["instance_id"], "$response.body#/instances/0/id");
    }
}
