//! Tells events in lines for people: names instead of ids, what matters of each, and an agent's words as they arrive.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    client::Client,
    error::Error,
    output::{cut, plain, write},
    paint::Paint,
};

/// The longest summary of an event.
const SUMMARY_MAX: usize = 120;

/// Remembers names and what was told last.
pub(super) struct Narrator {
    paint: Paint,
    /// `kind:id` to a name.
    names: BTreeMap<String, String>,
    /// The attempt whose words are on the current line.
    speaking: Option<String>,
    /// How many characters the agent that is speaking has said.
    said: usize,
}

impl Narrator {
    /// Makes a narrator who knows nobody.
    pub fn new(paint: Paint) -> Self {
        Self { paint, names: BTreeMap::new(), speaking: None, said: 0 }
    }

    /// Tells the narrator a name.
    pub fn know(&mut self, subject: String, name: &str) {
        self.names.insert(subject, name.to_owned());
    }

    /// Learns the names of members and agents; those that cannot be read stay ids.
    pub async fn introduce(&mut self, client: &Client, workspace: &str) {
        let of_workspace = || json!({"workspace_id": workspace, "limit": 200});
        for (operation, kind, id) in [("workspaces.list_members", "user", "user_id"), ("agents.list", "agent", "id")] {
            let Ok(reply) = client.call(operation, of_workspace()).await else { continue };
            for item in reply.body["items"].as_array().into_iter().flatten() {
                self.know(format!("{kind}:{}", plain(&item[id])), &plain(&item["name"]));
            }
        }
    }

    /// Tells one event.
    pub fn event(&mut self, event: &Value) -> Result<(), Error> {
        self.learn(event);
        let line = self.line(event);
        self.end_of_speech()?;
        write(&format!("{line}\n"))
    }

    /// Tells a line of one's own.
    pub fn aside(&mut self, text: &str) -> Result<(), Error> {
        self.end_of_speech()?;
        write(&format!("{text}\n"))
    }

    /// Tells the next words of an agent, if the signal holds any.
    pub fn signal(&mut self, signal: &Value) -> Result<(), Error> {
        if signal["type"] != "task:output" {
            return Ok(());
        }
        let attempt = plain(&signal["data"]["attempt"]);
        let length = signal["data"]["length"].as_u64().unwrap_or_default() as usize;
        let known = if self.speaking.as_ref() == Some(&attempt) { self.said } else { 0 };
        // All of it so far, for who has missed something: what is known already is not said again.
        let whole = signal["data"]["text"].as_str().map(|text| {
            let begin = length.saturating_sub(text.chars().count());
            text.chars().skip(known.saturating_sub(begin)).collect::<String>()
        });
        let words = whole.as_deref().or(signal["data"]["delta"].as_str()).unwrap_or_default();
        self.said = length;
        let mut shown: String = words.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        if self.speaking.as_ref() != Some(&attempt) {
            self.end_of_speech()?;
            let who = self.names.get(&format!("attempt:{attempt}")).map_or("agent", String::as_str);
            let mark = self.paint.dyed("35", &format!("{who:>21} | "));
            shown = format!("{mark}{}", shown.trim_start_matches('\n'));
            self.speaking = Some(attempt);
        }
        let indent = format!("\n{:>24}", self.paint.dyed("35", "| "));
        write(&shown.replace('\n', &indent))
    }

    fn end_of_speech(&mut self) -> Result<(), Error> {
        match self.speaking.take() {
            Some(_) => write("\n"),
            None => Ok(()),
        }
    }

    fn learn(&mut self, event: &Value) {
        let data = &event["data"];
        let name = match event["type"].as_str().unwrap_or_default() {
            "workspace:created" | "workspace:renamed" | "agent:registered" => &data["name"],
            "project:created" => &data["key"],
            "task:created" => &data["identifier"],
            "conversation:created" => &data["title"],
            "attempt:started" => {
                let agent = self.name(&format!("agent:{}", plain(&data["agent"])));
                self.know(format!("attempt:{}", plain(&data["attempt"])), &agent);
                return;
            }
            _ => return,
        };
        if let Some(name) = name.as_str() {
            let name = plain(&json!(name));
            self.know(plain(&event["subject"]), &name);
        }
    }

    /// Returns the name of a subject or a principal; without one, its kind and the end of its id.
    fn name(&self, subject: &str) -> String {
        if let Some(name) = self.names.get(subject) {
            return name.clone();
        }
        match subject.split_once(':') {
            Some(("service", _)) => "Link".to_owned(),
            Some((kind, id)) => format!("{kind} …{}", id.get(id.len().saturating_sub(6)..).unwrap_or(id)),
            None => subject.to_owned(),
        }
    }

    fn line(&self, event: &Value) -> String {
        let kind = plain(&event["type"]);
        let noun = kind.split(':').next().unwrap_or_default();
        let style = match noun {
            "task" => "36",
            "delegation" => "1;34",
            "attempt" => "35",
            "interrupt" => "1;33",
            "artifact" => "32",
            _ => "2",
        };
        let time = plain(&event["at"]);
        let time = time.get(11..19).unwrap_or_default();
        let offset = self.paint.dim(&format!("{:>5}  {time}", plain(&event["offset"])));
        let kind = self.paint.dyed(style, &format!("{:<24}", plain(&event["type"])));
        let subject = cut(&self.name(&plain(&event["subject"])), 14);
        let who = cut(&self.name(&plain(&event["actor"])), 14);
        let summary = cut(&self.summary(event), SUMMARY_MAX);
        format!("{offset}  {kind} {subject:<14} {who:<14} {summary}").trim_end().to_owned()
    }

