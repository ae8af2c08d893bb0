//! Who has to approve, who is asked, and what happens when they do not answer.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::{
    node::{TestNode, TestProcess},
    person::{Person, id},
};

async fn inbox(who: &Person, workspace: &str) -> Vec<Value> {
    who.get(&format!("/workspaces/{workspace}/inbox")).await["items"].as_array().expect("a page has items").clone()
}

fn kinds(items: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = items.iter().filter_map(|item| item["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}

/// An owner with a workspace, a project, and two more members.
struct Team {
    node: TestNode,
    ada: Person,
    bob: Person,
    eve: Person,
    workspace: String,
    project: String,
}

impl Team {
    async fn on(node: TestNode) -> Self {
        let [ada, bob, eve] = ["Ada", "Bob", "Eve"];
        let ada = Person::register(&node.url, ada).await;
        let (bob, eve) = (Person::register(&node.url, bob).await, Person::register(&node.url, eve).await);
        let workspace = ada.workspace("Lab").await;
        ada.invite(&workspace, &bob, "member").await;
        ada.invite(&workspace, &eve, "member").await;
        let project = ada.project(&workspace, "Moon base").await;
        Self { node, ada, bob, eve, workspace, project }
    }

    async fn agent(&self, script: &str) -> String {
        self.ada.scripted(&self.workspace, script, script).await
    }

    /// Delegates a new task as Ada, with more to say.
    async fn delegate(&self, agent: &str, more: Value) -> String {
        let task = self.ada.task(&self.project, "Write").await;
        let mut body = json!({"agent_id": agent});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        id(&self.ada.post(&format!("/tasks/{task}/delegations"), body).await)
    }
}

fn named(approvals: u8, people: &[&Person]) -> Value {
    let approvers: Vec<String> = people.iter().map(|person| format!("user:{}", person.id)).collect();
    json!({"approvals": approvals, "by": "others", "approvers": approvers})
}

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

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_only_to_who_has_every_skill_that_it_requires_and_says_what_is_missing() {
    let team = Team::on(TestNode::start().await).await;
    let Team { ada, workspace, .. } = &team;
    let register = |name: &'static str, skills: Value| {
        let instances = json!([{"url": "script:say Done."}]);
        json!({"name": name, "runtime": "scripted", "instances": instances, "skills": skills})
    };
    let agents = format!("/workspaces/{workspace}/agents");
    let cook = id(&ada.post(&agents, register("Cook", json!(["cooking"]))).await);
    ada.post(&agents, register("Nobody", json!([]))).await;
    let task = ada.task(&team.project, "Sew").await;
    let body = json!({"skills": ["cooking", "sewing"]});
    let delegation = id(&ada.post(&format!("/tasks/{task}/delegations"), body).await);
    let route = format!("/delegations/{delegation}/route");
    let held = ada.until(&route, "it says what is missing", |seen| seen["waits"]["why"] == "no_skill").await;
    assert!(held["waits"]["reason"].as_str().is_some_and(|why| why.ends_with(": sewing")), "{held:#}");
    let filtered = held["waits"]["filtered"].as_array().expect("a list");
    assert!(filtered.len() == 2 && filtered.iter().all(|fell| fell["why"] == "skills"), "{held:#}");

    let body = json!({"skills": ["cooking", "sewing"]});
    ada.send(reqwest::Method::PATCH, &format!("/agents/{cook}"), Some(&body), None).await.ok();
    let seen = ada.until_delegation(&delegation, &["reviewing"]).await;
    assert_eq!(seen["agent_id"], json!(cook));
    let route = ada.get(&route).await;
    let filtered = &route["items"][0]["route"]["decision"]["filtered"];
    assert_eq!((filtered.as_array().map(Vec::len), &filtered[0]["why"]), (Some(1), &json!("skills")), "{route:#}");
    team.node.node.stop().await;
}

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
    eve.send(reqwest::Method::DELETE, &format!("{rights}/{spare}"), None, None).await.problem("forbidden");
    bob.send(reqwest::Method::DELETE, &format!("{rights}/{spare}"), None, None).await.ok();
    as_foreman.try_post(&path, answer(&spare)).await.problem("not_found");
    let lost = id(&bob.post(&rights, give(&foreman, json!(["question"]), 2)).await);
    let role = json!({"role": "guest"});
    ada.send(reqwest::Method::PATCH, &format!("/workspaces/{workspace}/members/{}", bob.id), Some(&role), None)
        .await
        .ok();
    as_foreman.try_post(&path, answer(&lost)).await.problem("forbidden");
    let gone = format!("/workspaces/{workspace}/members/{}", bob.id);
    ada.send(reqwest::Method::DELETE, &gone, None, None).await.ok();
    as_foreman.try_post(&path, answer(&lost)).await.problem("not_found");
    team.node.node.stop().await;
}
