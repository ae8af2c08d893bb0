//! The shell completions, used by a real shell.

use crate::support::terminal::Terminal;

/// What bash offers for the last word of a line; a space at its end begins a new one.
async fn offered(terminal: &Terminal, line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let [.., previous, current] = &words[..] else { panic!("two words at least") };
    // As bash itself calls it; what finds nothing ends with a code, which is no error there either.
    let script = format!(
        "set +eu; source link.bash; COMP_WORDS=({}); COMP_CWORD={}; _link link {current} {previous}
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1
    );
    terminal.bash(&script).await.done().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_the_operations_and_their_flags() {
    let terminal = Terminal::at("http://127.0.0.1:1");
    let script = terminal.link(&["completions", "bash"]).await.done();
    std::fs::write(terminal.home.join("link.bash"), script).unwrap();
    terminal.bash("bash -n link.bash").await.done();

    assert_eq!(offered(&terminal, "link task cr").await, ["create"]);
    assert_eq!(offered(&terminal, "link tasks cr").await, ["create"]);
    assert_eq!(offered(&terminal, "link task transition --idem").await, ["--idempotency-key"]);
    assert!(offered(&terminal, "link context ").await.contains(&"use".to_owned()));
    assert!(offered(&terminal, "link task transition --to in_").await.contains(&"in_review".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shell_has_its_completions() {
    let terminal = Terminal::at("http://127.0.0.1:1");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = terminal.link(&["completions", shell]).await.done();
        assert!(script.contains("submit-review") && script.contains("idempotency-key"), "{shell}");
    }
    assert_eq!(terminal.link(&["completions", "cmd"]).await.code, 2);
}