    fn summary(&self, event: &Value) -> String {
        let data = &event["data"];
        let text = |field: &str| plain(&data[field]);
        let person = |field: &str, kind: &str| self.name(&format!("{kind}:{}", text(field)));
        match event["type"].as_str().unwrap_or_default() {
            "workspace:created" | "workspace:renamed" | "project:created" | "team:formed" => text("name"),
            "member:added" | "member:updated" => format!("{} as {}", person("user", "user"), text("role")),
            "member:removed" => person("user", "user"),
            "agent:registered" => format!("{}, driven as {}", text("name"), text("runtime")),
            "agent:status" => format!("{}: {}", text("status"), text("cause")),
            "instance:added" => cut(&text("url"), 60),
            "instance:standing" => format!("is {}: {}", text("standing").replace('_', " "), text("cause")),
            "instance:probed" if data["healthy"] == true => "answers".into(),
            "instance:probed" => format!("does not answer: {}", text("cause")),
            "task:created" => format!("{} ({})", text("title"), text("status")),
            "task:transitioned" => format!("{} -> {} ({})", text("from"), text("to"), text("reason")),
            "task:ready" => "nothing stands in its way".into(),
            "task:progress" => progress(data),
            "attempt:started" => format!("{}: {}", person("agent", "agent"), plain(&data["route"]["reason"])),
            "attempt:tool" => format!("{}: {}", text("tool"), text("summary")),
            "attempt:usage" => {
                let usage = &data["usage"];
                let (read, written) = (plain(&usage["input_tokens"]), plain(&usage["output_tokens"]));
                format!("{read} tokens read, {written} written, ${}", plain(&usage["cost_usd"]))
            }
            "attempt:failed" | "attempt:lost" => format!("{}: {}", text("class"), text("message")),
            "delegation:recovering" => text("class"),
            "artifact:recorded" => format!("{} {}", text("kind"), text("name")),
            "interrupt:opened" => format!("{}: {}", text("kind"), text("prompt")),
            "interrupt:resolved" => text("answer"),
            "delegation:queued" if data["agent"].is_null() => text("reason"),
            "delegation:queued" => format!("for {} ({})", person("agent", "agent"), text("reason")),
            "delegation:submitted" => text("text"),
            "delegation:reviewed" => format!("{}: {}", text("verdict"), text("comment")),
            "delegation:reviewing" => format!("{} approval needed", text("required")),
            "delegation:escalated" | "delegation:failed" | "delegation:cancelled" | "delegation:cancelling" => {
                text("reason")
            }
            "conversation:message" | "conversation:message_edited" => {
                let parts = data["parts"].as_array().into_iter().flatten();
                parts.map(|part| plain(&part["text"])).collect::<Vec<_>>().join(" ")
            }
            "attempt:accepted"
            | "attempt:succeeded"
            | "attempt:cancelled"
            | "attempt:superseded"
            | "delegation:running"
            | "delegation:awaiting"
            | "delegation:completed"
            | "delegation:paused"
            | "interrupt:delivered"
            | "session:bound"
            | "session:followed" => String::new(),
            _ => data.to_string(),
        }
    }
}

fn progress(data: &Value) -> String {
    let phase = plain(&data["phase"]);
    let message = data["message"].as_str().map(|message| format!(": {}", plain(&json!(message)))).unwrap_or_default();
    match data["percent"].as_u64() {
        Some(percent) => {
            let tenths = usize::try_from(percent / 10).unwrap_or(10).min(10);
            format!("[{}{}] {percent}% {phase}{message}", "#".repeat(tenths), ".".repeat(10 - tenths))
        }
        None => format!("{phase}{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_learned_and_used() {
        let mut narrator = Narrator::new(Paint::Plain);
        narrator.know("user:1".into(), "Ada");
        let created = json!({
            "offset": 7, "type": "task:created", "subject": "task:0123456789", "actor": "user:1",
            "at": "2026-01-02T03:04:05.678Z", "data": {"identifier": "LINK-1", "title": "Paint", "status": "ready"},
        });
        narrator.learn(&created);
        let moved = json!({
            "offset": 8, "type": "task:progress", "subject": "task:0123456789", "actor": "agent:abcdefghij",
            "at": "2026-01-02T03:04:06.678Z", "data": {"percent": 40, "phase": "testing", "message": "half"},
        });
        let expected = [
            "    7  03:04:05  task:created             LINK-1         Ada            Paint (ready)",
            "    8  03:04:06  task:progress            LINK-1         agent …efghij  [####......] 40% testing: half",
        ];
        assert_eq!([narrator.line(&created), narrator.line(&moved)], expected);
    }

    #[test]
    fn an_event_of_another_version_is_told_too() {
        let told = Narrator::new(Paint::Plain).line(&json!({"type": "moon:rose", "data": {"phase": "full"}}));
        assert!(told.ends_with(r#"{"phase":"full"}"#), "{told}");
    }
}
