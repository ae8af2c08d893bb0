//! Every operation of the table, run once by the built binary against a real node.

use link::api::{Kind, Method, Operation, table};
use serde_json::{Map, Value};

use crate::support::{
    matrix::{Shot, World},
    node::TestNode,
    person::http,
    terminal::Terminal,
};

/// Reads come first, then what makes, what changes and what removes; what ends logins comes last.
fn turn(operation: &Operation) -> (bool, u8) {
    let order = match (operation.kind, operation.method) {
        (Kind::Query, _) => 0,
        (Kind::Mutation, _) if operation.status == 201 => 1,
        (Kind::Mutation, Method::Patch) => 2,
        (Kind::Mutation, Method::Get | Method::Post) => 3,
        (Kind::Mutation, Method::Delete) => 4,
    };
    (operation.name.starts_with("auth."), order)
}

/// The words that say an operation: its id by its place, all else by flags.
fn words(operation: &Operation, input: &Map<String, Value>) -> Vec<String> {
    let (router, verb) = operation.name.split_once('.').expect("names are of two parts");
    let mut words = vec![router.to_owned(), verb.replace('_', "-"), "--output=json".to_owned()];
    let last = operation.path_fields().last();
    for (field, value) in input {
        let several = value.as_array().filter(|items| !items.is_empty() && items.iter().all(Value::is_string));
        if let Some(items) = several {
            let flag = format!("--{}", field.replace('_', "-"));
            words.extend(items.iter().filter_map(Value::as_str).flat_map(|item| [flag.clone(), item.to_owned()]));
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if last == Some(field) {
            words.push(text);
            continue;
        }
        let flag = field.replace('_', "-");
        let flag = if ["server", "context", "output"].contains(&&*flag) { format!("field-{flag}") } else { flag };
        words.extend([format!("--{flag}"), text]);
    }
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_does_on_the_command_line_what_it_does_over_rest() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let delegation = world.id("delegation_id");
    world.person.until_delegation(delegation, &["running"]).await;
    let terminal = Terminal::at(&node.url).with("LINK_TOKEN", &world.person.token);
    let table = table();
    let mut operations: Vec<&Operation> = table.operations().iter().collect();
    operations.sort_by_key(|operation| turn(operation));
    let mut done = 0;
    for operation in &operations {
        let input = world.input(operation);
        let words = words(operation, &input);
        let said = terminal.link(&words.iter().map(String::as_str).collect::<Vec<_>>()).await;
        if said.code == 0 {
            said.json();
            done += 1;
        } else {
            // What was refused changed nothing, so that it is refused again, for the same reason.
            let refused = said.refused(1);
            let hit = Shot::of(operation, &input, Some(&world.person.token)).fire(&http(), &node.url).await;
            assert_eq!(hit.refused(), refused["code"], "{words:?}: {refused:#}");
        }
        if operation.name.starts_with("delegation.") && operation.kind == Kind::Mutation {
            let settled =
                ["running", "paused", "awaiting", "reviewing", "escalated", "completed", "failed", "cancelled"];
            world.person.until_delegation(delegation, &settled).await;
        }
    }
    assert!(done * 3 > operations.len() * 2, "only {done} of {} operations were done", operations.len());
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_raw_call_takes_its_input_from_everywhere() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let terminal = Terminal::at(&node.url).with("LINK_TOKEN", &world.person.token);
    let input = format!("{{\"task_id\":\"{}\"}}", world.id("task_id"));
    std::fs::write(terminal.home.join("input.json"), &input).unwrap();
    let direct = terminal.link(&["api", "tasks.get", "--input", &input]).await.json();
    let file = terminal.link(&["api", "tasks.get", "--input", "@input.json"]).await.json();
    let piped = terminal.link_with(&["api", "tasks.get", "--input", "-"], &input).await.json();
    assert_eq!((&direct["id"], &file, &piped), (&world.id("task_id").into(), &direct, &direct));
    node.node.stop().await;
}
