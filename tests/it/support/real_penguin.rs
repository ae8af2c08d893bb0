//! A real Penguin 0.9.3 with a scripted model, started once and left running.

use std::{path::PathBuf, process::Command, sync::OnceLock};

use serde_json::Value;

use super::driving::http;

const PENGUIN_PORT: u16 = 18490;
const STUB_PORT: u16 = 18480;
/// The credential for ordinary calls.
pub const ORDINARY: (&str, &str) = ("api_key", "ordinary-client-key");
/// The credential for durable work.
pub const LINK: (&str, &str) = ("link_key", "link-service-key");

/// Runs of one Penguin must not start together, and each test has a driver of its own.
pub static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Tells whether the real thing shall be tested.
pub fn wanted() -> bool {
    let wanted = std::env::var("LINK_REAL_PENGUIN").is_ok_and(|value| value == "1");
    if !wanted {
        println!("skipped: set LINK_REAL_PENGUIN=1 to test against a real Penguin");
    }
    wanted
}

/// Starts Penguin and its model once for all tests of this process; a later start finds them running.
pub fn penguin() -> String {
    static URL: OnceLock<String> = OnceLock::new();
    let start = || {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/penguin/start_penguin.sh");
        let run = std::env::temp_dir().join("link-penguin-real");
        let script_do = |verb: &str| {
            Command::new(&script)
                .arg(verb)
                .env("RUN", &run)
                .env("PENGUIN_PORT", PENGUIN_PORT.to_string())
                .env("STUB_PORT", STUB_PORT.to_string())
                .env("AUTH", "on")
                .stdout(std::process::Stdio::null())
                .status()
                .expect("the script runs")
        };
        script_do("stop");
        assert!(script_do("start").success(), "Penguin starts");
        format!("http://127.0.0.1:{PENGUIN_PORT}")
    };
    URL.get_or_init(start).clone()
}

/// A Penguin of its own, which can be killed; it has its own model and is stopped when this is dropped.
pub struct OnePenguin {
    pub url: String,
    run: PathBuf,
    ports: [u16; 2],
}

impl OnePenguin {
    /// Starts it; which one, counted from 1, tells its ports.
    pub fn start(nth: u16) -> Self {
        let ports = [PENGUIN_PORT + nth, STUB_PORT + nth];
        let run = std::env::temp_dir().join(format!("link-penguin-real-{nth}"));
        let one = Self { url: format!("http://127.0.0.1:{}", ports[0]), run, ports };
        one.script("stop");
        assert!(one.script("start"), "Penguin starts");
        one
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.run.join("penguin.pid")).expect("it has started");
        let killed = Command::new("kill").args(["-9", pid.trim()]).status().expect("there is a shell");
        assert!(killed.success(), "it was alive");
    }

    fn script(&self, verb: &str) -> bool {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/penguin/start_penguin.sh");
        let mut command = Command::new(script);
        command.arg(verb).env("RUN", &self.run).env("AUTH", "on").stdout(std::process::Stdio::null());
        command.env("PENGUIN_PORT", self.ports[0].to_string()).env("STUB_PORT", self.ports[1].to_string());
        command.status().expect("the script runs").success()
    }
}

impl Drop for OnePenguin {
    fn drop(&mut self) {
        self.script("stop");
    }
}

/// How many requests to the model carry this text as the user's words: tool turns excluded.
pub async fn first_turns_with(text: &str) -> usize {
    let url = format!("http://127.0.0.1:{STUB_PORT}/_log");
    let body = http().get(url).send().await.expect("the stub answers").bytes().await.expect("a body");
    let log: Vec<Value> = serde_json::from_slice(&body).expect("JSON");
    let fresh = |entry: &Value| {
        let words = entry["body"].to_string();
        words.contains(text) && !words.contains("function_call_output") && !words.contains("tool_call_id")
    };
    log.iter().filter(|entry| fresh(entry)).count()
}
