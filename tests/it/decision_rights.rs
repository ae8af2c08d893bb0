//! What agents decide on people's behalf, and what they do not.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    peer::Peer,
    person::{Person, id},
    team::{Team, named},
};

/// The agent itself, by a key of its own.
async fn key_of(team: &Team, agent: &str) -> Person {
    let made = team.ada.post(&format!("/agents/{agent}/keys"), json!({"name": "desk"})).await;
    Person {
        token: made["key"].as_str().expect("the key is shown once").to_owned(),
        id: agent.to_owned(),
        ..team.ada.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_decides_on_a_persons_behalf_within_what_it_was_given_and_no_more() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, bob, eve, workspace, project, .. } = &team;
    let [asker, foreman, other] =
        [team.agent("ask Which?; say Done.").await, team.agent("say Hi.").await, team.agent("say Ho.").await];
    let (as_foreman, as_other, as_asker) =
        (key_of(&team, &foreman).await, key_of(&team, &other).await, key_of(&team, &asker).await);
    let rights = format!("/workspaces/{workspace}/decision_rights");
    let give = |agent: &str, decides: Value, uses: u32| json!({"agent_id": agent, "subject": format!("project:{project}"), "decides": decides, "uses_max": uses});
    // Only people let agents decide, and only what they may decide themselves.
    as_foreman.try_post(&rights, give(&other, json!(["question"]), 1)).await.problem("forbidden");
    let guest = Person::register(&team.node.url, "Gus").await;
    ada.invite(workspace, &guest, "guest").await;
    guest.try_post(&rights, give(&foreman, json!(["question"]), 1)).await.problem("forbidden");
    let right = id(&bob.post(&rights, give(&foreman, json!(["question", "review"]), 2)).await);
    let to_asker = id(&bob.post(&rights, give(&asker, json!(["question"]), 9)).await);

    let delegation = team.delegate(&asker, json!({})).await;
    let question = ada.until_delegation(&delegation, &["awaiting"]).await["interrupts"][0]["id"].clone();
    let path = format!("/delegations/{delegation}/decide");
    let answer =
        |right: &str| json!({"right_id": right, "decision": {"answer": {"interrupt_id": question, "answer": "this"}}});
    // It is in the inbox of the agent that may decide it, and of no other agent.
    let inbox = format!("/workspaces/{workspace}/inbox");
    let waits = as_foreman.get(&inbox).await["items"].clone();
    assert_eq!(waits.as_array().map(Vec::len), Some(1), "{waits:#}");
    let item = &waits[0];
    assert_eq!(
        (&item["id"], &item["kind"], &item["delegation_id"]),
        (&question, &json!("question"), &json!(delegation))
    );
    assert_eq!((&item["right_id"], &item["on_behalf_of"]), (&json!(right), &json!(format!("user:{}", bob.id))));
    for nobody in [&as_other, &as_asker] {
        assert_eq!(nobody.get(&inbox).await["items"], json!([]));
    }
    as_asker.try_post(&path, answer(&to_asker)).await.problem("forbidden");
    as_other.try_post(&path, answer(&right)).await.problem("not_found");
    bob.try_post(&path, answer(&right)).await.problem("not_found");
    let seen = as_foreman.post(&path, answer(&right)).await;
    let asked = &seen["interrupts"][0];
    assert_eq!(
        (&asked["answered_by"], &asked["decided_by"]),
        (&json!(format!("user:{}", bob.id)), &json!(format!("agent:{foreman}")))
    );
    let again = as_foreman.try_post(&path, answer(&right)).await;
    assert!(again.status.is_client_error(), "once is enough: {again:?}");

    ada.until_delegation(&delegation, &["reviewing"]).await;
    let approve = |right: &str| json!({"right_id": right, "decision": {"review": {"verdict": "approve"}}});
    let waits = as_foreman.get(&inbox).await["items"].clone();
    assert_eq!((&waits[0]["kind"], &waits[0]["right_id"]), (&json!("review"), &json!(right)), "{waits:#}");
    let seen = as_foreman.post(&path, approve(&right)).await;
    assert_eq!(as_foreman.get(&inbox).await["items"], json!([]), "it is decided, and the right is used up");
    assert_eq!(
        (&seen["status"], &seen["reviews"][0]["decided_by"]),
        (&json!("completed"), &json!(format!("agent:{foreman}")))
    );
    let made = ada.log(workspace).await;
    let made: Vec<_> = made.iter().filter(|event| event["type"] == "decision:made").collect();
    assert_eq!(made.len(), 2, "{made:#?}");
    for (nth, event) in made.iter().enumerate() {
        assert_eq!(
            (&event["actor"], &event["on_behalf_of"]),
            (&json!(format!("agent:{foreman}")), &json!(format!("user:{}", bob.id)))
        );
        assert_eq!(event["data"]["nth"], json!(nth + 1));
    }

    // It is used up; a new one is revoked at once, and one whose giver has lost the right is worth nothing.
    let delegation = team.delegate(&asker, json!({"review": named(1, &[bob, eve])})).await;
    let question = ada.until_delegation(&delegation, &["awaiting"]).await["interrupts"][0]["id"].clone();
    let path = format!("/delegations/{delegation}/decide");
    let answer =
        |right: &str| json!({"right_id": right, "decision": {"answer": {"interrupt_id": question, "answer": "this"}}});
    as_foreman.try_post(&path, answer(&right)).await.problem("forbidden");
    let next = id(&bob.post(&rights, give(&foreman, json!(["review"]), 2)).await);
    as_foreman.try_post(&path, answer(&next)).await.problem("forbidden");
    let listed = as_foreman.get(&rights).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed:#}");
    assert_eq!(listed["items"][0]["uses"], 2);
    let spare = id(&bob.post(&rights, give(&foreman, json!(["question"]), 2)).await);
    eve.send(Method::DELETE, &format!("{rights}/{spare}"), None, None).await.problem("forbidden");
    bob.send(Method::DELETE, &format!("{rights}/{spare}"), None, None).await.ok();
    as_foreman.try_post(&path, answer(&spare)).await.problem("not_found");
    let lost = id(&bob.post(&rights, give(&foreman, json!(["question"]), 2)).await);
    let role = json!({"role": "guest"});
    ada.send(Method::PATCH, &format!("/workspaces/{workspace}/members/{}", bob.id), Some(&role), None).await.ok();
    as_foreman.try_post(&path, answer(&lost)).await.problem("forbidden");
    let gone = format!("/workspaces/{workspace}/members/{}", bob.id);
    ada.send(Method::DELETE, &gone, None, None).await.ok();
    as_foreman.try_post(&path, answer(&lost)).await.problem("not_found");
    team.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dearer_or_riskier_than_a_right_allows_is_not_in_its_agents_inbox_and_not_decided() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, bob, workspace, project, .. } = &team;
    let foreman = team.agent("say Hi.").await;
    let as_foreman = key_of(&team, &foreman).await;
    let body = json!({
        "agent_id": foreman, "subject": format!("project:{project}"), "decides": ["approval"], "uses_max": 9,
        "cost_usd_max": 2.5, "risk_max": "medium",
    });
    let right = id(&bob.post(&format!("/workspaces/{workspace}/decision_rights"), body).await);
    let (helper, key) = ada.peer(workspace, "Helper").await;
    let mut peer = Peer::connect(&team.node.url, &key).await;
    let delegation = team.delegate(&helper, json!({})).await;
    let attempt = peer.assigned().await["attempt"].clone();
    let asked = [
        ("fits", json!({"cost_usd": 2.5, "risk": "medium"})),
        ("says nothing", json!({})),
        ("dear", json!({"cost_usd": 2.51, "risk": "low"})),
        ("risky", json!({"cost_usd": 1, "risk": "high"})),
        ("odd", json!({"risk": "well, a little"})),
    ];
    for (prompt, details) in &asked {
        let ask =
            json!({"t": "interrupt", "interrupt": prompt, "kind": "approval", "prompt": prompt, "details": details});
        peer.say(&attempt, ask).await;
    }
    peer.acknowledged(&attempt, asked.len() as u64).await;

    let inbox = format!("/workspaces/{workspace}/inbox");
    let waits = as_foreman.get(&inbox).await["items"].clone();
    let mut texts: Vec<_> = waits.as_array().expect("a list").iter().filter_map(|item| item["text"].as_str()).collect();
    texts.sort_unstable();
    assert_eq!(texts, ["fits", "says nothing"], "{waits:#}");
    // What is not in its inbox is not decided either, and a person may decide all of it.
    let open = ada.get(&format!("/delegations/{delegation}")).await["interrupts"].clone();
    let path = format!("/delegations/{delegation}/decide");
    for question in open.as_array().expect("a list") {
        let answer = json!({"answer": {"interrupt_id": question["id"], "answer": {"approve": true}}});
        let decided = as_foreman.try_post(&path, json!({"right_id": right, "decision": answer})).await;
        match texts.contains(&question["prompt"].as_str().expect("a text")) {
            true => drop(decided.ok()),
            false => drop(decided.problem("forbidden")),
        }
    }
    assert_eq!(as_foreman.get(&inbox).await["items"], json!([]));
    let rest = bob.get(&inbox).await["items"].clone();
    assert_eq!(rest.as_array().map(Vec::len), Some(3), "{rest:#}");
    team.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agents_inbox_shows_nothing_that_the_agent_may_not_see_itself_or_its_key_is_not_good_for() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, bob, workspace, project, .. } = &team;
    let [asker, foreman] = [team.agent("ask Which?; say Done.").await, team.agent("say Hi.").await];
    let body = json!({"agent_id": foreman, "subject": format!("project:{project}"), "decides": ["question"]});
    bob.post(&format!("/workspaces/{workspace}/decision_rights"), body).await;
    let delegation = team.delegate(&asker, json!({})).await;
    ada.until_delegation(&delegation, &["awaiting"]).await;
    let as_foreman = key_of(&team, &foreman).await;
    let keys = format!("/agents/{foreman}/keys");
    let made = ada.post(&keys, json!({"name": "talks only", "scopes": ["converse"]})).await;
    let talks_only = Person { token: made["key"].as_str().expect("it is shown once").to_owned(), ..as_foreman.clone() };

    let inbox = format!("/workspaces/{workspace}/inbox");
    let waits = as_foreman.get(&inbox).await["items"].clone();
    assert_eq!(waits.as_array().map(Vec::len), Some(1), "{waits:#}");
    assert_eq!(talks_only.get(&inbox).await["items"], json!([]));
    for permission in ["delegate", "read"] {
        let deny = json!({"subject": format!("project:{project}"), "principal": format!("agent:{foreman}"),
            "effect": "deny", "permissions": [permission]});
        let grant = id(&ada.post(&format!("/workspaces/{workspace}/grants"), deny).await);
        assert_eq!(as_foreman.get(&inbox).await["items"], json!([]), "{permission}");
        ada.send(Method::DELETE, &format!("/workspaces/{workspace}/grants/{grant}"), None, None).await.ok();
    }
    assert_eq!(as_foreman.get(&inbox).await["items"], waits);
    team.node.node.stop().await;
}
