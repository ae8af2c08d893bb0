//! Changes of rows, gathered over a batch: several events about one row become one change of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgTransaction};

use crate::domain::ids::WorkspaceId;

use super::tables::Table;

/// Column values by name.
pub type Row = Map<String, Value>;

/// All changes of a batch, by table and key.
pub struct Changes {
    workspace: WorkspaceId,
    rows: BTreeMap<&'static str, (&'static Table, BTreeMap<String, Change>)>,
}

enum Change {
    Insert(Row),
    Update(Row),
    Delete(Row),
}

impl Changes {
    /// Starts with nothing to change.
    pub fn new(workspace: WorkspaceId) -> Self {
        Self { workspace, rows: BTreeMap::new() }
    }

    /// The tenant that the batch belongs to.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// A row that is new, with every column that has no NULL.
    pub fn insert(&mut self, table: &'static Table, row: Value) {
        let mut row = object(row);
        row.entry(table.tenant).or_insert_with(|| json!(self.workspace));
        self.put(table, Change::Insert(row));
    }

    /// Columns of a row that changed; the key is among them.
    pub fn update(&mut self, table: &'static Table, row: Value) {
        let row = object(row);
        let known = self.known(table, &row);
        match known {
            Some(Change::Insert(before) | Change::Update(before)) => before.extend(row),
            Some(Change::Delete(_)) => {}
            None => self.put(table, Change::Update(row)),
        }
    }

    /// A row that is gone; only its key.
    pub fn delete(&mut self, table: &'static Table, key: Value) {
        self.put(table, Change::Delete(object(key)));
    }

    fn known(&mut self, table: &'static Table, row: &Row) -> Option<&mut Change> {
        self.rows.get_mut(table.name)?.1.get_mut(&key_of(table, row))
    }

    fn put(&mut self, table: &'static Table, change: Change) {
        let (Change::Insert(row) | Change::Update(row) | Change::Delete(row)) = &change;
        let key = key_of(table, row);
        self.rows.entry(table.name).or_insert_with(|| (table, BTreeMap::new())).1.insert(key, change);
    }

    /// Writes everything: per table at most one insert, one update and one delete.
    pub async fn carry_out(self, tx: &mut PgTransaction<'_>) -> Result<(), sqlx::Error> {
        for (table, changes) in self.rows.into_values() {
            let (mut inserts, mut updates, mut deletes) = (vec![], vec![], vec![]);
            for change in changes.into_values() {
                match change {
                    Change::Insert(row) => inserts.push(Value::Object(row)),
                    Change::Update(row) => updates.push(Value::Object(row)),
                    Change::Delete(row) => deletes.push(Value::Object(row)),
                }
            }
            let statements = [
                (deletes, Table::delete_sql as fn(&Table) -> String),
                (inserts, Table::insert_sql),
                (updates, Table::update_sql),
            ];
            for (rows, sql) in statements {
                if !rows.is_empty() {
                    let query = sqlx::query(AssertSqlSafe(sql(table)));
                    query.bind(Value::Array(rows)).execute(&mut **tx).await?;
                }
            }
        }
        Ok(())
    }
}

fn object(row: Value) -> Row {
    match row {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

fn key_of(table: &Table, row: &Row) -> String {
    let parts: Vec<String> =
        table.key.iter().map(|key| row.get(*key).map(Value::to_string).unwrap_or_default()).collect();
    parts.join("/")
}
