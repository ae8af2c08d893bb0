//! The command line: exit codes, output, contexts.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{
    node::TestNode,
    person::Person,
    terminal::{Terminal, mode},
};

/// An address where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_how_it_ended() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let project = ada.project(&workspace, "Moon base").await;
    let task = ada.task(&project, "Write").await;
    ada.scripted(&workspace, "Scribe", "say Done.").await;
    let terminal = Terminal::at(&node.url).with("LINK_TOKEN", &ada.token);

    assert_eq!(terminal.link(&["task", "get", &task, "-o", "json"]).await.json()["id"], json!(task));
    let problem = terminal.link(&["task", "get", &workspace, "-o", "json"]).await.refused(1);
    assert_eq!((&problem["code"], &problem["status"]), (&json!("not_found"), &json!(404)));
    assert!(problem["trace_id"].as_str().is_some_and(|trace| trace.len() == 32), "{problem:#}");
    for wrong in [
        &["task", "get", "-o", "json"][..],
        &["task", "invent", "-o", "json"],
        &["api", "tasks.invent", "-o", "json"],
        &["api", "tasks.get", "--input", "{", "-o", "json"],
        &["task", "list", &project, "--limit", "five", "--output=json"],
        &["task", "list", "--context", "nobody", "-ojson"],
        &["task", "list", "--server", "ftp://x", "-o=json"],
    ] {
        let error = terminal.link(wrong).await.refused(2);
        assert_eq!(error["code"], "usage", "{wrong:?}: {error:#}");
    }
    let delegated = terminal.link(&["agent", "delegate", "--task", &task, "--agent", "scribe", "-o", "json"]).await;
    assert_eq!(delegated.code, 3, "{delegated:#?}");
    assert_eq!(serde_json::from_str::<Value>(&delegated.out).unwrap()["task_id"], json!(task));
    let next = serde_json::from_str::<Value>(&delegated.err).unwrap();
    assert_eq!(next["code"], "needs_human");
    // What it says to do is what has to be done.
    let next = next["next_actions"][0].as_str().unwrap().to_owned();
    terminal.link(&next.split(' ').skip(1).collect::<Vec<_>>()).await.done();
    assert_eq!(ada.get(&format!("/tasks/{task}")).await["status"], "done");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_help_names_the_exit_codes_and_the_environment() {
    let terminal = Terminal::at(NOWHERE);
    let help = terminal.link(&["--help"]).await.done();
    for word in ["0  done", "1  failed", "2  wrong usage", "3  needs a human", "LINK_CONTEXT", "LINK_TOKEN", "contexts"]
    {
        assert!(help.contains(word), "{word} is not in\n{help}");
    }
    assert_eq!(terminal.link(&["task"]).await.code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_a_failure_with_a_next_step() {
    let terminal = Terminal::at(NOWHERE).with("LINK_TOKEN", "x");
    let error = terminal.link(&["workspace", "list", "-o", "json"]).await.refused(1);
    assert_eq!((&error["code"], &error["retryable"]), (&json!("unreachable"), &json!(true)));
    assert!(error["next_actions"][0].as_str().unwrap().contains("link serve"));
    let said = terminal.link(&["workspace", "list"]).await;
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(
        said.err.starts_with("error: no answer from http://127.0.0.1:1") && said.err.contains("  next: "),
        "{said:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_gone_away_is_no_panic() {
    let terminal = Terminal::at(NOWHERE);
    for (words, stream, code) in [
        (&["completions", "bash"][..], "out", 0),
        (&["config", "-o", "json"], "out", 0),
        (&["--help"], "out", 0),
        (&["workspace", "list"], "err", 1),
        (&["nonsense"], "err", 2),
        (&["task", "get"], "err", 2),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut link = terminal.program(env!("CARGO_BIN_EXE_link"));
        match stream {
            "out" => link.stdout(Stdio::from(writer)),
            _ => link.stderr(Stdio::from(writer)),
        };
        let output = link.args(words).spawn().unwrap().wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_hold_rows_only_and_say_nested_things() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let workspace = ada.workspace("Lab").await;
    let terminal = Terminal::at(&node.url).with("LINK_TOKEN", &ada.token);

    let none = terminal.link(&["project", "list"]).await;
    assert_eq!((none.code, none.out.as_str(), none.err.as_str()), (0, "", "none\n"));
    for name in ["月面基地", "Moon"] {
        ada.project(&workspace, name).await;
    }
    let page = terminal.link(&["project", "list", "--limit", "1"]).await;
    assert_eq!((page.code, page.out.lines().count()), (0, 2), "{page:#?}");
    assert!(page.err.starts_with("more: --cursor "), "{page:#?}");
    let agent = ada.scripted(&workspace, "Scribe", "say Done.").await;
    let agent = terminal.link(&["agent", "get", &agent]).await.done();
    assert!(agent.contains("\ninstances\n") && agent.contains("script:say Done.") && !agent.contains('{'), "{agent}");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_keep_several_servers_people_and_workspaces_apart() {
    let node = TestNode::start().await;
    let terminal = Terminal::at(&node.url);
    terminal.register("ada@example.org", "work").await;
    terminal.register("bob@example.org", "home").await;
    let me = async |words: &[&str]| {
        let words = [&["auth", "me", "-o", "json"], words].concat();
        terminal.link(&words).await.json()["email"].as_str().unwrap().to_owned()
    };
    assert_eq!(me(&[]).await, "bob@example.org");
    assert_eq!(me(&["--context", "work"]).await, "ada@example.org");
    terminal.link(&["context", "use", "work"]).await.done();
    assert_eq!(me(&[]).await, "ada@example.org");

    let list = terminal.link(&["context", "list", "-o", "json"]).await.json();
    let of = |name: &str, who: &str| json!({"name": name, "current": name == "work", "server": node.url, "who": who, "workspace": null});
    assert_eq!(list["items"], json!([of("home", "bob@example.org"), of("work", "ada@example.org")]));
    let table = terminal.link(&["context", "list"]).await.done();
    assert!(table.lines().any(|line| line.contains("work") && line.contains('*')), "{table}");

    // With two workspaces it has to be said which; the context says it.
    for name in ["Lab", "Studio"] {
        terminal.link(&["workspace", "create", "--name", name]).await.done();
    }
    assert_eq!(terminal.link(&["project", "list"]).await.code, 2);
    let set = terminal.link(&["context", "set", "--workspace", "studio", "-o", "json"]).await.json();
    terminal.link(&["project", "create", "--name", "Moon base"]).await.done();
    let studio = set["workspace"].as_str().unwrap();
    let projects = terminal.link(&["project", "list", "--workspace", studio, "-o", "json"]).await.json();
    assert_eq!(projects["items"][0]["name"], "Moon base");
    let events = terminal.link(&["events", "-o", "json"]).await.done();
    assert!(events.lines().any(|line| line.contains("project:created")), "{events}");

    assert_eq!(mode(&terminal.contexts()), 0o600);
    let file: Value = serde_json::from_slice(&std::fs::read(terminal.contexts()).unwrap()).unwrap();
    let token = file["contexts"]["work"]["login"]["access_token"].as_str().unwrap();
    for words in [&["context", "list"][..], &["context", "show"], &["context", "show", "work", "-o", "json"]] {
        assert!(!terminal.link(words).await.done().contains(&token[..20]));
    }
    terminal.link(&["context", "remove", "work"]).await.done();
    assert_eq!(terminal.link(&["context", "use", "work"]).await.code, 2);
    assert_eq!(me(&[]).await, "bob@example.org");
    terminal.link(&["logout"]).await.done();
    assert_eq!(terminal.link(&["auth", "me", "-o", "json"]).await.refused(1)["code"], "unauthenticated");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_wins_over_the_environment_and_that_over_the_current_context() {
    let node = TestNode::start().await;
    let terminal = Terminal::at("http://127.0.0.1:1").with("LINK_CONTEXT", "made");
    terminal.link(&["context", "set", "current", "--server", &node.url]).await.done();
    terminal.link(&["context", "set", "made", "--server", "http://127.0.0.1:1"]).await.done();
    let server = async |words: &[&str]| terminal.link(words).await.json()["server"].as_str().unwrap().to_owned();
    assert_eq!(server(&["context", "show", "-o", "json"]).await, "http://127.0.0.1:1");
    assert_eq!(server(&["context", "show", "-o", "json", "--context", "current"]).await, node.url);
    assert_eq!(server(&["context", "show", "-o", "json", "--server", &node.url]).await, node.url);
    // Two flags that contradict each other are no choice.
    let both = ["context", "show", "-o", "json", "--server", &node.url, "--context", "made"];
    assert_eq!(terminal.link(&both).await.refused(2)["code"], "usage");
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_from_standard_input_is_kept_like_a_login() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let terminal = Terminal::at(&node.url);
    let login = ["login", "--token-stdin", "--context", "bot", "-o", "json"];
    let refused = terminal.link_with(&login, "not-a-token\n").await.refused(1);
    assert_eq!(refused["code"], "unauthenticated");
    assert!(!terminal.contexts().exists());
    let told = terminal.link_with(&login, &format!("{}\n", ada.token)).await.json();
    assert_eq!((&told["context"], &told["server"]), (&json!("bot"), &json!(node.url)));
    assert_eq!(terminal.link(&["auth", "me", "-o", "json"]).await.json()["id"], json!(ada.id));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_from_before_there_were_contexts_still_works() {
    let node = TestNode::start().await;
    let ada = Person::register(&node.url, "Ada").await;
    let terminal = Terminal::at("");
    let login = json!({"email": "ada@example.org", "access_token": ada.token, "refresh_token": "r"});
    let old = json!({"server": node.url, "logins": {node.url.as_str(): login}});
    std::fs::create_dir_all(terminal.contexts().parent().unwrap()).unwrap();
    std::fs::write(terminal.contexts(), old.to_string()).unwrap();
    assert_eq!(terminal.link(&["auth", "me", "-o", "json"]).await.json()["id"], json!(ada.id));
    terminal.link(&["workspace", "create", "--name", "Lab"]).await.done();
    terminal.link(&["context", "set", "--workspace", "Lab"]).await.done();
    assert_eq!(mode(&terminal.contexts()), 0o600);
    assert_eq!(terminal.link(&["auth", "me", "-o", "json"]).await.json()["id"], json!(ada.id));
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_renew_a_login_at_once_renew_it_once() {
    let node = TestNode::start().await;
    let terminal = Terminal::at(&node.url);
    terminal.register("ada@example.org", "work").await;
    let mut file: Value = serde_json::from_slice(&std::fs::read(terminal.contexts()).unwrap()).unwrap();
    file["contexts"]["work"]["login"]["access_token"] = json!("ended");
    std::fs::write(terminal.contexts(), file.to_string()).unwrap();

    let all = (0..6).map(|_| terminal.link(&["auth", "me", "-o", "json"]));
    for said in futures::future::join_all(all).await {
        assert_eq!(said.json()["email"], "ada@example.org");
    }
    let made: i64 = sqlx::query_scalar("SELECT count(*) FROM refresh_tokens").fetch_one(node.pool()).await.unwrap();
    assert_eq!(made, 2, "one by the registration, one by the first process");
    assert_eq!(terminal.link(&["auth", "me", "-o", "json"]).await.json()["email"], "ada@example.org");
    node.node.stop().await;
}
