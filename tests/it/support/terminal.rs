//! The command line as a person has it: the built binary, with a home directory of its own.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

use super::{node::scratch, person::PATIENCE};

/// A home directory and an environment.
pub struct Terminal {
    pub home: PathBuf,
    environment: Vec<(&'static str, String)>,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Terminal {
    /// One where nobody has logged in yet, and nothing is known of any server but this.
    pub fn at(url: &str) -> Self {
        Self { home: scratch("home"), environment: vec![] }.with("LINK_SERVER", url)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// A program that sees this environment and nothing else of the test's.
    pub fn program(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", &self.home).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.environment.iter().map(|(name, value)| (*name, value)));
        command.current_dir(&self.home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    pub async fn link(&self, words: &[&str]) -> Said {
        ended(self.program(env!("CARGO_BIN_EXE_link")).args(words).spawn().expect("it is built")).await
    }

    /// The same, with something on its standard input.
    pub async fn link_with(&self, words: &[&str], input: &str) -> Said {
        let mut link = self.program(env!("CARGO_BIN_EXE_link"));
        let mut child = link.args(words).stdin(Stdio::piped()).spawn().expect("it is built");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        ended(child).await
    }

    pub async fn bash(&self, script: &str) -> Said {
        ended(self.program("bash").args(["-e", "-u", "-c", script]).spawn().expect("bash is installed")).await
    }

    /// The file that keeps the contexts.
    pub fn contexts(&self) -> PathBuf {
        self.home.join(".config/link/context.json")
    }

    /// Makes an account and stays logged in.
    pub async fn register(&self, email: &str, context: &str) {
        let words = ["register", "--context", context, "--email", email, "--name", "Ada", "--password-stdin"];
        self.link_with(&words, "correct horse\n").await.done();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

async fn ended(child: Child) -> Said {
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("it is our child");
    let text = |bytes| String::from_utf8(bytes).expect("it speaks UTF-8");
    Said { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    /// Checks that it succeeded, and returns what it printed.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:#?}");
        self.out
    }

    /// The same for one JSON document.
    #[track_caller]
    pub fn json(self) -> Value {
        assert!(self.err.is_empty(), "{self:#?}");
        document(&self.done())
    }

    /// Checks that it failed with this exit code and printed no answer; returns the error's document.
    #[track_caller]
    pub fn refused(self, code: i32) -> Value {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:#?}");
        document(&self.err)
    }
}

#[track_caller]
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not one JSON document: {error}\n{text}"))
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("it exists").permissions().mode() & 0o777
}
