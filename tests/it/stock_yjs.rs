//! Stock Yjs clients with the stock `y-websocket` on Node, and an agent, in one document through a `kill -9`. Needs Node 20,
//! npm and `LINK_NODE_CLIENT=1`; otherwise the test says that it was skipped.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::support::{
    node::{TestProcess, scratch},
    person::{Person, id},
};

/// Longest wait for a client's answer; npm may have to fetch.
const PATIENCE: Duration = Duration::from_secs(300);

struct Editor {
    _process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Editor {
    fn open(folder: &Path, person: &Person, document: &str, name: &str) -> Self {
        let mut process = Command::new("node")
            .args(["src/live.mjs", &person.url, document, &person.token, name])
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node is installed: apt-get install nodejs");
        let commands = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        Self { _process: process, commands, answers }
    }

    async fn does(&mut self, command: &str, words: &str) {
        let line = format!("{}\n", json!([command, words]));
        self.commands.write_all(line.as_bytes()).await.expect("it listens");
        let answer =
            timeout(PATIENCE, self.answers.next_line()).await.unwrap_or_else(|_| panic!("{command} {words:?}"));
        assert_eq!(answer.expect("it is text").as_deref(), Some("done"), "{command} {words:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_and_an_agent_write_one_text_through_a_kill_and_lose_nothing() {
    if std::env::var("LINK_NODE_CLIENT").is_ok_and(|value| value == "1") {
        let run = scratch("yjs-client");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents/run.sh");
        let installed = Command::new(script).arg(&run).kill_on_drop(true).status();
        let installed = timeout(PATIENCE, installed).await.expect("in time").expect("there is a shell");
        assert!(installed.success(), "the stock client cannot be installed");
        write_together(&run).await;
        std::fs::remove_dir_all(run).expect("nothing else uses it");
    } else {
        println!("skipped: set LINK_NODE_CLIENT=1 to test with the stock client on Node");
    }
}

async fn write_together(folder: &Path) {
    let mut server = TestProcess::start().await;
    let (ada, ben) = (Person::register(&server.url, "Ada").await, Person::register(&server.url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &ben, "member").await;
    let project = ada.project(&workspace, "Moon base").await;
    let document = id(&ada.post(&format!("/projects/{project}/documents"), json!({"title": "Menu"})).await);
    let agent = ada.scripted(&workspace, "Scribe", "say Hi.").await;
    let key = ada.post(&format!("/agents/{agent}/keys"), json!({"name": "pen"})).await;
    let agent = Person { token: key["key"].as_str().expect("it is shown once").to_owned(), ..ada.clone() };

    let mut editors = [Editor::open(folder, &ada, &document, "Ada"), Editor::open(folder, &ben, &document, "Ben")];
    let mut told = String::new();
    for round in 0..3 {
        for n in 0..editors.len() {
            let words = format!("editor {n} in round {round}. ");
            told.push_str(&words);
            editors[n].does("write", &words).await;
            for editor in &mut editors {
                editor.does("until", &told).await;
            }
        }
        let words = format!("agent in round {round}. ");
        told.push_str(&words);
        let change = json!({"changes": [{"kind": "append", "text": words}]});
        agent.post(&format!("/documents/{document}/edit"), change).await;
        for editor in &mut editors {
            editor.does("until", &told).await;
        }
        server.kill();
        // Written while nobody listens; it comes when the client comes back.
        told.push_str("unheard. ");
        editors[0].does("write", "unheard. ").await;
        server.revive().await;
        for editor in &mut editors {
            editor.does("until", &told).await;
        }
    }
    editors[0].does("sees", "Ben").await;
    editors[1].does("sees", "Ada").await;
    assert_eq!(ada.get(&format!("/documents/{document}")).await["text"], told);
}
