//! Declarations of operations.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{domain::permission::Permission, persistence::queries::Scope};

use super::{
    call::Call,
    problem::{self, Code, Problem},
};

/// Whether an operation changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only reads.
    Query,
    /// It may change something.
    Mutation,
}

/// An HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, or does what no other method names.
    Post,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// Returns its name in capital letters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

type Run = Box<dyn Fn(Call, Value) -> BoxFuture<'static, Result<Value, Problem>> + Send + Sync>;

/// One operation: everything that any door needs to know of it.
pub struct Operation {
    /// `router.verb`.
    pub name: &'static str,
    /// Whether it changes anything.
    pub kind: Kind,
    /// Its HTTP method.
    pub method: Method,
    /// Its path below `/api/v1`, with `{field}` where a field of the input stands.
    pub path: &'static str,
    /// The HTTP status of its success.
    pub status: u16,
    /// What the caller needs.
    pub permission: Permission,
    /// Which field of the input names what, so that its workspace can be found.
    pub scope: Option<(Scope, &'static str)>,
    /// Its answer holds a secret that is shown once: it is kept nowhere, not even for a repeated call.
    pub reveals: bool,
    /// Only a person who has logged in may, whatever an API key of theirs is good for.
    pub by_login: bool,
    /// What it does, for people.
    pub doc: &'static str,
    /// The shape of its input.
    pub input: fn(&mut SchemaGenerator) -> Schema,
    /// The shape of its output.
    pub output: fn(&mut SchemaGenerator) -> Schema,
    /// What it refuses with beyond what follows from the rest.
    pub(super) refuses: &'static [Code],
    pub(super) run: Run,
}

impl Operation {
    /// Declares a read.
    pub(super) fn query<I, O, F>(name: &'static str, path: &'static str, run: fn(Call, I) -> F) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        Self::declare(name, Kind::Query, Method::Get, path, run)
    }

    /// Declares a change.
    pub(super) fn mutation<I, O, F>(
        name: &'static str,
        method: Method,
        path: &'static str,
        run: fn(Call, I) -> F,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        Self::declare(name, Kind::Mutation, method, path, run)
    }

    fn declare<I, O, F>(
        name: &'static str,
        kind: Kind,
        method: Method,
        path: &'static str,
        run: fn(Call, I) -> F,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        let run: Run = Box::new(move |call, input| {
            Box::pin(async move {
                let output = run(call, parse::<I>(input)?).await?;
                serde_json::to_value(output).map_err(|error| Problem::new(problem::INTERNAL, error.to_string()))
            })
        });
        Self {
            name,
            kind,
            method,
            path,
            status: 200,
            permission: Permission::ManageMembers,
            scope: None,
            reveals: false,
            by_login: false,
            doc: "",
            input: |schemas| schemas.subschema_for::<I>(),
            output: |schemas| schemas.subschema_for::<O>(),
            refuses: &[],
            run,
        }
    }

    /// Says who may, and in which field the thing is named.
    pub(super) fn needs(mut self, permission: Permission, scope: impl Into<Option<(Scope, &'static str)>>) -> Self {
        (self.permission, self.scope) = (permission, scope.into());
        self
    }

    /// Says that it makes something.
    pub(super) fn creates(mut self) -> Self {
        self.status = 201;
        self
    }

    /// Says that its answer holds a secret.
    pub(super) fn reveals(mut self) -> Self {
        self.reveals = true;
        self
    }

    /// Says that no API key will do.
    pub(super) fn by_login(mut self) -> Self {
        self.by_login = true;
        self
    }

    /// Says what it may refuse with beyond what follows from its declaration.
    pub(super) fn refuses(mut self, codes: &'static [Code]) -> Self {
        self.refuses = codes;
        self
    }

    /// Says what it does.
    pub(super) fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Tells whether an idempotency key may come as the field `key`: no input has a field of its own of this name, except
    /// a project's.
    pub fn takes_key_in_body(&self) -> bool {
        self.kind == Kind::Mutation && self.name != "projects.create"
    }

    /// Returns the fields that stand in the path.
    pub fn path_fields(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

fn parse<I: DeserializeOwned>(input: Value) -> Result<I, Problem> {
    serde_path_to_error::deserialize(input).map_err(|error| {
        let path = error.path().to_string();
        let message = error.into_inner().to_string();
        Problem::field(path, unquoted(message))
    })
}

/// Takes the value out of what serde says of one of a wrong type: it may be a password in the wrong place.
fn unquoted(message: String) -> String {
    let parts = message.strip_prefix("invalid ").and_then(|rest| {
        let (found, expected) = rest.rsplit_once(", expected ")?;
        let kind = found.split(['`', '"']).next()?;
        Some(format!("invalid {}, expected {expected}", kind.trim_end()))
    });
    parts.unwrap_or(message)
}

/// All operations, found by name.
pub struct Table {
    operations: Vec<Operation>,
    names: BTreeMap<&'static str, usize>,
}

impl Table {
    pub(super) fn new(operations: Vec<Operation>) -> Self {
        let names = operations.iter().enumerate().map(|(nth, operation)| (operation.name, nth)).collect();
        Self { operations, names }
    }

    /// Returns every operation, in order.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Finds an operation.
    pub fn find(&self, name: &str) -> Option<&Operation> {
        self.names.get(name).map(|nth| &self.operations[*nth])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_operation_says_what_it_does_and_who_may() {
        for operation in crate::api::table().operations() {
            assert!(operation.doc.len() > 10, "{} has no documentation", operation.name);
            let open = matches!(operation.permission, Permission::Public | Permission::Signed | Permission::LoggedIn);
            assert_eq!(open, operation.scope.is_none(), "{} has a permission without a scope", operation.name);
            let (router, verb) = operation.name.split_once('.').expect("router.verb");
            assert!(!router.is_empty() && !verb.is_empty());
        }
    }

    #[test]
    fn every_path_leads_to_one_operation() {
        let table = crate::api::table();
        let paths: std::collections::BTreeSet<_> =
            table.operations().iter().map(|operation| (operation.method, operation.path)).collect();
        assert_eq!(paths.len(), table.operations().len());
        assert_eq!(table.names.len(), table.operations().len());
    }

    #[test]
    fn every_field_in_a_path_and_every_scope_is_a_field_of_the_input() {
        for operation in crate::api::table().operations() {
            let mut schemas = SchemaGenerator::default();
            let schema = (operation.input)(&mut schemas);
            let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
            let definition = name.and_then(|name| schemas.definitions().get(name));
            let fields = definition.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
            let has = |field: &str| fields.is_some_and(|fields| fields.contains_key(field));
            for field in operation.path_fields().chain(operation.scope.map(|(_, field)| field)) {
                assert!(has(field), "{}: the input has no field {field}", operation.name);
            }
        }
    }

    #[test]
    fn what_is_wrong_with_a_value_is_said_without_the_value() {
        let said = |value: Value| parse::<BTreeMap<String, String>>(value).unwrap_err().detail;
        assert_eq!(said(json!({"password": 12345})), "password: invalid type: integer, expected a string");
        assert_eq!(said(json!({"password": true})), "password: invalid type: boolean, expected a string");
        assert_eq!(said(json!({"password": ["x"]})), "password: invalid type: sequence, expected a string");
        assert_eq!(said(json!("psst\", expected `x`")), ".: invalid type: string, expected a map");
    }
}
