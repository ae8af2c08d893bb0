//! One run of the fake agent: the events, messages and history that a real one leaves.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Shared,
    script::{self, Ending, Script, Tool},
};

const MODEL: &str = "stub/stub-1";
const PROVIDER: &str = "openrouter";

/// Everything about one run.
pub struct Run {
    pub world: Arc<Shared>,
    pub session: String,
    pub request: String,
    pub agent: String,
    pub text: String,
    pub turns_max: usize,
}

impl Run {
    /// Runs the script to its end and returns the answer.
    pub async fn run(self) -> Value {
        let script = script::read(&self.text);
        self.world.edit(|world| {
            *world.runs.entry(self.request.clone()).or_default() += 1;
            world.prompts.push(self.text.clone());
            world.session(&self.session).busy = true;
        });
        self.event("session.status", json!({"sessionID": self.session, "status": {"type": "busy"}}));
        self.user();
        let mut results = Vec::new();
        for tool in script.tools.iter().take(self.turns_max) {
            results.push(self.tool(tool, &script).await);
        }
        let answer = if script.tools.len() >= self.turns_max {
            self.over(&results, "max_iterations", "", json!({}))
        } else {
            self.ending(&script, &results).await
        };
        self.world.edit(|world| world.session(&self.session).busy = false);
        self.event("session.status", json!({"sessionID": self.session, "status": {"type": "idle"}}));
        answer
    }

    async fn ending(&self, script: &Script, results: &[Value]) -> Value {
        if script.question {
            let asked = json!({"questions": [{"question": "Which one?", "header": "h", "options": []}]});
            self.wait_for_person("question", asked).await;
        }
        match &script.ending {
            Ending::Words(words) => {
                self.say(words, script.delay).await;
                self.over(results, "completed", words, json!({}))
            }
            Ending::Provider(category, status_code, wait, status) => {
                let error = json!({
                    "message": "scripted failure", "category": category, "retryable": wait.is_some(),
                    "retry_after_seconds": wait, "status_code": status_code, "provider": PROVIDER, "model": MODEL,
                    "finish_reason": null, "provider_data": {},
                });
                let recoverable = *status == "provider_recoverable_error";
                let words = "Provider error occurred: scripted failure";
                self.over(results, status, words, json!({"recoverable": recoverable, "error": error, "usage": {}}))
            }
            Ending::Hang => std::future::pending().await,
            Ending::Strange => self.over(results, "quantum_foam", "hm", json!({})),
        }
    }

