//! The whole matrix: every operation, called by everyone there is, at home and in a foreign workspace, and with every
//! grant. What must come out is computed from the operation table and the one pure function; no cell is left out.
//!
//! A call that is let in gets a field that no input has: it is refused when its input is read, right after the
//! decision, and so nothing ever changes.

use link::{
    api::{Caller, Identity, Kind, Operation, table},
    domain::{
        access::{Effect, Grant, Place, Standing, Verdict, decide},
        ids::Subject,
        permission::{Permission, Permissions},
        principal::{Principal, Service},
        workspace::Role,
    },
    persistence::queries::Scope,
};
use serde_json::{Map, Value, json};

use crate::support::{
    matrix::World,
    node::TestNode,
    person::{Person, id},
};

/// Somebody who calls, and what they are in their own workspace.
struct Somebody {
    name: String,
    identity: Option<Identity>,
    role: Option<Permissions>,
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("it is one")
}

async fn identity(node: &TestNode, person: &Person) -> Identity {
    node.node.api().identify(&person.token).await.expect("the token is good")
}

/// Makes a custom role and a member who has it.
async fn with_role(node: &TestNode, world: &World, name: &str, permissions: Permissions) -> Person {
    let workspace = world.id("workspace_id");
    let role = json!({"name": name, "permissions": permissions});
    let role = id(&world.person.post(&format!("/workspaces/{workspace}/roles"), role).await);
    let person = Person::register(&node.url, "Custom").await;
    world.person.invite(workspace, &person, &role).await;
    person
}

async fn everybody(node: &TestNode, world: &World, foreign: &World) -> Vec<Somebody> {
    let owner = identity(node, &world.person).await;
    let somebody =
        |name: &str, identity: Identity, role| Somebody { name: name.into(), identity: Some(identity), role };
    let owns = Some(Role::Owner.permissions());
    let mut all = vec![
        Somebody { name: "nobody".into(), identity: None, role: None },
        somebody("stranger", identity(node, &Person::register(&node.url, "Stranger").await).await, None),
        somebody("owner", owner.clone(), owns),
    ];
    for role in [Role::Admin, Role::Member, Role::Guest] {
        let person = Person::register(&node.url, "Builtin").await;
        world.person.invite(world.id("workspace_id"), &person, role.name()).await;
        all.push(somebody(role.name(), identity(node, &person).await, Some(role.permissions())));
    }
    let person = with_role(node, world, "nothing", Permissions::NONE).await;
    all.push(somebody("custom role of nothing", identity(node, &person).await, Some(Permissions::NONE)));
    for permission in Permissions::IN_ROLES.iter() {
        let person = with_role(node, world, permission.name(), permission.into()).await;
        let name = format!("custom role of {}", permission.name());
        all.push(somebody(&name, identity(node, &person).await, Some(permission.into())));
    }
    let agent = |id| Identity { principal: Principal::Agent(parse(id)), ..owner.clone() };
    all.push(somebody("agent", agent(world.id("agent_id")), Some(Permissions::OF_AGENTS)));
    let service = Principal::Service(Service::Account(parse(world.id("service_id"))));
    let service = Identity { principal: service, ..owner.clone() };
    all.push(somebody("service", service, Some(Role::Member.permissions())));
    let retired = world.person.scripted(world.id("workspace_id"), "Retired", "say Bye.").await;
    world.person.post(&format!("/agents/{retired}/retire"), json!({})).await;
    all.push(somebody("retired agent", agent(&retired), None));
    for scopes in [Permission::Read.into(), Permission::Work.into(), Role::Guest.permissions(), Permissions::NONE] {
        let names: Vec<_> = scopes.iter().map(Permission::name).collect();
        all.push(somebody(&format!("owner's key for {names:?}"), Identity { scopes, ..owner.clone() }, owns));
    }
    for (name, workspace) in [("this", world), ("another", foreign)] {
        let limited = Identity { workspace: Some(parse(workspace.id("workspace_id"))), ..owner.clone() };
        all.push(somebody(&format!("owner's key for {name} workspace"), limited, owns));
    }
    all
}

