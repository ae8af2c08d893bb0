//! What is taken away is taken away from open sockets and from lists too, at once, and nothing else is.

use std::collections::BTreeSet;

use link::{
    domain::{access::Rights, event::Recorded, ids::WorkspaceId, principal::Principal, workspace::Workspace},
    persistence::log,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::{Person, id},
    socket::Socket,
};

/// Random choices that are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }
}

/// A workspace with two projects, their tasks and conversations, and watchers of every kind.
struct Scene {
    owner: Person,
    workspace: String,
    projects: Vec<String>,
    tasks: Vec<String>,
    rooms: Vec<String>,
    watchers: Vec<Person>,
    team: String,
    roles: Vec<String>,
    grants: Vec<String>,
}

impl Scene {
    async fn build(node: &TestNode) -> Self {
        let owner = Person::register(&node.url, "Owner").await;
        let workspace = owner.workspace("Lab").await;
        let (mut projects, mut tasks, mut rooms) = (vec![], vec![], vec![]);
        let conversations = format!("/workspaces/{workspace}/conversations");
        rooms.push(id(&owner.post(&conversations, json!({"type": "channel", "title": "Hall"})).await));
        for name in ["Moon", "Mars"] {
            let project = owner.project(&workspace, name).await;
            for title in ["dig", "fill"] {
                tasks.push(owner.task(&project, title).await);
            }
            let of_project = json!({"type": "channel", "project_id": project});
            rooms.push(id(&owner.post(&conversations, of_project).await));
            let of_task = json!({"type": "task", "task_id": tasks.last()});
            rooms.push(id(&owner.post(&conversations, of_task).await));
            projects.push(project);
        }
        let mut roles = vec![];
        for (name, permissions) in [("nothing", json!([])), ("reader", json!(["read"]))] {
            let role = json!({"name": name, "permissions": permissions});
            roles.push(id(&owner.post(&format!("/workspaces/{workspace}/roles"), role).await));
        }
        let mut watchers = vec![];
        for role in ["guest", "member", "admin", &roles[0], &roles[1]] {
            let person = Person::register(&node.url, "Watcher").await;
            owner.invite(&workspace, &person, role).await;
            watchers.push(person);
        }
        let members: Vec<_> = watchers.iter().step_by(2).map(|person| format!("user:{}", person.id)).collect();
        let team = json!({"name": "some", "members": members});
        let team = id(&owner.post(&format!("/workspaces/{workspace}/teams"), team).await);
        Self { owner, workspace, projects, tasks, rooms, watchers, team, roles, grants: vec![] }
    }

    fn path(&self, rest: &str) -> String {
        format!("/workspaces/{}{rest}", self.workspace)
    }

    async fn grant(&mut self, dice: &mut Dice) {
        let subject = match dice.roll(3) {
            0 => format!("project:{}", dice.of(&self.projects)),
            1 => format!("task:{}", dice.of(&self.tasks)),
            _ => format!("conversation:{}", dice.of(&self.rooms)),
        };
        let principal = match dice.roll(4) {
            0 => format!("team:{}", self.team),
            _ => format!("user:{}", dice.of(&self.watchers).id),
        };
        let (effect, what) = (["allow", "deny"][dice.roll(2)], ["read", "read", "work"][dice.roll(3)]);
        let body = json!({"subject": subject, "principal": principal, "effect": effect, "permissions": [what]});
        let grant = id(&self.owner.post(&self.path("/grants"), body).await);
        if !self.grants.contains(&grant) {
            self.grants.push(grant);
        }
    }

    async fn revoke(&mut self, dice: &mut Dice) {
        if !self.grants.is_empty() {
            let grant = self.grants.swap_remove(dice.roll(self.grants.len()));
            self.owner.send(Method::DELETE, &self.path(&format!("/grants/{grant}")), None, None).await.ok();
        }
    }

    async fn change_role(&mut self, dice: &mut Dice) {
        match dice.roll(3) {
            0 => {
                let permissions = [json!([]), json!(["read"]), json!(["read", "work"])];
                let body = json!({"permissions": dice.of(&permissions)});
                let path = self.path(&format!("/roles/{}", dice.of(&self.roles)));
                self.owner.send(Method::PATCH, &path, Some(&body), None).await.ok();
            }
            _ => {
                let roles = ["guest", "member", "admin", &self.roles[0], &self.roles[1]];
                let body = json!({"role": dice.of(&roles)});
                let path = self.path(&format!("/members/{}", dice.of(&self.watchers).id));
                self.owner.send(Method::PATCH, &path, Some(&body), None).await.ok();
            }
        }
    }

    /// Something that is to be seen by some.
    async fn act(&self, dice: &mut Dice) {
        match dice.roll(2) {
            0 => {
                let body = json!({"title": format!("dig {}", dice.roll(1_000))});
                let path = format!("/tasks/{}", dice.of(&self.tasks));
                self.owner.send(Method::PATCH, &path, Some(&body), None).await.ok();
            }
            _ => {
                let words = json!({"parts": [{"type": "text", "text": "hello"}]});
                self.owner.post(&format!("/conversations/{}/messages", dice.of(&self.rooms)), words).await;
            }
        }
    }
}

/// Reads a socket until an event of this type; returns the offsets of all events on the way.
async fn watch(mut socket: Socket, until: &str) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    loop {
        let frame = socket.next().await;
        if frame["t"] != "event" {
            continue;
        }
        let offset = frame["offset"].as_u64().expect("events have offsets");
        assert!(seen.last().is_none_or(|last| *last < offset), "out of order: {frame}");
        seen.insert(offset);
        if frame["type"] == until {
            return seen;
        }
    }
}

