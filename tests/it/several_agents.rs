//! Several agents on one piece of work: who may write where, who hands what to whom, and what comes of parts.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    fake_penguin::FakePenguin,
    node::{TestNode, TestProcess},
    person::{Person, id},
};

/// Makes a ready task that claims paths.
async fn claiming(ada: &Person, project: &str, title: &str, paths: &[&str]) -> String {
    let body = json!({"title": title, "description": "as the title says", "claims": paths});
    id(&ada.post(&format!("/projects/{project}/tasks"), body).await)
}

async fn routed(ada: &Person, delegation: &str) -> Value {
    ada.get(&format!("/delegations/{delegation}/route")).await["waits"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_begins_when_the_one_that_has_its_path_lets_go_although_link_was_killed_meanwhile() {
    let mut node = TestProcess::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let sleeper = ada.scripted(&workspace, "Sleeper", "say Zzz; silent").await;
    let worker = ada.scripted(&workspace, "Worker", "say Done.").await;
    let holder = claiming(&ada, &project, "Rewrite all of it", &["src"]).await;
    let narrow = claiming(&ada, &project, "Mend the doors", &["src/api", "docs/doors.md"]).await;
    let elsewhere = claiming(&ada, &project, "Mend the roof", &["roof"]).await;
    let first = ada.delegate(&holder, &sleeper).await;
    ada.until_delegation(&first, &["running"]).await;
    let second = ada.delegate(&narrow, &worker).await;
    let third = ada.delegate(&elsewhere, &worker).await;

    ada.until_delegation(&third, &["reviewing"]).await;
    let waits = routed(&ada, &second).await;
    assert_eq!((&waits["why"], &waits["holder"]), (&json!("path_claimed"), &json!(holder)), "{waits:#}");
    node.kill();
    node.revive().await;
    assert_eq!(ada.get(&format!("/delegations/{second}")).await["status"], "queued");
    ada.post(&format!("/delegations/{first}/cancel"), json!({})).await;
    let done = ada.until_delegation(&second, &["reviewing"]).await;
    assert_eq!(done["attempts"].as_array().map(Vec::len), Some(1), "{done:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_an_agent_at_work_would_share_are_refused_and_its_paths_are_told_to_it() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let [one, other] = [claiming(&ada, &project, "One", &["a"]).await, claiming(&ada, &project, "Other", &["b"]).await];
    let fake = FakePenguin::start().await;
    let penguin = penguin(&ada, &workspace, &fake).await;
    for task in [&one, &other] {
        ada.send(reqwest::Method::PATCH, &format!("/tasks/{task}"), Some(&json!({"description": "[[hang]]"})), None)
            .await
            .ok();
        let delegation = ada.delegate(task, &penguin).await;
        ada.until_delegation(&delegation, &["running"]).await;
    }
    assert!(fake.prompts()[0].contains("- a") && fake.prompts()[1].contains("- b"), "{:#?}", fake.prompts());
    let body = json!({"claims": ["b/x"]});
    let refused = ada.send(reqwest::Method::PATCH, &format!("/tasks/{one}"), Some(&body), None).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (409, &json!("busy")), "{:#}", refused.body);
    let body = json!({"claims": ["a/x", "c"]});
    let changed = ada.send(reqwest::Method::PATCH, &format!("/tasks/{one}"), Some(&body), None).await.ok();
    assert_eq!(changed["claims"], json!(["a/x", "c"]));
    for bad in [json!(["../x"]), json!(["/x"]), json!(["x/"]), json!(["x", "x"]), json!(vec!["x"; 65])] {
        let body = json!({"claims": bad});
        let refused = ada.send(reqwest::Method::PATCH, &format!("/tasks/{one}"), Some(&body), None).await;
        assert_eq!(refused.status, 400, "{:#}", refused.body);
    }
    node.node.stop().await;
}

/// Makes a key for an agent, and calls with it.
async fn by_its_key(ada: &Person, agent: &str) -> Person {
    let key = ada.post(&format!("/agents/{agent}/keys"), json!({"name": "its own"})).await;
    Person { token: key["key"].as_str().expect("a key is shown once").to_owned(), ..ada.clone() }
}

/// Registers a Penguin and returns its id.
async fn penguin(ada: &Person, workspace: &str, fake: &FakePenguin) -> String {
    let body = json!({"name": "Penguin", "runtime": "penguin", "instances": [{"url": fake.url(), "slots": 2}]});
    id(&ada.post(&format!("/workspaces/{workspace}/agents"), body).await)
}

/// Makes a task that a Penguin never ends.
async fn endless(ada: &Person, project: &str, title: &str) -> String {
    let body = json!({"title": title, "description": "For ever. [[hang]]"});
    id(&ada.post(&format!("/projects/{project}/tasks"), body).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hands_its_work_to_another_which_goes_on_with_the_reason_and_what_was_made() {
    let (fake, node) = (FakePenguin::start().await, TestNode::start().await);
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = endless(&ada, &project, "Bake").await;
    let first = ada.scripted(&workspace, "Cook", "write dough.md half a cake; silent").await;
    let second = penguin(&ada, &workspace, &fake).await;
    let delegation = ada.delegate(&task, &first).await;
    let made = |seen: &Value| seen["items"][0].is_object();
    ada.until(&format!("/delegations/{delegation}/artifacts"), "the dough is there", made).await;

    let offer = json!({"agent_id": second, "reason": "you have the oven"});
    let cook = by_its_key(&ada, &first).await;
    let stranger = by_its_key(&ada, &second).await;
    stranger.try_post(&format!("/delegations/{delegation}/hand_off"), offer.clone()).await.problem("forbidden");
    cook.post(&format!("/delegations/{delegation}/hand_off"), offer).await;
    let taken = |seen: &Value| seen["attempts"][1]["status"] == "active";
    let seen = ada.until(&format!("/delegations/{delegation}"), "the other one works", taken).await;
    assert_eq!((&seen["attempts"][0]["status"], &seen["agent_id"]), (&json!("superseded"), &json!(second)), "{seen:#}");
    assert_eq!(seen["hand_off"], Value::Null);
    let prompt = &fake.prompts()[0];
    for known in ["hands this work over to you: you have the oven", "dough.md", "its agent handed the work over"] {
        assert!(prompt.contains(known), "{known}: {prompt}");
    }

    // Not back again by itself; the next step is said.
    let back = json!({"agent_id": first});
    let no = stranger.try_post(&format!("/delegations/{delegation}/hand_off"), back).await;
    assert_eq!(no.status, 409);
    assert!(no.problem("busy")["detail"].as_str().is_some_and(|why| why.contains("choose another one")));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_connects_answers_by_itself_and_what_nobody_takes_stays_where_it_is() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Bake").await;
    let first = ada.scripted(&workspace, "Cook", "say Zzz; silent").await;
    let (second, key) = ada.peer(&workspace, "Chef").await;
    let delegation = ada.delegate(&task, &first).await;
    ada.until_delegation(&delegation, &["running"]).await;
    let path = format!("/delegations/{delegation}");
    let chef = Person { token: key, ..ada.clone() };
    chef.try_post(&format!("{path}/accept_hand_off"), json!({})).await.problem("busy");

    let offer = json!({"agent_id": second, "reason": "please"});
    let offered = ada.post(&format!("{path}/hand_off"), offer.clone()).await;
    assert_eq!((&offered["hand_off"]["to"], &offered["status"]), (&json!(second), &json!("running")), "{offered:#}");
    ada.try_post(&format!("{path}/accept_hand_off"), json!({})).await.problem("forbidden");
    let declined = chef.post(&format!("{path}/decline_hand_off"), json!({"reason": "no oven"})).await;
    assert_eq!((&declined["hand_off"], &declined["status"]), (&Value::Null, &json!("running")), "{declined:#}");

    ada.post(&format!("{path}/hand_off"), offer.clone()).await;
    node.advance(TimeDelta::minutes(11));
    let ada = ada.login().await;
    let seen = ada.until(&path, "it lapsed", |seen| seen["hand_off"].is_null()).await;
    assert_eq!((&seen["status"], seen["attempts"].as_array().map(Vec::len)), (&json!("running"), Some(1)), "{seen:#}");

    ada.post(&format!("{path}/hand_off"), offer).await;
    let chef = Person { token: chef.token, ..ada.clone() };
    let taken = chef.post(&format!("{path}/accept_hand_off"), json!({})).await;
    assert_eq!((&taken["status"], &taken["agent_id"]), (&json!("queued"), &json!(second)), "{taken:#}");
    node.node.stop().await;
}

async fn fanned_out(who: &Person, task: &str, body: Value) -> Value {
    who.post(&format!("/tasks/{task}/fan_outs"), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_goes_on_with_what_its_workers_made_although_link_was_killed_in_between() {
    let (fake, mut node) = (FakePenguin::start().await, TestProcess::start().await);
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = endless(&ada, &project, "Supervise").await;
    let supervisor = penguin(&ada, &workspace, &fake).await;
    let quick = ada.scripted(&workspace, "Quick", "say Forty-two.").await;
    let slow = ada.scripted(&workspace, "Slow", "say Zzz; silent").await;
    let delegation = ada.delegate(&task, &supervisor).await;
    ada.until_delegation(&delegation, &["running"]).await;

    let part = |title: &str, agent: &str| json!({"title": title, "instructions": "Half of it.", "agent_id": agent});
    let parts = json!([part("Left half", &quick), part("Right half", &slow)]);
    let boss = by_its_key(&ada, &supervisor).await;
    let fan_out = fanned_out(&boss, &task, json!({"parts": parts, "join": "all"})).await;
    assert_eq!(
        (&fan_out["outcome"], fan_out["parts"].as_array().map(Vec::len)),
        (&Value::Null, Some(2)),
        "{fan_out:#}"
    );
    let part = |nth: usize, field: &str| fan_out["parts"][nth][field].as_str().expect("it has one").to_owned();
    ada.until(&format!("/tasks/{}", part(0, "task_id")), "it is done", |task| task["status"] == "done").await;
    ada.until_delegation(&part(1, "delegation_id"), &["running"]).await;
    let waits = ada.get(&format!("/tasks/{task}")).await;
    assert_eq!(waits["next_move"]["what"], "waits for its parts", "{waits:#}");
    assert_eq!(routed(&ada, &delegation).await["why"], "gated");

    node.kill();
    node.revive().await;
    ada.post(&format!("/delegations/{}/reassign", part(1, "delegation_id")), json!({"agent_id": quick})).await;
    let again = |seen: &Value| seen["attempts"][1]["status"] == "active";
    ada.until(&format!("/delegations/{delegation}"), "it goes on", again).await;
    let prompt = fake.prompts().pop().expect("it was told something");
    for known in ["split into 2 parts; 2 are done", "Part `Left half`: done, by agent", "Forty-two.", "Right half"] {
        assert!(prompt.contains(known), "{known}: {prompt}");
    }
    let seen = ada.get(&format!("/tasks/{task}/fan_outs")).await["items"][0].clone();
    assert_eq!(seen["outcome"], "enough", "{seen:#}");
    for (nth, result) in seen["results"].as_array().expect("there are results").iter().enumerate() {
        assert_eq!(result["agent"], json!(quick), "{seen:#}");
        let made = ada.get(&format!("/delegations/{}/artifacts", part(nth, "delegation_id"))).await;
        let known = made["items"].as_array().expect("a list").iter().any(|made| made["id"] == result["artifacts"][0]);
        assert!(known, "{made:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_is_out_of_time_goes_on_with_what_there_is_and_one_that_cannot_be_reached_asks_its_owner() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let quick = ada.scripted(&workspace, "Quick", "say Forty-two.").await;
    let slow = ada.scripted(&workspace, "Slow", "say Zzz; silent").await;
    let part = |title: &str, agent: &str| json!({"title": title, "instructions": "Half of it.", "agent_id": agent});
    let parts = json!([part("Left half", &quick), part("Right half", &slow)]);

    let task = ada.task(&project, "Supervise").await;
    let body = json!({"parts": parts, "timeout_seconds": 3600, "child_policy": "terminate"});
    let fan_out = fanned_out(&ada, &task, body).await;
    assert_eq!(ada.get(&format!("/tasks/{task}")).await["status"], "blocked");
    let delegation = fan_out["parts"][1]["delegation_id"].as_str().expect("it has one");
    ada.until_delegation(delegation, &["running"]).await;
    let done = fan_out["parts"][0]["task_id"].as_str().expect("it has one");
    ada.until(&format!("/tasks/{done}"), "it is done", |task| task["status"] == "done").await;
    node.advance(TimeDelta::minutes(61));
    let ada = ada.login().await;
    let seen = ada.until(&format!("/tasks/{task}"), "it goes on", |task| task["status"] == "ready").await;
    assert_eq!(seen["next_move"]["by"], "person", "{seen:#}");
    let seen = ada.get(&format!("/tasks/{task}/fan_outs")).await["items"][0].clone();
    let standing: Vec<_> = [0, 1].iter().map(|nth| seen["results"][*nth]["status"].clone()).collect();
    assert_eq!((&seen["outcome"], standing), (&json!("timed_out"), vec![json!("done"), json!("open")]), "{seen:#}");
    ada.until_delegation(delegation, &["cancelled"]).await;

    let task = ada.task(&project, "Supervise again").await;
    let fan_out = fanned_out(&ada, &task, json!({"parts": parts, "join": {"quorum": 2}})).await;
    let delegation = fan_out["parts"][1]["delegation_id"].as_str().expect("it has one");
    ada.until_delegation(delegation, &["running"]).await;
    ada.post(&format!("/delegations/{delegation}/cancel"), json!({})).await;
    ada.until(&format!("/tasks/{task}"), "it is decided", |task| task["status"] == "ready").await;
    let inbox = ada.get(&format!("/workspaces/{workspace}/inbox")).await;
    let items = inbox["items"].as_array().expect("a page has items");
    let item = items.iter().find(|item| item["kind"] == "join").unwrap_or_else(|| panic!("{inbox:#}"));
    assert_eq!((&item["task_id"], &item["mine"]), (&json!(task), &json!(true)), "{item:#}");
    ada.delegate(&task, &slow).await;
    let inbox = ada.get(&format!("/workspaces/{workspace}/inbox")).await;
    assert!(!inbox.to_string().contains("\"join\""), "{inbox:#}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_a_team_goes_to_its_agents_in_turn_and_its_people_are_asked() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let bob = Person::register(&node.url, "Bob").await;
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &bob, "member").await;
    let project = ada.project(&workspace, "Moon base").await;
    let asks = ada.scripted(&workspace, "Asks", "ask Which colour?").await;
    let does = ada.scripted(&workspace, "Does", "say Done.").await;
    ada.scripted(&workspace, "Outsider", "say I was not asked.").await;
    let members = json!([format!("agent:{asks}"), format!("agent:{does}"), format!("user:{}", bob.id)]);
    let teams = format!("/workspaces/{workspace}/teams");
    let body = json!({"name": "Crew", "members": members, "policy": "round_robin"});
    let team = id(&ada.post(&teams, body).await);

    let task = ada.task(&project, "Paint").await;
    let body = json!({"assignee": format!("team:{team}")});
    ada.send(reqwest::Method::PATCH, &format!("/tasks/{task}"), Some(&body), None).await.ok();
    let first = ada.post(&format!("/tasks/{task}/delegations"), json!({})).await;
    assert_eq!(first["team_id"], json!(team), "{first:#}");
    let other = ada.task(&project, "Sweep").await;
    let second = ada.post(&format!("/tasks/{other}/delegations"), json!({"team_id": team})).await;
    let mut got = vec![];
    for delegation in [&first, &second] {
        ada.until_delegation(&id(delegation), &["awaiting", "reviewing"]).await;
        let route = ada.get(&format!("/delegations/{}/route", id(delegation))).await["items"][0].clone();
        assert_eq!(route["route"]["team"], json!(team), "{route:#}");
        assert!(route["route"]["reason"].as_str().is_some_and(|why| why.contains("takes turns")), "{route:#}");
        got.push(route["agent_id"].as_str().expect("it has one").to_owned());
    }
    assert_eq!(got, [asks.clone(), does.clone()], "the older one first, then the other");
    let inbox = bob.get(&format!("/workspaces/{workspace}/inbox")).await;
    let question = inbox["items"].as_array().expect("a page").iter().find(|item| item["kind"] == "question");
    assert_eq!(question.expect("it is there")["mine"], json!(true), "{inbox:#}");

    // Led by a person, it waits for that person's word.
    let change = json!({"lead": format!("user:{}", bob.id), "policy": "leader"});
    let changed = ada.send(reqwest::Method::PATCH, &format!("{teams}/{team}"), Some(&change), None).await.ok();
    assert_eq!((&changed["policy"], &changed["name"]), (&json!("leader"), &json!("Crew")), "{changed:#}");
    let task = ada.task(&project, "Cook").await;
    let third = ada.post(&format!("/tasks/{task}/delegations"), json!({"team_id": team})).await;
    assert_eq!(
        (&third["status"], &third["owner"]),
        (&json!("escalated"), &json!(format!("user:{}", bob.id))),
        "{third:#}"
    );
    bob.post(&format!("/delegations/{}/reassign", id(&third)), json!({"agent_id": asks})).await;

    // Dissolved, it gives nobody work any more, and what waits for it is a person's.
    ada.post(&format!("/agents/{asks}/pause"), json!({})).await;
    ada.post(&format!("/agents/{does}/pause"), json!({})).await;
    let change = json!({"policy": "learned", "lead": null});
    ada.send(reqwest::Method::PATCH, &format!("{teams}/{team}"), Some(&change), None).await.ok();
    let task = ada.task(&project, "Wash").await;
    let waits = ada.post(&format!("/tasks/{task}/delegations"), json!({"team_id": team})).await;
    assert_eq!(waits["status"], json!("queued"), "{waits:#}");
    ada.send(reqwest::Method::DELETE, &format!("{teams}/{team}"), None, None).await.ok();
    let left = ada.get(&format!("/delegations/{}", id(&waits))).await;
    assert_eq!((&left["status"], &left["team_id"]), (&json!("escalated"), &json!(team)), "{left:#}");
    assert_eq!(ada.get(&teams).await["items"], json!([]));

    // Nobody else's team is there.
    let crew = id(&ada.post(&teams, json!({"name": "Crew", "members": [format!("agent:{asks}")]})).await);
    let eve = Person::register(&node.url, "Eve").await;
    let elsewhere = eve.workspace("Elsewhere").await;
    let project = eve.project(&elsewhere, "Base").await;
    let task = eve.task(&project, "Steal").await;
    eve.try_post(&format!("/tasks/{task}/delegations"), json!({"team_id": crew})).await.problem("not_found");
    let own = format!("/workspaces/{elsewhere}/teams/{crew}");
    for method in [reqwest::Method::PATCH, reqwest::Method::DELETE] {
        let body = (method == reqwest::Method::PATCH).then(|| json!({"name": "Mine"}));
        eve.send(method.clone(), &own, body.as_ref(), None).await.problem("not_found");
        eve.send(method, &format!("{teams}/{crew}"), body.as_ref(), None).await.problem("not_found");
    }
    let both = json!({"team_id": crew, "agent_id": asks});
    eve.try_post(&format!("/tasks/{task}/delegations"), both).await.problem("invalid_input");
    node.node.stop().await;
}
