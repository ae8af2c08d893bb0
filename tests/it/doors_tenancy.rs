//! Tenants know nothing of each other, and a role may do what its row of the table says.

use link::{
    api::{Operation, table},
    domain::permission::Permission,
};
use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::support::{
    matrix::{Hit, Shot, World},
    node::TestNode,
    person::{Person, http},
};

const NOBODY: &str = "0190f3c2-7b1e-7000-8000-00000000dead";

fn with(input: &Map<String, Value>, field: &str, value: Value) -> Map<String, Value> {
    let mut input = input.clone();
    input.insert(field.into(), value);
    input
}

/// What a stranger can compare: everything but the trace.
fn seen(hit: &Hit) -> (u16, String, Value) {
    let mut body = hit.body.clone();
    body["trace_id"] = Value::Null;
    (hit.status, hit.kind.clone(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_id_looks_like_an_id_of_nothing_at_every_operation() {
    let node = TestNode::start().await;
    let (mine, theirs) = (World::build(&node.url, "Ada").await, World::build(&node.url, "Mallory").await);
    let (http, table, token) = (http(), table(), Some(mine.person.token.as_str()));
    let before = theirs.person.log(theirs.id("workspace_id")).await.len();
    let mut count = 0;
    for operation in table.operations() {
        let Some((_, scope)) = operation.scope else { continue };
        let at = |id: &str| Shot::of(operation, &with(&mine.input(operation), scope, json!(id)), token);
        let foreign = at(theirs.id(scope)).fire(&http, &node.url).await;
        let unknown = at(NOBODY).fire(&http, &node.url).await;
        foreign.is("not_found");
        assert_eq!((seen(&foreign), foreign.length), (seen(&unknown), unknown.length), "{}", operation.name);
        count += 1;
    }
    assert!(count > 40, "only {count} operations have a scope");
    assert_eq!(theirs.person.log(theirs.id("workspace_id")).await.len(), before, "nothing happened to them");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_id_inside_an_input_looks_like_an_id_of_nothing_too() {
    let node = TestNode::start().await;
    let (mine, theirs) = (World::build(&node.url, "Ada").await, World::build(&node.url, "Mallory").await);
    let (http, table, token) = (http(), table(), Some(mine.person.token.as_str()));
    let inner = [
        ("tasks.create", "depends_on", "[task_id]"),
        ("tasks.create", "parent_id", "task_id"),
        ("tasks.create", "assignee", "agent:agent_id"),
        ("tasks.create", "assignee", "user:user_id"),
        ("tasks.update", "assignee", "agent:agent_id"),
        ("tasks.update", "assignee", "user:user_id"),
        ("tasks.move", "before", "task_id"),
        ("tasks.move", "after", "task_id"),
        ("tasks.add_dependency", "depends_on", "task_id"),
        ("tasks.remove_dependency", "depends_on", "task_id"),
        ("delegation.create", "agent_id", "agent_id"),
        ("delegation.reassign", "agent_id", "agent_id"),
        ("conversations.create", "project_id", "project_id"),
        ("conversations.create", "task_id", "task_id"),
        ("conversations.create", "participants", "[user:user_id]"),
        ("conversations.create", "participants", "[agent:agent_id]"),
        ("conversations.add_participant", "participant", "user:user_id"),
        ("conversations.add_participant", "participant", "agent:agent_id"),
        ("conversations.remove_participant", "participant", "user:user_id"),
        ("conversations.post", "parent_id", "message_id"),
        ("conversations.edit", "message_id", "message_id"),
        ("conversations.history", "message_id", "message_id"),
        ("conversations.delete", "message_id", "message_id"),
        ("conversations.react", "message_id", "message_id"),
        ("conversations.unreact", "message_id", "message_id"),
        ("conversations.branch", "at_message_id", "message_id"),
        ("conversations.merge", "into_id", "conversation_id"),
        ("agents.remove_instance", "instance_id", "instance_id"),
        ("penguin.reconcile", "delegation_id", "delegation_id"),
        ("webhooks.redeliver", "delivery_id", "delivery_id"),
        ("workspaces.update_member", "user_id", "user_id"),
        ("workspaces.remove_member", "user_id", "user_id"),
        ("workspaces.update_role", "role_id", "role_id"),
        ("workspaces.delete_role", "role_id", "role_id"),
        ("workspaces.update_member", "role", "role_id"),
        ("workspaces.revoke_grant", "grant_id", "grant_id"),
        ("workspaces.grant", "subject", "project:project_id"),
        ("workspaces.grant", "subject", "task:task_id"),
        ("workspaces.grant", "subject", "conversation:conversation_id"),
        ("workspaces.grant", "principal", "user:user_id"),
        ("workspaces.grant", "principal", "agent:agent_id"),
        ("workspaces.explain_access", "principal", "user:user_id"),
        ("workspaces.explain_access", "subject", "task:task_id"),
        ("workspaces.form_team", "members", "[user:user_id]"),
        ("workspaces.form_team", "members", "[agent:agent_id]"),
    ];
    for (name, field, pattern) in inner {
        let operation = table.find(name).expect("there is such an operation");
        let thing = pattern.trim_matches(['[', ']']).split(':').next_back().expect("it ends in a field");
        let fire = async |id: &str| {
            let text = pattern.replace(thing, id);
            let value = text.strip_prefix('[').map_or(json!(text), |rest| json!([rest.trim_end_matches(']')]));
            let mut input = with(&mine.input(operation), field, value);
            if name == "delegation.create" {
                // The other task is delegated already.
                input.insert("task_id".into(), json!(mine.id("depends_on")));
            }
            Shot::of(operation, &input, token).fire(&http, &node.url).await
        };
        let (foreign, unknown) = (fire(theirs.id(thing)).await, fire(NOBODY).await);
        foreign.is("not_found");
        assert_eq!((seen(&foreign), foreign.length), (seen(&unknown), unknown.length), "{name} {field}");
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_reads_and_talks_and_does_nothing_else() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let guest = Person::register(&node.url, "Guest").await;
    world.person.invite(world.id("workspace_id"), &guest, "guest").await;
    let (http, table) = (http(), table());
    let fire = async |operation: &Operation| {
        Shot::of(operation, &world.input(operation), Some(&guest.token)).fire(&http, &node.url).await
    };
    let before = world.person.log(world.id("workspace_id")).await.len();
    for operation in table.operations() {
        use Permission as P;
        match operation.permission {
            P::Public | P::Signed | P::LoggedIn | P::Converse => {}
            // Whoever is in a workspace may leave it, but take nobody else out.
            P::Enter if operation.name == "workspaces.remove_member" => fire(operation).await.is("forbidden"),
            // Nor may they let an agent decide what they may not.
            P::Enter if matches!(operation.name, "decisions.grant" | "decisions.revoke") => {
                fire(operation).await.is("forbidden");
            }
            P::Enter | P::Read => assert_eq!(fire(operation).await.status, 200, "{}", operation.name),
            _ => fire(operation).await.is("forbidden"),
        }
    }
    assert_eq!(world.person.log(world.id("workspace_id")).await.len(), before, "nothing changed");
    let talk = format!("/conversations/{}/messages", world.id("conversation_id"));
    guest.post(&talk, json!({"parts": [{"type": "text", "text": "May I?"}]})).await;
    let leave = format!("/workspaces/{}/members/{}", world.id("workspace_id"), guest.id);
    guest.send(Method::DELETE, &leave, None, None).await.ok();
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_conversation_is_nowhere_for_a_third_member() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let (ada, cleo) = (&world.person, Person::register(&node.url, "Cleo").await);
    let workspace = world.id("workspace_id");
    ada.invite(workspace, &cleo, "owner").await;
    let make = json!({"type": "dm", "participants": [format!("user:{}", world.id("user_id"))],
        "project_id": world.id("project_id"), "task_id": world.id("task_id"), "title": "psst title"});
    let dm = ada.post(&format!("/workspaces/{workspace}/conversations"), make).await;
    let dm = dm["id"].as_str().expect("it has an id").to_owned();
    let words = json!({"parts": [{"type": "text", "text": "psst words"}]});
    let message = ada.post(&format!("/conversations/{dm}/messages"), words.clone()).await;
    let seen_by = async |person: &Person| {
        let mut all = String::new();
        for path in [
            format!("/workspaces/{workspace}/events?limit=200"),
            format!("/projects/{}/timeline?limit=200", world.id("project_id")),
            format!("/tasks/{}/timeline?limit=200", world.id("task_id")),
            format!("/workspaces/{workspace}/conversations"),
            format!("/workspaces/{workspace}/tasks/search?q=psst"),
        ] {
            all += &person.get(&path).await.to_string();
        }
        all
    };
    let (inside, outside) = (seen_by(ada).await, seen_by(&cleo).await);
    assert!(inside.contains("psst words") && inside.contains(&dm));
    assert!(!outside.contains("psst") && !outside.contains(&dm), "{outside}");

    let (http, table) = (http(), table());
    for operation in table.operations().iter().filter(|operation| operation.name.starts_with("conversations.")) {
        let Some((_, "conversation_id")) = operation.scope else { continue };
        let mut input = with(&world.input(operation), "conversation_id", json!(dm));
        if input.contains_key("message_id") {
            input.insert("message_id".into(), message["id"].clone());
        }
        let there = Shot::of(operation, &input, Some(&cleo.token)).fire(&http, &node.url).await;
        let nowhere = with(&input, "conversation_id", json!(NOBODY));
        let nowhere = Shot::of(operation, &nowhere, Some(&cleo.token)).fire(&http, &node.url).await;
        there.is("not_found");
        assert_eq!(seen(&there), seen(&nowhere), "{}", operation.name);
    }
    node.node.stop().await;
}
