//! The types of the TypeScript client, made from the operation table: what the stock `@trpc/client` needs to know of
//! every operation, and nothing of how it is done.

mod names;
mod shapes;

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value, json};

use super::{
    events::Subscribe,
    problem::{CODES, Problem},
    table::{Kind, Operation, Table},
};
use names::{Definitions, Direction};
use shapes::{quoted, remark, shape};

const HEAD: &str = "\
// Made by `link typescript` from Link's operation table. Do not edit: change the table and make it again.

import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
  TRPCSubscriptionProcedure,
} from '@trpc/server';

type Query<I, O> = TRPCQueryProcedure<{ meta: unknown; input: I; output: O }>;
type Mutation<I, O> = TRPCMutationProcedure<{ meta: unknown; input: I; output: O }>;
type Subscription<I, O> = TRPCSubscriptionProcedure<{ meta: unknown; input: I; output: O }>;

/** One page of a list; without `next_cursor` it is the last one. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** What `error.shape` of a `TRPCClientError` looks like; `data.problem` says what happened and what to do. */
export type ErrorShape = TRPCDefaultErrorShape & { data: { problem: Problem } };

";

/// The name that subscriptions to a workspace's log have.
pub const EVENTS: &str = "workspaces.events";

/// Returns `router.ts` of the TypeScript client.
pub fn document(table: &Table) -> String {
    let mut definitions = Definitions::default();
    let mut routers: BTreeMap<&str, String> = BTreeMap::new();
    let mut inputs = String::new();
    for operation in table.operations() {
        let input = input(&mut definitions, operation);
        let output = definitions.add(Direction::Out, operation.output);
        let (router, verb) = operation.name.split_once('.').unwrap_or((operation.name, ""));
        let name = names::pascal(operation.name);
        let given = match &input {
            Input::Nothing => "void".to_owned(),
            Input::Optional(_) => format!("{name}Input | void"),
            Input::Needed(_) => format!("{name}Input"),
        };
        if let Input::Optional(schema) | Input::Needed(schema) = input {
            let shape = definitions.shape(Direction::In, &schema, 0);
            // An interface is one record; one of several shapes is a type.
            let _ = match shape.starts_with('{') {
                true => writeln!(inputs, "export interface {name}Input {shape}\n"),
                false => writeln!(inputs, "export type {name}Input = {shape};\n"),
            };
        }
        let output = definitions.output(&output);
        // A name can be only one kind of procedure for the stock client; see `readEvents` for the query.
        let kind = match operation.kind {
            Kind::Query if operation.name == EVENTS => continue,
            Kind::Query => "Query",
            Kind::Mutation => "Mutation",
        };
        let routes = routers.entry(router).or_default();
        let _ = writeln!(routes, "{}    {}: {kind}<{given}, {output}>;", remark(operation.doc, 4), quoted(verb));
    }
    subscription(&mut definitions, &mut routers, &mut inputs);
    let problem = definitions.add(Direction::Out, |schemas| schemas.subschema_for::<Problem>());
    let _ = definitions.output(&problem);
    let codes = shape(&json!({"enum": CODES.iter().map(|code| code.name).collect::<Vec<_>>()}), 0);
    let codes = format!("/** Every `code` of a problem. */\nexport type ProblemCode = {codes};\n\n");
    [HEAD, &codes, &definitions.text(), &inputs, &record(&routers)].concat()
}

/// What a caller has to give.
enum Input {
    Nothing,
    Optional(Value),
    Needed(Value),
}

fn input(definitions: &mut Definitions, operation: &Operation) -> Input {
    let schema = definitions.add(Direction::In, operation.input);
    let mut schema = definitions.resolved(Direction::In, schema);
    let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    if operation.kind == Kind::Mutation && !fields.contains_key("key") {
        let mut fields: Map<String, Value> = fields;
        let doc = "The idempotency key: the same one with the same input never does the same thing twice.";
        fields.insert("key".into(), json!({"type": "string", "description": doc}));
        schema["properties"] = Value::Object(fields);
    } else if fields.is_empty() {
        return Input::Nothing;
    }
    let needed = schema.get("required").and_then(Value::as_array).is_some_and(|fields| !fields.is_empty());
    if needed { Input::Needed(schema) } else { Input::Optional(schema) }
}

fn subscription(definitions: &mut Definitions, routers: &mut BTreeMap<&str, String>, inputs: &mut String) {
    let schema = definitions.add(Direction::In, |schemas| schemas.subschema_for::<Subscribe>());
    let schema = definitions.resolved(Direction::In, schema);
    let fields = definitions.shape(Direction::In, &schema, 0);
    let _ = writeln!(
        inputs,
        "/** What a subscription to a workspace's events wants. */\nexport interface SubscribeInput {fields}\n"
    );
    let event = definitions.add(Direction::Out, |schemas| schemas.subschema_for::<super::events::LiveEvent>());
    let event = definitions.output(&event);
    let doc =
        remark("Every event after an offset, oldest first and each once; the tracked id is the event's offset.", 4);
    let (router, verb) = EVENTS.split_once('.').unwrap_or((EVENTS, ""));
    let routes = routers.entry(router).or_default();
    let _ = writeln!(
        routes,
        "{doc}    {verb}: Subscription<SubscribeInput, AsyncIterable<{{ id: string; data: {event} }}>>;"
    );
}

fn record(routers: &BTreeMap<&str, String>) -> String {
    let routers: String =
        routers.iter().map(|(name, routes)| format!("  {}: {{\n{routes}  }};\n", quoted(name))).collect();
    let types = "{ ctx: object; meta: object; errorShape: ErrorShape; transformer: false }";
    format!(
        "/** Link's operations, as the stock `@trpc/client` wants to know them. */\nexport type AppRouter = TRPCBuiltRouter<{types}, {{\n{routers}}}>;\n"
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_typescript_client_knows_the_operations_of_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/typescript/src/router.ts");
        let known = std::fs::read_to_string(path).unwrap_or_default();
        let made = super::document(&crate::api::table());
        assert!(known == made, "make it again: cargo run -- typescript --write clients/typescript/src/router.ts");
    }
}