    fn over(&self, results: &[Value], status: &str, words: &str, more: Value) -> Value {
        let mut answer = json!({
            "response": words, "action_results": results, "aborted": false, "status": status,
            "session_id": self.session,
            "usage": {
                "input_tokens": 100, "output_tokens": 10, "reasoning_tokens": 0, "cache_read_tokens": 0,
                "cache_write_tokens": 0, "total_tokens": 110, "cost": 0.0,
            },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            answer[key] = value.clone();
        }
        answer
    }

    async fn tool(&self, tool: &Tool, script: &Script) -> Value {
        let call = format!("call_{}", self.world.edit(|world| world.number()));
        self.assistant(Some("tool-calls"), 0);
        self.tool_part(tool, &call, json!({"status": "running", "input": tool.input(), "time": {"start": now()}}));
        let allowed = if tool.asks { self.permission(tool).await } else { true };
        sleep(script.delay).await;
        let output = tool.output(allowed);
        let state = json!({
            "status": "completed", "input": tool.input(), "output": output, "time": {"start": now(), "end": now()},
            "metadata": {"provider": PROVIDER, "model": MODEL, "source": "responses_tool_call"},
        });
        self.tool_part(tool, &call, state);
        let about = json!({
            "tool_call_id": call, "action_type": tool.name, "tool_arguments": tool.arguments, "status": "completed",
        });
        self.history("tool", &output, "SYSTEM_OUTPUT", "action", about);
        json!({
            "truncated": false, "byte_count": output.len(), "line_count": 1, "output_hash": "0",
            "truncation_direction": "none", "artifact_path": null, "artifact_id": call, "max_chars": 24000,
            "action": tool.name, "result": output, "status": "completed", "tool_call_id": call,
            "tool_arguments": tool.arguments,
        })
    }

    async fn permission(&self, tool: &Tool) -> bool {
        let path = tool.input()["path"].clone();
        let asked = json!({
            "permission": "edit", "patterns": [path], "always": [path],
            "metadata": {
                "reason": "Operation 'filesystem.write' requires approval", "operation": "filesystem.write",
                "tool_name": tool.name, "resource": path, "can_enable_full_access": true, "path": path,
                "content": "<redacted:1 chars>", "filepath": path,
            },
        });
        self.wait_for_person("permission", asked).await == "once"
    }

    /// Asks, and returns how it was replied to.
    async fn wait_for_person(&self, kind: &str, mut asked: Value) -> String {
        let id = format!("{kind}-{}", self.world.edit(|world| world.number()));
        asked["id"] = json!(id);
        asked["sessionID"] = json!(self.session);
        self.world.edit(|world| world.waiting.insert(id.clone(), asked.clone()));
        self.event(&format!("{kind}.asked"), asked);
        loop {
            if let Some(reply) = self.world.edit(|world| world.replies.remove(&id)) {
                let replied = json!({"sessionID": self.session, "requestID": id, "reply": reply});
                self.event(&format!("{kind}.replied"), replied);
                return reply;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn say(&self, words: &str, delay: Duration) {
        self.assistant(None, 0);
        let mut text = String::new();
        for word in words.split_inclusive(' ') {
            text.push_str(word);
            let part = json!({
                "id": "part_text", "messageID": self.reply_id(), "sessionID": self.session, "type": "text", "text": text,
            });
            self.event("message.part.updated", json!({"part": part, "delta": word, "sessionID": self.session}));
            self.keep_part(part);
            sleep(delay).await;
        }
        if !words.trim().is_empty() {
            self.history("assistant", words, "DIALOG", "message", json!({}));
        }
        self.assistant(None, 100);
    }

    fn user(&self) {
        let info = json!({
            "id": self.request, "sessionID": self.session, "role": "user",
            "time": {"created": now(), "completed": now()}, "agent": self.agent,
            "model": {"providerID": PROVIDER, "modelID": MODEL},
        });
        let part = json!({
            "id": "part_user", "messageID": self.request, "sessionID": self.session, "type": "text", "text": self.text,
        });
        self.keep(&info);
        self.keep_part(part.clone());
        self.event("message.updated", info);
        self.event("message.part.updated", json!({"part": part, "sessionID": self.session}));
        self.history("user", &self.text, "DIALOG", "message", json!({}));
    }

    fn assistant(&self, finish: Option<&str>, tokens: u64) {
        let mut info = json!({
            "id": self.reply_id(), "sessionID": self.session, "role": "assistant",
            "time": {"created": now(), "completed": null}, "parentID": self.request, "modelID": MODEL,
            "providerID": PROVIDER, "variant": null, "mode": "build", "agent": self.agent,
            "path": {"cwd": "/run/project", "root": "/run/project"}, "cost": 0.0,
            "tokens": {"input": tokens, "output": tokens / 10, "reasoning": 0, "cache": {"read": 0, "write": 0}},
            "directory": "/run/project",
        });
        if let Some(finish) = finish {
            info["finish"] = json!(finish);
        }
        self.keep(&info);
        self.event("message.updated", info);
    }

    fn tool_part(&self, tool: &Tool, call: &str, state: Value) {
        let part = json!({
            "id": format!("part_{call}"), "messageID": self.reply_id(), "sessionID": self.session, "type": "tool",
            "callID": call, "tool": tool.event_name(), "state": state,
        });
        self.event("message.part.updated", json!({"part": part, "sessionID": self.session}));
        self.keep_part(part);
    }

    fn reply_id(&self) -> String {
        format!("msg_{}_00", self.session)
    }

    fn keep(&self, info: &Value) {
        let mut info = info.clone();
        // Only events name the directory.
        info.as_object_mut().expect("an object").remove("directory");
        self.world.edit(|world| {
            let messages = &mut world.session(&self.session).messages;
            match messages.iter_mut().find(|message| message["info"]["id"] == info["id"]) {
                Some(message) => message["info"] = info,
                None => messages.push(json!({"info": info, "parts": []})),
            }
        });
    }

    fn keep_part(&self, part: Value) {
        self.world.edit(|world| {
            let messages = &mut world.session(&self.session).messages;
            let message = messages.iter_mut().find(|message| message["info"]["id"] == part["messageID"]);
            let parts = message.and_then(|message| message["parts"].as_array_mut()).expect("its message is kept");
            match parts.iter_mut().find(|kept| kept["id"] == part["id"]) {
                Some(kept) => *kept = part,
                None => parts.push(part),
            }
        });
    }

    fn history(&self, role: &str, content: &str, category: &str, kind: &str, metadata: Value) {
        self.world.edit(|world| {
            let id = format!("msg_{}", world.number());
            world.session(&self.session).history.push(json!({
                "id": id, "role": role, "content": content, "category": category, "timestamp": "2026-01-01T00:00:00",
                "agent_id": null, "recipient_id": null, "message_type": kind, "metadata": metadata,
            }));
        });
    }

    fn event(&self, kind: &str, properties: Value) {
        self.world.publish(&self.session, kind, properties);
    }
}

/// A clock that only has to go forward.
fn now() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static TIME: AtomicU64 = AtomicU64::new(1_800_000_000_000);
    TIME.fetch_add(1, Ordering::Relaxed)
}

/// The fake's time.
pub fn time() -> u64 {
    now()
}
