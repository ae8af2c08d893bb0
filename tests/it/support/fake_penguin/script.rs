//! What a prompt asks the fake agent to do: directives in double brackets.

use std::time::Duration;

use serde_json::Value;

/// One tool call.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Penguin's name for it in answers.
    pub name: String,
    /// Its arguments as the model wrote them.
    pub arguments: String,
    /// It waits for a permission first.
    pub asks: bool,
}

/// How the run ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// With words.
    Words(String),
    /// With a failed provider: category, status, seconds to wait, recoverable.
    Provider(&'static str, Option<u16>, Option<f64>, &'static str),
    /// Never.
    Hang,
    /// With a status that nobody knows.
    Strange,
}

/// The whole plan of one run.
#[derive(Clone, Debug)]
pub struct Script {
    /// Tool calls, one a turn.
    pub tools: Vec<Tool>,
    /// A question to a person before the end.
    pub question: bool,
    /// How it ends.
    pub ending: Ending,
    /// Pause between two words, and in each tool.
    pub delay: Duration,
}

/// Reads a prompt: `[[say:..]] [[words:N]] [[delay:S]] [[tool:NAME {..}]] [[ask:permission]] [[ask:question]]
/// [[provider_error]] [[recoverable]] [[cut]] [[empty]] [[hang]] [[strange]]`.
pub fn read(prompt: &str) -> Script {
    let mut script = Script {
        tools: Vec::new(),
        question: false,
        ending: Ending::Words(format!("Fake reply to: {}", prompt.split("[[").next().unwrap_or_default().trim())),
        delay: Duration::from_millis(2),
    };
    let mut asks = false;
    for directive in prompt.split("[[").skip(1).filter_map(|rest| rest.split_once("]]").map(|(inside, _)| inside)) {
        let (verb, rest) = directive.split_once(':').unwrap_or((directive, ""));
        match verb {
            "say" => script.ending = Ending::Words(rest.to_owned()),
            "words" => script.ending = Ending::Words(words(rest.parse().unwrap_or(1))),
            "empty" => script.ending = Ending::Words(String::new()),
            "delay" => script.delay = Duration::from_secs_f64(rest.parse().unwrap_or(0.0)),
            "tool" => {
                let (name, arguments) = rest.split_once(' ').unwrap_or((rest, "{}"));
                script.tools.push(Tool { name: name.into(), arguments: arguments.into(), asks });
                asks = false;
            }
            "ask" if rest == "permission" => asks = true,
            "ask" => script.question = true,
            "provider_error" => script.ending = Ending::Provider("runtime", None, None, "provider_error"),
            "recoverable" => {
                script.ending = Ending::Provider("rate_limit", Some(429), Some(7.0), "provider_recoverable_error");
            }
            "cut" => script.ending = Ending::Provider("network", None, None, "provider_recoverable_error"),
            "hang" => script.ending = Ending::Hang,
            "strange" => script.ending = Ending::Strange,
            other => panic!("no such directive: {other}"),
        }
    }
    script
}

impl Tool {
    /// Its arguments as a value.
    pub fn input(&self) -> Value {
        serde_json::from_str(&self.arguments).unwrap_or_default()
    }

    /// The name that events use.
    pub fn event_name(&self) -> &str {
        match self.name.as_str() {
            "write_file" => "write",
            "read_file" => "read",
            "execute_command" => "bash",
            other => other,
        }
    }

    /// What it answers.
    pub fn output(&self, allowed: bool) -> String {
        if !allowed {
            let reason = "The permission request was rejected or expired.";
            return serde_json::json!({"error": "permission_denied", "tool": self.name, "reason": reason}).to_string();
        }
        if self.name != "write_file" {
            return "Files in: /run/project".into();
        }
        let path = self.input()["path"].clone();
        let lists = serde_json::json!({
            "success": true, "tool": self.name, "files": [path], "files_edited": [path], "files_failed": [],
            "backup_paths": {}, "warnings": [], "diff": "--- a\n+++ b\n",
        });
        lists.to_string()
    }
}

fn words(count: usize) -> String {
    (0..count).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" ")
}
