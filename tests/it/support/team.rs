//! People of a workspace who answer for work.

use serde_json::{Value, json};

use super::{
    node::TestNode,
    person::{Person, id},
};

/// What a person's inbox shows.
pub async fn inbox(who: &Person, workspace: &str) -> Vec<Value> {
    who.get(&format!("/workspaces/{workspace}/inbox")).await["items"].as_array().expect("a page has items").clone()
}

/// The kinds of what waits.
pub fn kinds(items: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = items.iter().filter_map(|item| item["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

/// An owner with a workspace, a project, and two more members.
pub struct Team {
    pub node: TestNode,
    pub ada: Person,
    pub bob: Person,
    pub eve: Person,
    pub workspace: String,
    pub project: String,
}

impl Team {
    pub async fn on(node: TestNode) -> Self {
        let [ada, bob, eve] = ["Ada", "Bob", "Eve"];
        let ada = Person::register(&node.url, ada).await;
        let (bob, eve) = (Person::register(&node.url, bob).await, Person::register(&node.url, eve).await);
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &bob, "member").await;
        ada.invite(&workspace, &eve, "member").await;
        let project = ada.project(&workspace, "Moon base").await;
        Self { node, ada, bob, eve, workspace, project }
    }

    pub async fn agent(&self, script: &str) -> String {
        self.ada.scripted(&self.workspace, script, script).await
    }

    /// Delegates a new task as Ada, with more to say.
    pub async fn delegate(&self, agent: &str, more: Value) -> String {
        let task = self.ada.task(&self.project, "Write").await;
        let mut body = json!({"agent_id": agent});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        id(&self.ada.post(&format!("/tasks/{task}/delegations"), body).await)
    }
}

/// So many of these have to approve.
pub fn named(approvals: u8, people: &[&Person]) -> Value {
    let approvers: Vec<String> = people.iter().map(|person| format!("user:{}", person.id)).collect();
    json!({"approvals": approvals, "by": "others", "approvers": approvers})
}
