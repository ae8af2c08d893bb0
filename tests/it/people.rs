//! Who has to approve, who is asked, and what happens when they do not answer.

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
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
    ada.try_post(&path, to(bob)).await.problem("not_found");
    let set = ada.post(&path, to(eve)).await;
    assert_eq!((&set["review_missing"], &set["review"]["approvals"]), (&Value::Null, &json!(1)));
    assert_eq!(kinds(&inbox(ada, workspace).await), [""; 0]);
    assert_eq!(kinds(&inbox(eve, workspace).await), ["review"]);
    let seen = eve.post(&format!("/delegations/{delegation}/review"), json!({"verdict": "approve"})).await;
    assert_eq!(seen["status"], "completed");
}
