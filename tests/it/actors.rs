//! Actors fail, leave and lose their leases; nothing that was acknowledged does.

use std::time::Duration;

use link::{
    actors::request::{CommandError, Key, Meta, Receipt},
    cluster,
    domain::{
        conversation::{ConversationCommand, Part},
        ids::{ConversationId, Subject, WorkspaceId},
        model::Command,
        principal::Principal,
        text::Words,
    },
};
use serde_json::json;

use crate::{
    crash::check_projections,
    support::{
        node::TestNode,
        person::{Person, id},
    },
};

/// A workspace with a conversation, reached from inside.
struct Inside {
    node: TestNode,
    ada: Person,
    workspace: WorkspaceId,
    room: ConversationId,
}

impl Inside {
    async fn of(node: TestNode) -> Self {
        let ada = Person::register(&node.url, "Ada").await;
        let workspace = ada.workspace("Lab").await;
        let body = json!({"type": "channel", "title": "room"});
        let room = id(&ada.post(&format!("/workspaces/{workspace}/conversations"), body).await);
        let (workspace, room) = (workspace.parse().expect("an id"), room.parse().expect("an id"));
        Self { node, ada, workspace, room }
    }

    fn meta(&self, key: Option<&str>) -> Meta {
        let clock = &self.node.node.api().services().context().clock;
        Meta {
            by: Principal::User(self.ada.id.parse().expect("an id")),
            on_behalf_of: None,
            now: clock.now(),
            key: key.map(|key| Key::internal(key.to_owned())),
            trace: "test".into(),
            cause: None,
            made: None,
        }
    }

    async fn execute(&self, command: Command, key: Option<&str>) -> Result<Receipt, CommandError> {
        let directory = &self.node.node.api().services().directory;
        let handle = directory.workspace(self.workspace).await?;
        handle.execute(Subject::Conversation(self.room), command, self.meta(key)).await
    }

    fn post(&self, text: &str) -> Command {
        let message = self.node.node.api().services().context().clock.id();
        let parts = vec![Part::Text { text: Words::new(text).expect("it fits") }];
        Command::Conversation(ConversationCommand::Post { message, parts, parent: None, mentions: Default::default() })
    }

