//! Who has to approve, who is asked, and what happens when they do not answer.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    node::{TestNode, TestProcess},
    person::Person,
    team::{Team, inbox, kinds, named},
};

#[tokio::test(flavor = "multi_thread")]
async fn so_many_of_those_who_were_named_have_to_approve_and_nobody_else_can() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, bob, eve, workspace, .. } = &team;
    let (fay, guest) = (Person::register(&team.node.url, "Fay").await, Person::register(&team.node.url, "Gus").await);
    ada.invite(workspace, &fay, "member").await;
    ada.invite(workspace, &guest, "guest").await;
    let agent = team.agent("say Done.").await;
    let task = ada.task(&team.project, "Write").await;
    let delegations = format!("/tasks/{task}/delegations");
    let stranger = Person::register(&team.node.url, "Sue").await;
    for (review, code) in [
        // Who delegates does not count, and neither does who may not review.
        (named(2, &[ada, bob]), "busy"),
        (named(2, &[&guest, bob]), "busy"),
        (named(3, &[eve, bob]), "busy"),
        (named(0, &[eve, bob]), "busy"),
        (named(1, &[&stranger]), "not_found"),
        (json!({"approvals": 1, "by": "others", "approvers": [format!("agent:{agent}")]}), "invalid_input"),
        (json!({"approvals": 9, "by": "others"}), "busy"),
    ] {
        ada.try_post(&delegations, json!({"agent_id": agent, "review": review})).await.problem(code);
    }
    let delegation = team.delegate(&agent, json!({"review": named(2, &[bob, eve])})).await;
    ada.until_delegation(&delegation, &["reviewing"]).await;

    for (who, expected) in [(bob, &["review"][..]), (eve, &["review"]), (&fay, &[]), (ada, &[])] {
        let items = inbox(who, workspace).await;
        assert_eq!(kinds(&items), expected, "{items:#?}");
        assert!(items.iter().all(|item| item["mine"] == true), "{items:#?}");
    }
    let review = format!("/delegations/{delegation}/review");
    fay.try_post(&review, json!({"verdict": "approve"})).await.problem("forbidden");
    let seen = bob.post(&review, json!({"verdict": "approve"})).await;
    assert_eq!(seen["status"], "reviewing");
    assert_eq!(kinds(&inbox(bob, workspace).await), [""; 0]);
    let seen = eve.post(&review, json!({"verdict": "approve"})).await;
    assert_eq!(seen["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_whose_approver_has_left_goes_to_its_owner_who_names_another() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, bob, eve, workspace, .. } = &team;
    let agent = team.agent("say Done.").await;
    let delegation = team.delegate(&agent, json!({"review": named(1, &[bob])})).await;
    ada.until_delegation(&delegation, &["reviewing"]).await;
    let gone = format!("/workspaces/{workspace}/members/{}", bob.id);
    ada.send(reqwest::Method::DELETE, &gone, None, None).await.ok();

    let waiting = inbox(ada, workspace).await;
    assert_eq!(kinds(&waiting), ["review_stuck"]);
    assert_eq!((&waiting[0]["mine"], &waiting[0]["owner"]), (&json!(true), &json!(format!("user:{}", ada.id))));
    let told = ada.log(workspace).await;
    let told: Vec<_> = told.iter().filter(|event| event["type"] == "delegation:review_stuck").collect();
    assert_eq!((told.len(), &told[0]["data"]["missing"]), (1, &json!(1)));

    let path = format!("/delegations/{delegation}/approvers");
    let to = |who: &Person| json!({"approvers": [format!("user:{}", who.id)]});
    ada.try_post(&path, to(ada)).await.problem("forbidden");
    ada.try_post(&path, to(&Person::register(&team.node.url, "Sue").await)).await.problem("not_found");
    let set = ada.post(&path, to(eve)).await;
    assert_eq!((&set["review_missing"], &set["review"]["approvals"]), (&Value::Null, &json!(1)));
    assert_eq!(kinds(&inbox(ada, workspace).await), [""; 0]);
    assert_eq!(kinds(&inbox(eve, workspace).await), ["review"]);
    let seen = eve.post(&format!("/delegations/{delegation}/review"), json!({"verdict": "approve"})).await;
    assert_eq!(seen["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_and_what_is_stuck_about_it_are_both_in_an_inbox_that_is_read_page_by_page() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, bob, eve, workspace, .. } = &team;
    let agent = team.agent("say Done.").await;
    let delegation = team.delegate(&agent, json!({"review": named(2, &[bob, eve])})).await;
    ada.until_delegation(&delegation, &["reviewing"]).await;
    let gone = format!("/workspaces/{workspace}/members/{}", bob.id);
    ada.send(reqwest::Method::DELETE, &gone, None, None).await.ok();
    let (mut paged, mut cursor) = (vec![], String::new());
    loop {
        let page = eve.get(&format!("/workspaces/{workspace}/inbox?limit=1{cursor}")).await;
        paged.extend(page["items"].as_array().expect("a page has items").clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(kinds(&paged), ["review", "review_stuck"]);
    assert!(paged.iter().all(|item| item["delegation_id"] == json!(delegation)), "{paged:#?}");
    team.node.node.stop().await;
}

/// Waits until so many events of a type are in the log, and returns their data.
async fn events(who: &Person, workspace: &str, kind: &str, count: usize) -> Vec<Value> {
    let path = format!("/workspaces/{workspace}/events?limit=200");
    let of_kind = |page: &Value| -> Vec<Value> {
        let events = page["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        events.iter().filter(|event| event["type"] == kind).map(|event| event["data"].clone()).collect()
    };
    of_kind(&who.until(&path, &format!("{count} × {kind}"), |page| of_kind(page).len() >= count).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_nobody_takes_up_is_brought_up_again_and_goes_up_the_chain_also_after_a_restart() {
    let team = Team::on(TestNode::start().await).await;
    let agent = team.agent("say Done.").await;
    let delegation = team.delegate(&agent, json!({"review": named(1, &[&team.eve])})).await;
    team.ada.until_delegation(&delegation, &["reviewing"]).await;
    let Team { node, ada, eve, workspace, .. } = team;
    let (me, other) = (json!(format!("user:{}", ada.id)), json!(format!("user:{}", eve.id)));

    node.advance(TimeDelta::hours(5));
    let ada = ada.login().await;
    let sent = events(&ada, &workspace, "reminder:sent", 1).await;
    assert_eq!((&sent[0]["matter"], &sent[0]["nth"]), (&json!("review"), &json!(1)), "{sent:#?}");
    assert_eq!((&sent[0]["to"], &sent[0]["delegation"]), (&json!([other]), &json!(delegation)));
    // The new node's clock is as ours; what the log says is due is due no earlier.
    let node = node.restart().await;
    let ada = Person { url: node.url.clone(), ..ada };
    node.advance(TimeDelta::hours(14));
    let ada = ada.login().await;
    let sent = events(&ada, &workspace, "reminder:sent", 2).await;
    assert_eq!((sent.len(), &sent[1]["nth"]), (2, &json!(2)), "{sent:#?}");
    node.advance(TimeDelta::hours(17));
    let ada = ada.login().await;
    let sent = events(&ada, &workspace, "reminder:sent", 3).await;
    assert_eq!(sent.len(), 3, "each once: {sent:#?}");
    let to = sent[2]["to"].as_array().expect("a list");
    assert!(to.len() == 2 && to.contains(&me) && to.contains(&other), "the owner hears of the third: {sent:#?}");

    let eve = Person { url: node.url.clone(), ..eve }.login().await;
    eve.post(&format!("/delegations/{delegation}/review"), json!({"verdict": "approve"})).await;
    node.advance(TimeDelta::hours(100));
    let ada = ada.login().await;
    assert_eq!(events(&ada, &workspace, "reminder:sent", 3).await.len(), 3, "what is decided is not brought up");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reminder_is_sent_once_although_link_is_killed_again_and_again() {
    let settings = [("LINK_REMIND_QUESTION_SECS", "1")];
    let mut node = TestProcess::with(&settings).await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let (task, agent) = (ada.task(&project, "Ask").await, ada.scripted(&workspace, "Asker", "ask Which?").await);
    let delegation = ada.delegate(&task, &agent).await;
    ada.until_delegation(&delegation, &["awaiting"]).await;
    for count in 1..=3 {
        events(&ada, &workspace, "reminder:sent", count).await;
        node.kill();
        node.revive().await;
    }
    let sent = events(&ada, &workspace, "reminder:sent", 3).await;
    let numbers: Vec<u64> = sent.iter().filter_map(|sent| sent["nth"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    let open = ada.get(&format!("/delegations/{delegation}")).await["interrupts"].clone();
    assert_eq!((open.as_array().map(Vec::len), &open[0]["status"]), (Some(1), &json!("open")), "{open:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_nobody_answers_becomes_what_was_agreed_and_never_anything_else() {
    let team = Team::on(TestNode::start().await).await;
    let agent = team.agent("ask Which colour?; say So be it.").await;
    let asker = team.agent("approve dropping the table; say Dropped.").await;
    let after = |then: Value| json!({"expiry": {"after_secs": 3_600, "then": then}});
    let answered = team.delegate(&agent, after(json!({"answer": "blue"}))).await;
    team.ada.until_delegation(&answered, &["awaiting"]).await;
    let patient = team.ada.scripted(&team.workspace, "Patient", "ask Which?").await;
    let patient = team.delegate(&patient, json!({})).await;
    let denied = team.delegate(&asker, after(json!("deny"))).await;
    let given_up = team.ada.scripted(&team.workspace, "Other", "ask Where?").await;
    let given_up = team.delegate(&given_up, after(json!("escalate"))).await;
    let mut questions = vec![];
    for delegation in [&answered, &denied, &given_up, &patient] {
        let seen = team.ada.until_delegation(delegation, &["awaiting"]).await;
        questions.push(seen["interrupts"][0]["id"].clone());
    }
    team.node.advance(TimeDelta::minutes(61));
    let ada = team.ada.login().await;

    let seen = ada.until_delegation(&answered, &["reviewing"]).await;
    let asked = &seen["interrupts"][0];
    assert_eq!((&asked["answer"], &asked["answered_by"]), (&json!("blue"), &json!("service:conductor")), "{asked:#}");
    assert_eq!(asked["policy"], json!({"after_secs": 3_600, "then": {"answer": "blue"}}));
    let seen = ada.until_delegation(&denied, &["escalated"]).await;
    assert_eq!(seen["interrupts"][0]["answer"]["approve"], false, "{seen:#}");
    let seen = ada.until_delegation(&given_up, &["escalated"]).await;
    assert_eq!(
        (&seen["interrupts"][0]["status"], &seen["attempts"][0]["status"]),
        (&json!("closed"), &json!("superseded"))
    );
    for (delegation, question) in [&answered, &denied, &given_up].into_iter().zip(&questions) {
        let late = json!({"interrupt_id": question, "answer": {"approve": true}});
        let late = ada.try_post(&format!("/delegations/{delegation}/answer"), late).await;
        assert_eq!(late.status, 409, "{late:?}");
        assert!(late.body["detail"].as_str().is_some_and(|why| why.contains("in time")), "{late:?}");
    }
    // Nothing was agreed for this one: it waits.
    assert_eq!(ada.get(&format!("/delegations/{patient}")).await["status"], "awaiting");
    ada.post(&format!("/delegations/{patient}/answer"), json!({"answer": "this"})).await;
    team.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_that_nobody_takes_is_brought_to_its_owner_and_keeps_its_place() {
    let team = Team::on(TestNode::start().await).await;
    let agent = team.agent("say Done.").await;
    team.ada.post(&format!("/agents/{agent}/pause"), json!({})).await;
    let delegation = team.delegate(&agent, json!({})).await;
    team.node.advance(TimeDelta::minutes(121));
    let ada = team.ada.login().await;
    let told = events(&ada, &team.workspace, "delegation:overdue", 1).await;
    assert!(told[0]["reason"].as_str().is_some_and(|why| why.contains("the agent is paused")), "{told:#?}");
    let waiting = inbox(&ada, &team.workspace).await;
    assert_eq!((kinds(&waiting), &waiting[0]["mine"]), (vec!["queue"], &json!(true)), "{waiting:#?}");
    let seen = ada.get(&format!("/delegations/{delegation}")).await;
    assert_eq!((&seen["status"], &seen["overdue"]), (&json!("queued"), &told[0]["reason"]));

    ada.post(&format!("/agents/{agent}/resume"), json!({})).await;
    let seen = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(seen["overdue"], Value::Null);
    assert_eq!(events(&ada, &team.workspace, "delegation:overdue", 1).await.len(), 1);
    team.node.node.stop().await;
}