async fn everything(node: &TestNode, workspace: &str) -> Vec<Recorded> {
    let workspace = WorkspaceId(workspace.parse().expect("it is an id"));
    log::page(node.pool(), workspace, 0, 10_000).await.expect("the log can be read")
}

/// Events that may be committed until one is read.
const READ_WITHIN: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn open_sockets_show_what_the_rule_lets_through_and_nothing_after_it_was_taken_away() {
    let node = TestNode::start().await;
    let mut scene = Scene::build(&node).await;
    let start = everything(&node, &scene.workspace).await.len() as u64;
    let mut watching = vec![];
    for person in &scene.watchers {
        let socket = Socket::subscribed(person, &scene.workspace, Some(start)).await;
        watching.push(tokio::spawn(watch(socket, "workspace:renamed")));
    }
    let mut dice = Dice(20_260);
    for _ in 0..160 {
        match dice.roll(8) {
            0 | 1 => scene.grant(&mut dice).await,
            2 => scene.revoke(&mut dice).await,
            3 => scene.change_role(&mut dice).await,
            _ => scene.act(&mut dice).await,
        }
    }
    // At the end everyone may read everything, so that everyone hears of the end.
    for person in &scene.watchers {
        let path = scene.path(&format!("/members/{}", person.id));
        scene.owner.send(Method::PATCH, &path, Some(&json!({"role": "guest"})), None).await.ok();
    }
    while !scene.grants.is_empty() {
        scene.revoke(&mut dice).await;
    }
    let rename = json!({"name": "The end"});
    scene.owner.send(Method::PATCH, &scene.path(""), Some(&rename), None).await.ok();

    let log = everything(&node, &scene.workspace).await;
    let (mut state, mut states) = (Workspace::default(), vec![]);
    for event in &log {
        state.apply(event.offset, event.at, &event.subject, &event.event);
        let rights = |person: &Person| {
            let user = Principal::User(person.id.parse().expect("it is an id"));
            state.rights(user)
        };
        states.push(scene.watchers.iter().map(rights).collect::<Vec<_>>());
    }
    let (mut hidden, mut shown) = (0, 0);
    for (nth, watched) in watching.into_iter().enumerate() {
        let seen = watched.await.expect("the socket heard of the end");
        for (at, event) in log.iter().enumerate().skip(start as usize) {
            let sees = |rights: &Vec<Option<Rights>>| rights[nth].as_ref().is_some_and(|rights| rights.see(event));
            // Whoever has to read it from the log is shown what the rule lets through when it is read, a little later.
            let then = &states[at..states.len().min(at + READ_WITHIN)];
            let (allowed, always) = (then.iter().any(sees), states[at..].iter().all(sees));
            if seen.contains(&event.offset) {
                assert!(allowed, "watcher {nth} got {} at {}, which was hidden", event.event.encode().0, event.offset);
                shown += 1;
            } else {
                assert!(!always, "watcher {nth} missed {} at {}", event.event.encode().0, event.offset);
                hidden += 1;
            }
        }
    }
    println!("{} events × {} watchers: {shown} shown, {hidden} hidden", log.len() as u64 - start, scene.watchers.len());
    assert!(shown > 100 && hidden > 50, "{shown} shown, {hidden} hidden");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_exactly_what_can_be_read_one_by_one() {
    let node = TestNode::start().await;
    let mut scene = Scene::build(&node).await;
    let mut dice = Dice(7);
    let (mut listed, mut hidden) = (0, 0);
    for _ in 0..25 {
        for _ in 0..3 {
            scene.grant(&mut dice).await;
        }
        scene.revoke(&mut dice).await;
        scene.change_role(&mut dice).await;
        let watcher = dice.of(&scene.watchers);
        let ids = |items: &Value| -> BTreeSet<String> { items.as_array().into_iter().flatten().map(id).collect() };
        let mut seen = ids(&watcher.get(&scene.path("/projects")).await["items"]);
        seen.extend(ids(&watcher.get(&scene.path("/conversations")).await["items"]));
        let found = ids(&watcher.get(&scene.path("/tasks/search?q=dig%20OR%20fill")).await["items"]);
        let mut in_projects = BTreeSet::new();
        for project in &scene.projects {
            let tasks = watcher.send(Method::GET, &format!("/projects/{project}/tasks"), None, None).await;
            let board = watcher.send(Method::GET, &format!("/projects/{project}/board"), None, None).await;
            let columns = board.body["columns"].as_array().cloned().unwrap_or_default();
            let cards: BTreeSet<_> = columns.iter().flat_map(|column| ids(&column["tasks"])).collect();
            assert_eq!(ids(&tasks.body["items"]), cards);
            assert_eq!(tasks.status == 200, seen.contains(project), "a project that is not listed is not there");
            in_projects.extend(cards);
        }
        assert!(found.is_superset(&in_projects), "what a project lists can be found");
        seen.extend(found);
        let things = [("projects", &scene.projects), ("tasks", &scene.tasks), ("conversations", &scene.rooms)];
        for (kind, thing) in things.into_iter().flat_map(|(kind, all)| all.iter().map(move |thing| (kind, thing))) {
            let answer = watcher.send(Method::GET, &format!("/{kind}/{thing}"), None, None).await;
            assert_eq!(answer.status == 200, seen.contains(thing), "{kind} {thing}: {}", answer.body);
            let subject = format!("{}:{thing}", kind.trim_end_matches('s'));
            let why = watcher.send(Method::GET, &scene.path(&format!("/access?subject={subject}")), None, None).await;
            assert_eq!(why.status, answer.status, "{}", why.body);
            (listed, hidden) = (listed + usize::from(answer.status == 200), hidden + usize::from(answer.status == 404));
        }
    }
    assert!(listed > 30 && hidden > 30, "{listed} listed, {hidden} hidden");
    node.node.stop().await;
}
