//! The second wall: with the first one out of the way, a tenant's connection still has no row of another one.

use std::str::FromStr;

use link::{
    domain::{
        ids::{Subject, WorkspaceId},
        principal::Principal,
    },
    persistence::{
        self, penguins,
        queries::{self, Direction, Listed, Sight, TaskFilter},
        talks::{
            self, messages,
            search::{self, Search},
        },
        tenant::{ROLE, Tenant},
    },
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgPool, Row, postgres::PgConnectOptions};

use crate::support::{matrix::World, node::TestNode};

/// Every table of the schema that belongs to tenants, with the column that says to which.
async fn tables(pool: &PgPool) -> Vec<(String, &'static str)> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
             AND a.attname = 'workspace_id' AND NOT a.attisdropped ORDER BY c.relname",
    )
    .fetch_all(pool)
    .await
    .expect("the database answers");
    assert!(names.len() > 15, "{names:?}");
    names.into_iter().map(|name| (name, "workspace_id")).chain([("workspaces".into(), "id")]).collect()
}

async fn tenants(node: &TestNode) -> PgPool {
    let options = PgConnectOptions::from_str(&node.database).expect("the database answers");
    persistence::connect_tenants(options).await.expect("the database answers")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_tenants_is_behind_the_wall() {
    let node = TestNode::start().await;
    for (table, column) in tables(node.pool()).await {
        let row = sqlx::query(
            "SELECT c.relrowsecurity, (SELECT string_agg(pg_get_expr(p.polqual, c.oid), ';') FROM pg_policy p
                 WHERE p.polrelid = c.oid AND $2 = ANY (SELECT rolname FROM pg_roles WHERE oid = ANY (p.polroles)))
             FROM pg_class c WHERE c.oid = $1::regclass",
        )
        .bind(&table)
        .bind(ROLE)
        .fetch_one(node.pool())
        .await
        .unwrap();
        let (on, rule): (bool, Option<String>) = (row.get(0), row.get(1));
        let expected = format!("({column} = link_workspace())");
        assert!(
            on && rule.as_ref() == Some(&expected),
            "{table}: SELECT link_protect('{table}') in its migration; {rule:?}"
        );
    }
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_connection_has_its_own_rows_and_no_others_and_none_before_it_says_whose() {
    let node = TestNode::start().await;
    let worlds = [World::build(&node.url, "Ada").await, World::build(&node.url, "Mallory").await];
    let pool = tenants(&node).await;
    let mut connection = pool.acquire().await.unwrap();
    let mut filled = 0;
    for (table, column) in tables(node.pool()).await {
        let readable: bool = sqlx::query_scalar("SELECT has_table_privilege($1, $2, 'SELECT')")
            .bind(ROLE)
            .bind(&table)
            .fetch_one(node.pool())
            .await
            .unwrap();
        if !readable {
            continue;
        }
        let count = |rest: &str| AssertSqlSafe(format!("SELECT count(*) FROM {table} {rest}"));
        connection.execute("RESET link.workspace").await.unwrap();
        let nothing: i64 = sqlx::query_scalar(count("")).fetch_one(&mut *connection).await.unwrap();
        assert_eq!(nothing, 0, "{table} shows rows to nobody in particular");
        for world in &worlds {
            let workspace = world.id("workspace_id");
            connection.execute(AssertSqlSafe(format!("SET link.workspace = '{workspace}'"))).await.unwrap();
            let (own, others) = (format!("WHERE {column} = '{workspace}'"), format!("WHERE {column} <> '{workspace}'"));
            let all: i64 = sqlx::query_scalar(count(&own)).fetch_one(node.pool()).await.unwrap();
            let seen: i64 = sqlx::query_scalar(count("")).fetch_one(&mut *connection).await.unwrap();
            let foreign: i64 = sqlx::query_scalar(count(&others)).fetch_one(&mut *connection).await.unwrap();
            assert_eq!((seen, foreign), (all, 0), "{table}");
            filled += usize::from(all > 0);
        }
    }
    assert!(filled > 25, "only {filled} tables have rows to hide");
    let secrets = sqlx::query("SELECT password_hash FROM users").execute(&mut *connection).await;
    assert!(secrets.is_err(), "a tenant reads passwords");
    let people: i64 = sqlx::query_scalar("SELECT count(id) FROM users").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(people, 2, "the owner and the other member");
    let write = sqlx::query("UPDATE tasks SET title = 'mine'").execute(&mut *connection).await;
    assert!(write.is_err(), "a tenant's connection writes");
    drop(connection);
    pool.close().await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_that_are_asked_for_another_tenants_things_find_nothing() {
    let node = TestNode::start().await;
    let (mine, theirs) = (World::build(&node.url, "Ada").await, World::build(&node.url, "Mallory").await);
    let pool = tenants(&node).await;
    let workspace = |world: &World| WorkspaceId(world.id("workspace_id").parse().unwrap());
    let me = Principal::User(mine.person.id.parse().unwrap());
    let them = Principal::User(theirs.person.id.parse().unwrap());
    // The check of the doors is not asked: this is what a query would find if it had been forgotten.
    let look = async |tenant: &Tenant| -> Vec<(&'static str, usize)> {
        let at = |field| -> uuid::Uuid { theirs.id(field).parse().unwrap() };
        let found = async |what, field| -> usize {
            let row: Option<Value> = queries::get(tenant, what, at(field)).await.unwrap();
            row.iter().count()
        };
        let (all, filter) = (Sight::all(), TaskFilter::default());
        let (project, task, talk) = (at("project_id").into(), at("task_id").into(), at("conversation_id").into());
        let message = at("message_id").into();
        let (author, after, before, cursor) = (None, None, None, None);
        let words = Search { words: "hello", conversation: Some(talk), author, after, before, cursor };
        vec![
            ("role", found(Listed::Roles, "role_id").await),
            ("grant", found(Listed::Grants, "grant_id").await),
            ("project", found(Listed::Projects, "project_id").await),
            ("agent", found(Listed::Agents, "agent_id").await),
            ("task", found(Listed::Tasks, "task_id").await),
            ("delegation", found(Listed::Delegations, "delegation_id").await),
            ("tasks", queries::tasks(tenant, project, &filter, &all, None, 50).await.unwrap().len()),
            ("board", queries::board(tenant, project, &all, 50).await.unwrap().len()),
            ("last rank", queries::last_rank(tenant, project).await.unwrap().iter().count()),
            ("rank", queries::neighbour_rank(tenant, task, task, Direction::After).await.unwrap().iter().count()),
            ("delegations", queries::delegations(tenant, task, None, 50).await.unwrap().len()),
            ("conversation", talks::conversation(tenant, talk).await.unwrap().iter().count()),
            ("messages", messages::messages(tenant, talk, None, 0, 50).await.unwrap().len()),
            ("message", messages::message(tenant, talk, message).await.unwrap().iter().count()),
            ("shared message", messages::message_in_sight(tenant, talk, message).await.unwrap().iter().count()),
            ("heard", messages::heard(tenant, talk, at("agent_id").into(), 9, 50).await.unwrap().len()),
            ("found", search::search(node.pool(), tenant, them, &all, &words, 50).await.unwrap().len()),
            ("member", queries::member(tenant, at("user_id").into()).await.unwrap().iter().count()),
            ("story", tenant.about(Subject::Task(task), 0, 50).await.unwrap().len()),
        ]
    };
    let nothing = look(&Tenant::new(pool.clone(), workspace(&mine))).await;
    let everything = look(&Tenant::new(pool.clone(), workspace(&theirs))).await;
    for ((what, mine), (_, theirs)) in nothing.into_iter().zip(everything) {
        assert_eq!(mine, 0, "{what} of another tenant");
        assert!(theirs > 0, "{what}: there is something to hide");
    }
    let own = Tenant::new(pool.clone(), workspace(&mine));
    assert!(queries::workspace(&own, me).await.unwrap().is_some());
    assert!(penguins::instances(&own, None, 50).await.unwrap().is_empty());
    pool.close().await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_shows_whom_it_serves_now_and_not_whom_it_served_before() {
    let node = TestNode::start().await;
    let worlds = [World::build(&node.url, "Ada").await, World::build(&node.url, "Mallory").await];
    let pool = tenants(&node).await;
    let mut reads = tokio::task::JoinSet::new();
    for nth in 0..200 {
        let world = &worlds[nth % 2];
        let workspace = WorkspaceId(world.id("workspace_id").parse().unwrap());
        let (tenant, project) = (Tenant::new(pool.clone(), workspace), world.id("project_id").to_owned());
        reads.spawn(async move {
            let rows: Vec<Value> = queries::list(&tenant, Listed::Projects, &Sight::all(), None, 50).await.unwrap();
            assert_eq!(rows.iter().map(|row| row["id"].as_str().unwrap()).collect::<Vec<_>>(), [project]);
        });
    }
    while let Some(read) = reads.join_next().await {
        read.expect("each saw its own");
    }
    pool.close().await;
    node.node.stop().await;
}
