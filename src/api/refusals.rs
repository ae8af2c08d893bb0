//! What each operation may answer besides success, from what its declaration says of it.

use schemars::SchemaGenerator;
use serde_json::Value;

use crate::domain::permission::Permission;

use super::{
    problem::{self, Code},
    table::{Kind, Operation},
};

impl Operation {
    /// Returns the codes that the operation may answer with, in the order of their table.
    pub fn refusals(&self) -> Vec<Code> {
        let fields = self.input_fields();
        let named =
            |code: &Code| self.may_refuse_with(code, &fields) || self.refuses.iter().any(|own| own.name == code.name);
        problem::CODES.iter().copied().filter(named).collect()
    }

    fn may_refuse_with(&self, code: &Code, fields: &[String]) -> bool {
        let signed = self.permission != Permission::Public;
        let changes = self.kind == Kind::Mutation && signed;
        let has = |name: &str| fields.iter().any(|field| field == name);
        match code.name {
            "invalid_input" | "malformed" | "too_many_requests" | "unavailable" | "internal" => true,
            "too_large" | "unsupported_media_type" => self.kind == Kind::Mutation,
            "unauthenticated" => signed,
            "forbidden" => !matches!(self.permission, Permission::Public | Permission::Signed),
            "not_found" => self.scope.is_some(),
            "idempotency_key_reused" => changes,
            "already_exists" | "name_taken" | "invalid_transition" | "busy" => changes && self.scope.is_some(),
            "version_conflict" => has("expected_version"),
            "dependency_cycle" => changes && has("depends_on"),
            "no_slot" | "fenced" => changes && self.router() == "delegation",
            // Those of no operation at all.
            _ => false,
        }
    }

    /// Returns the part of the name before the dot.
    pub fn router(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(router, _)| router)
    }

    /// Returns the names of the input's fields.
    fn input_fields(&self) -> Vec<String> {
        let mut schemas = SchemaGenerator::default();
        let schema = (self.input)(&mut schemas).to_value();
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
        let definition = name.and_then(|name| schemas.definitions().get(name)).unwrap_or(&schema);
        let fields = definition.get("properties").and_then(Value::as_object);
        fields.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_an_operation_may_refuse_with_follows_from_its_declaration() {
        let table = crate::api::table();
        let refusals = |name: &str| -> Vec<&str> {
            table.find(name).expect("it exists").refusals().iter().map(|code| code.name).collect()
        };
        assert!(refusals("auth.login").contains(&"bad_credentials"));
        assert!(!refusals("auth.login").contains(&"forbidden"));
        assert!(refusals("tasks.update").contains(&"version_conflict"));
        assert!(!refusals("tasks.get").contains(&"invalid_transition"));
        assert!(refusals("workspaces.get").contains(&"not_found"));
    }
}