    async fn said(&self) -> usize {
        let log = self.ada.log(&self.workspace.to_string()).await;
        log.iter().filter(|event| event["type"] == "conversation:message").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_inside_a_decide_loses_nothing_and_hurts_no_neighbour() {
    let inside = Inside::of(TestNode::start().await).await;
    let project = inside.ada.project(&inside.workspace.to_string(), "Moon base").await;
    let neighbour = async {
        for n in 0..40 {
            inside.ada.task(&project, &format!("task {n}")).await;
        }
    };
    let same_entity = async {
        let mut said = 0;
        for n in 0..40 {
            let posted = inside.execute(inside.post(&format!("message {n}")), Some(&format!("m{n}"))).await;
            said += usize::from(posted.is_ok());
        }
        said
    };
    let panics = async {
        for _ in 0..3 {
            let answer = inside.execute(Command::Panic, None).await;
            assert!(matches!(answer, Err(CommandError::Bug)), "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ((), said, ()) = tokio::join!(neighbour, same_entity, panics);
    assert_eq!(said, inside.said().await, "what was acknowledged is there, once");
    assert!(said >= 37, "only {said} of 40 got through beside the panics");
    check_projections(inside.node.pool(), &inside.workspace.to_string()).await;
    inside.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_keeps_panicking_is_left_alone_and_says_so() {
    let inside = Inside::of(TestNode::start().await).await;
    let mut refused = None;
    for _ in 0..12 {
        match inside.execute(Command::Panic, None).await {
            Err(CommandError::Bug) => tokio::time::sleep(Duration::from_millis(30)).await,
            other => refused = Some(other),
        }
    }
    let Some(Err(CommandError::Unavailable(why))) = refused else { panic!("it was never left alone: {refused:?}") };
    assert!(why.contains("keeps failing"), "{why}");
    inside.ada.project(&inside.workspace.to_string(), "Others work on").await;
    inside.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passivated_entity_comes_back_with_its_state() {
    let node = TestNode::with(|config| config.entity_idle = Duration::from_millis(100)).await;
    let inside = Inside::of(node).await;
    for n in 1..=6u64 {
        let posted = inside.execute(inside.post("hello"), None).await.expect("it is committed");
        assert_eq!(posted.subject, Subject::Conversation(inside.room));
        tokio::time::sleep(Duration::from_millis(if n % 2 == 0 { 400 } else { 90 })).await;
    }
    let messages = inside.ada.get(&format!("/conversations/{}/messages", inside.room)).await;
    let numbers: Vec<u64> =
        messages["items"].as_array().expect("a list").iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    inside.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_lease_is_gone_writes_nothing_and_comes_back_with_a_new_one() {
    let inside = Inside::of(TestNode::start().await).await;
    inside.execute(inside.post("before"), None).await.expect("it is committed");
    let shard = cluster::shard_of(inside.workspace);
    let move_away =
        "UPDATE shard_leases SET node = 'another', epoch = epoch + 1, expires_at = now() + interval '1 hour'
        WHERE shard = $1";
    sqlx::query(move_away).bind(shard).execute(inside.node.pool()).await.expect("the row is there");
    let refused = inside.execute(inside.post("fenced"), Some("fenced")).await;
    assert!(matches!(refused, Err(CommandError::Unavailable(_))), "{refused:?}");
    assert_eq!(inside.said().await, 1);
    let free = "UPDATE shard_leases SET expires_at = now() - interval '1 second' WHERE shard = $1";
    sqlx::query(free).bind(shard).execute(inside.node.pool()).await.expect("the row is there");
    // The same command with the same key, until the workspace is back: it takes effect once.
    let mut tries = 0;
    while let Err(error) = inside.execute(inside.post("fenced"), Some("fenced")).await {
        tries += 1;
        assert!(tries < 600, "the workspace did not come back: {error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    inside.execute(inside.post("fenced"), Some("fenced")).await.expect("the key is known");
    assert_eq!(inside.said().await, 2);
    inside.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_under_the_same_name_is_refused_while_the_first_lives() {
    let first = TestNode::with(|config| config.node = "twin".into()).await;
    let database = first.database.clone();
    let mut config = first.config.clone();
    config.database_url = Some(database);
    let second = link::node::Node::start(config).await;
    let error = second.err().expect("it must not start").to_string();
    assert!(error.contains("`twin`") && error.contains("LINK_NODE"), "{error}");
    first.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_no_gap_however_many_create_tasks_at_once() {
    let inside = Inside::of(TestNode::start().await).await;
    let project = inside.ada.project(&inside.workspace.to_string(), "Moon base").await;
    let all = (0..8).map(|n| {
        let (ada, project) = (inside.ada.clone(), project.clone());
        tokio::spawn(async move {
            for m in 0..10 {
                ada.task(&project, &format!("task {n}-{m}")).await;
            }
        })
    });
    for one in all.collect::<Vec<_>>() {
        one.await.expect("it creates");
    }
    let tasks = inside.ada.get(&format!("/projects/{project}/tasks?limit=200")).await;
    let mut numbers: Vec<u64> =
        tasks["items"].as_array().expect("a list").iter().filter_map(|task| task["number"].as_u64()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=80).collect::<Vec<u64>>());
    inside.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_will_never_take_fails_alone() {
    let inside = Inside::of(TestNode::start().await).await;
    let check = "ALTER TABLE messages ADD CHECK (parts::text NOT LIKE '%poison%')";
    sqlx::query(check).execute(inside.node.pool()).await.expect("there are no messages yet");
    let poison = async {
        loop {
            match inside.execute(inside.post("poison"), Some("poison")).await {
                Err(CommandError::Bug) => return,
                Err(CommandError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
                other => panic!("the database took it: {other:?}"),
            }
        }
    };
    let project = inside.ada.project(&inside.workspace.to_string(), "Moon base").await;
    let others = async {
        for n in 0..60 {
            // Whoever shared a batch with it may have to ask again, with the same key.
            let (path, key) = (format!("/projects/{project}/tasks"), format!("task {n}"));
            let body = json!({"title": key, "description": "as the title says"});
            loop {
                let answer = inside.ada.send(reqwest::Method::POST, &path, Some(&body), Some(&key)).await;
                if answer.status.is_success() {
                    break;
                }
                answer.problem("unavailable");
            }
        }
    };
    tokio::join!(poison, others);
    let tasks = inside.ada.get(&format!("/projects/{project}/tasks?limit=200")).await;
    assert_eq!(tasks["items"].as_array().map(Vec::len), Some(60), "each once");
    check_projections(inside.node.pool(), &inside.workspace.to_string()).await;
    inside.node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_in_flight_holds_back_a_takeover_and_not_the_renewal() {
    use link::persistence::leases;
    let node = TestNode::start().await;
    let (pool, ttl) = (node.pool(), Duration::from_secs(10));
    let lease = leases::take(pool, 7, "me", ttl).await.expect("the shard is free");
    let mut commit = pool.begin().await.expect("a connection is free");
    let fence = "SELECT 1 FROM shard_leases WHERE shard = 7 AND node = 'me' AND epoch = $1 FOR KEY SHARE";
    sqlx::query(fence).bind(lease.epoch).execute(&mut *commit).await.expect("the lease is held");
    let renewed = tokio::time::timeout(ttl, leases::renew(pool, std::slice::from_ref(&lease), ttl)).await;
    assert_eq!(renewed.expect("it does not wait").expect("the database answers"), [7]);
    let pool_too = pool.clone();
    let takeover = tokio::spawn(async move { leases::take(&pool_too, 7, "me", ttl).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!takeover.is_finished(), "the epoch changed under a commit");
    commit.commit().await.expect("nothing is in its way");
    let taken = takeover.await.expect("it ends").expect("the lease is free now");
    assert_eq!(taken.epoch, lease.epoch + 1);
    node.node.stop().await;
}
