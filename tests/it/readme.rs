//! The README's first calls, run as they are printed: in bash, in a directory like a fresh clone that was built, with a
//! home directory of its own. Two things are not as printed: the node runs already, on a port of its own, which takes
//! the place of 7070; and `target/debug/link` is the binary of this test.

use crate::support::{node::TestNode, terminal::Terminal};

/// The lines of the first fenced block below a heading.
fn snippet(heading: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, below) =
        readme.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading is `{heading}`"));
    let (_, block) = below.split_once("```").expect("a block follows");
    let (_, block) = block.split_once('\n').expect("the language ends its line");
    block.split_once("\n```").expect("the block ends").0.to_owned()
}

/// Runs a snippet and checks that the last line that it prints holds an id.
async fn leads_to_an_id(node: &TestNode, heading: &str) {
    let terminal = Terminal::at(&node.url);
    let bin = terminal.home.join("target/debug");
    std::fs::create_dir_all(&bin).expect("the home is ours");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_link"), bin.join("link")).expect("nothing is there yet");
    let printed = snippet(heading);
    assert_eq!(printed.lines().count(), 3, "{heading}: a first call is three lines");
    let here = node.url.strip_prefix("http://").expect("it is an address");
    let script = printed.replace("localhost:7070", here).replace("127.0.0.1:7070", here);
    let out = terminal.bash(&script).await.done();
    let last = out.lines().last().unwrap_or_default();
    let mut words = last.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
    assert!(words.any(|word| uuid::Uuid::parse_str(word).is_ok()), "{heading}: no id in {last:?} of\n{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_first_call_with_curl_works_as_printed() {
    let node = TestNode::start().await;
    leads_to_an_id(&node, "### With curl").await;
    node.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_first_call_with_the_command_line_works_as_printed() {
    let node = TestNode::start().await;
    leads_to_an_id(&node, "### With the command line").await;
    node.node.stop().await;
}