fn input(operation: &Operation, world: &World, at: &World) -> Map<String, Value> {
    let mut input = world.input(operation);
    if let Some((_, field)) = operation.scope {
        input.insert(field.into(), json!(at.id(field)));
    }
    input.insert("no_input_has_this".into(), json!(true));
    input
}

async fn outcome(node: &TestNode, operation: &Operation, identity: Option<Identity>, input: Value) -> String {
    let caller = Caller { identity, trace: "0".repeat(32), ..Caller::default() };
    match node.node.api().call(operation.name, caller, input).await {
        Ok(answer) => panic!("{} reads no input: {}", operation.name, answer.body),
        Err(problem) => problem.code,
    }
}

/// What the table and the function say; `grants` are those on what the operation's scope names.
fn expected(operation: &Operation, somebody: &Somebody, at: &World, foreign: bool, grants: &[Grant]) -> &'static str {
    let Some(identity) = &somebody.identity else {
        return if operation.permission == Permission::Public { "invalid_input" } else { "unauthenticated" };
    };
    if operation.permission == Permission::Public {
        return "invalid_input";
    }
    let Some((scope, _)) = operation.scope else {
        // What is outside of every workspace is changed with a whole credential only.
        let limited = identity.workspace.is_some() || !identity.scopes.contains(Permission::ManageMembers);
        return if limited && operation.kind == Kind::Mutation { "forbidden" } else { "invalid_input" };
    };
    let workspace = parse(at.id("workspace_id"));
    let Some(role) = somebody.role.filter(|_| !foreign && identity.viewer().may_enter(workspace)) else {
        return "not_found";
    };
    let place = if scope == Scope::Workspace { Place::Workspace } else { Place::Thing(grants) };
    match decide(Standing { role, scopes: identity.scopes }, place).verdict(operation.permission) {
        Verdict::Granted => "invalid_input",
        Verdict::Forbidden => "forbidden",
        Verdict::Hidden => "not_found",
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_by_everyone_at_home_and_abroad_is_decided_as_the_rule_says() {
    let node = TestNode::start().await;
    let (mine, theirs) = (World::build(&node.url, "Ada").await, World::build(&node.url, "Mallory").await);
    let (table, everybody) = (table(), everybody(&node, &mine, &theirs).await);
    let before = mine.person.log(mine.id("workspace_id")).await.len();
    let (mut cells, mut outcomes) = (0, std::collections::BTreeMap::new());
    for operation in table.operations() {
        for somebody in &everybody {
            for (at, foreign) in [(&mine, false), (&theirs, true)] {
                let given = input(operation, &mine, at).into();
                let code = outcome(&node, operation, somebody.identity.clone(), given).await;
                let right = expected(operation, somebody, at, foreign, &[]);
                assert_eq!(code, right, "{} by {}, foreign: {foreign}", operation.name, somebody.name);
                *outcomes.entry(code).or_insert(0) += 1;
                cells += 1;
            }
        }
    }
    let (operations, callers) = (table.operations().len(), everybody.len());
    println!("{operations} operations × {callers} callers × 2 tenants = {cells} cells: {outcomes:?}");
    assert_eq!(cells, operations * callers * 2);
    assert!(outcomes.len() == 4 && outcomes.values().all(|count| *count > 50), "{outcomes:?}");
    assert_eq!(mine.person.log(mine.id("workspace_id")).await.len(), before, "nothing changed");
    node.node.stop().await;
}

/// What the scope of an operation stands for, and what that belongs to.
fn chain(scope: Scope, [conversation, task, project]: [Subject; 3]) -> Vec<Subject> {
    match scope {
        Scope::Project | Scope::Document => vec![project],
        Scope::Task | Scope::Delegation => vec![task, project],
        Scope::Conversation => vec![conversation, task, project],
        Scope::Workspace | Scope::Agent | Scope::Instance | Scope::Webhook => vec![],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_grant_on_every_level_counts_for_every_operation_and_every_kind_of_principal() {
    let node = TestNode::start().await;
    let world = World::build(&node.url, "Ada").await;
    let workspace = world.id("workspace_id");
    let member = Person::register(&node.url, "Member").await;
    world.person.invite(workspace, &member, "member").await;
    let nothing = with_role(&node, &world, "nothing", Permissions::NONE).await;
    let team = json!({"name": "both", "members": [format!("user:{}", member.id), format!("user:{}", nothing.id)]});
    let team = id(&world.person.post(&format!("/workspaces/{workspace}/teams"), team).await);
    let room = json!({"type": "task", "task_id": world.id("task_id")});
    let room = id(&world.person.post(&format!("/workspaces/{workspace}/conversations"), room).await);
    let levels: [Subject; 3] = [
        Subject::Conversation(parse(&room)),
        Subject::Task(parse(world.id("task_id"))),
        Subject::Project(parse(world.id("project_id"))),
    ];
    let owner = identity(&node, &world.person).await;
    let agent: Principal = Principal::Agent(parse(world.id("agent_id")));
    let (member, nothing) = (identity(&node, &member).await, identity(&node, &nothing).await);
    let people = [
        Somebody { name: "member".into(), identity: Some(member.clone()), role: Some(Role::Member.permissions()) },
        Somebody { name: "nothing".into(), identity: Some(nothing.clone()), role: Some(Permissions::NONE) },
        Somebody {
            name: "agent".into(),
            identity: Some(Identity { principal: agent, ..owner }),
            role: Some(Permissions::OF_AGENTS),
        },
    ];
    let team = Principal::Team(parse(&team));
    let (table, grants) = (table(), format!("/workspaces/{workspace}/grants"));
    let mut cells = 0;
    for (somebody, principals) in
        people.iter().zip([vec![member.principal, team], vec![nothing.principal, team], vec![agent]])
    {
        for principal in principals {
            for (effect, level, permission) in [Effect::Allow, Effect::Deny].into_iter().flat_map(|effect| {
                levels.into_iter().flat_map(move |level| {
                    Permissions::ON_THINGS.iter().map(move |permission| (effect, level, permission))
                })
            }) {
                let body =
                    json!({"subject": level, "principal": principal, "effect": effect, "permissions": [permission]});
                let known = world.person.post(&grants, body).await;
                let set: Permissions = serde_json::from_value(known["permissions"].clone()).expect("it is a set");
                let set = Grant { id: parse(&id(&known)), subject: level, principal, effect, permissions: set };
                for operation in table.operations() {
                    let Some((scope, field)) = operation.scope else { continue };
                    let mut given = input(operation, &world, &world);
                    if field == "conversation_id" {
                        given.insert(field.into(), json!(room));
                    }
                    let counts: Vec<Grant> =
                        chain(scope, levels).contains(&level).then(|| set.clone()).into_iter().collect();
                    let right = expected(operation, somebody, &world, false, &counts);
                    let code = outcome(&node, operation, somebody.identity.clone(), given.into()).await;
                    let (who, what) = (&somebody.name, operation.name);
                    assert_eq!(code, right, "{what} by {who}: {effect:?} {permission:?} on {level} for {principal}");
                    cells += 1;
                }
                let path = format!("{grants}/{}", set.id);
                world.person.send(reqwest::Method::DELETE, &path, None, None).await.ok();
            }
        }
    }
    let scoped = table.operations().iter().filter(|operation| operation.scope.is_some()).count();
    println!("{scoped} operations × 5 principals × 2 effects × 3 levels × 5 permissions = {cells} cells");
    assert_eq!(cells, scoped * 5 * 2 * 3 * 5);
    node.node.stop().await;
}
