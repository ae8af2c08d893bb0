//! The TypeScript client, as it is packed, with the stock `@trpc/client` on Node against a running Link. Needs Node 20,
//! npm and `LINK_NODE_CLIENT=1`; otherwise the test says that it was skipped.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::support::node::{TestNode, TestProcess, scratch};

/// Longest wait for the program's next word; npm may have to fetch.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn the_stock_client_is_typed_and_misses_nothing_while_the_server_dies_and_comes_back() {
    if std::env::var("LINK_NODE_CLIENT").is_ok_and(|value| value == "1") {
        let run = scratch("node-client");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/typescript/run.sh");
        let built = Command::new(script).arg(&run).kill_on_drop(true).status();
        let built = timeout(PATIENCE, built).await.expect("it is built in time").expect("there is a shell");
        assert!(built.success(), "the client does not compile as it should");
        the_readmes_first_call(&run.join("test")).await;
        run_against_a_server(&run.join("test")).await;
        std::fs::remove_dir_all(run).expect("nothing else uses it");
    } else {
        println!("skipped: set LINK_NODE_CLIENT=1 to test with the stock client on Node");
    }
}

/// Runs it as it is printed, but for the port.
async fn the_readmes_first_call(folder: &std::path::Path) {
    let node = TestNode::start().await;
    let program = folder.join("out/readme.js");
    let printed = std::fs::read_to_string(&program).expect("it was compiled");
    std::fs::write(&program, printed.replace("http://localhost:7070", &node.url)).expect("the folder is ours");
    let ran = Command::new("node").arg("out/readme.js").current_dir(folder).kill_on_drop(true).output();
    let ran = timeout(PATIENCE, ran).await.expect("it ends").expect("Node is installed");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(uuid::Uuid::parse_str(said.trim()).is_ok(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    node.node.stop().await;
}

async fn run_against_a_server(folder: &std::path::Path) {
    let mut server = TestProcess::start().await;
    let mut program = Command::new("node")
        .args(["out/live.js", &server.url])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("Node is installed: apt-get install nodejs");
    let mut answers = program.stdin.take().expect("it is piped");
    let mut words = BufReader::new(program.stdout.take().expect("it is piped")).lines();
    let mut heard = vec![];
    while let Some(word) = timeout(PATIENCE, words.next_line()).await.expect("it goes on").expect("it is text") {
        match word.as_str() {
            "kill and revive" => server.kill(),
            "stop and start" => server.terminate().await,
            _ => {
                println!("{word}");
                heard.push(word);
                continue;
            }
        }
        server.revive().await;
        answers.write_all(b"done\n").await.expect("it listens");
    }
    assert!(timeout(PATIENCE, program.wait()).await.expect("it ends").expect("it is our child").success());
    let parts = ["httpLink", "httpBatchLink", "httpBatchStreamLink", "subscriptions", "restart", "stop", "all"];
    assert_eq!(heard, parts.map(|part| format!("{part} ok")));
}
