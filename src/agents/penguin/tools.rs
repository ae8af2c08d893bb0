//! What a tool call means to people: a name, one line, and the files it wrote. Pure.

use serde_json::{Value, json};

use super::wire::{ActionResult, HistoryEntry, Part};
use crate::agents::{Activity, Produced};

/// Most bytes of a file's content that is reported with it.
const CONTENT_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a tool's own diff that is kept with a file.
const DIFF_BYTES_MAX: usize = 32 * 1024;
/// Characters of a summary.
const SUMMARY_CHARS_MAX: usize = 160;
/// Most files reported for one call.
const FILES_MAX: usize = 100;

/// A tool call that ended, whichever way Link learned of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The model's id of the call: the same in events, answers and histories.
    pub id: String,
    /// Link's name for the tool.
    pub tool: String,
    input: Value,
    output: String,
    failed: bool,
}

impl ToolCall {
    /// Reads a tool part of a message, if it is a call that ended.
    pub fn of_part(part: &Part) -> Option<Self> {
        let failed = match part.state.status.as_str() {
            "completed" => false,
            "error" => true,
            _ => return None,
        };
        (part.kind == "tool" && !part.call.is_empty()).then(|| Self {
            id: part.call.clone(),
            tool: name(&part.tool),
            input: part.state.input.clone(),
            output: part.state.output.clone(),
            failed,
        })
    }

    /// Reads a tool call of an answer.
    pub fn of_result(result: &ActionResult) -> Option<Self> {
        (!result.tool_call_id.is_empty()).then(|| Self {
            id: result.tool_call_id.clone(),
            tool: name(&result.action),
            input: serde_json::from_str(&result.tool_arguments).unwrap_or_default(),
            output: result.result.clone(),
            failed: result.status == "error" || result.error.is_some(),
        })
    }

    /// Reads a tool call of a history.
    pub fn of_history(entry: &HistoryEntry) -> Option<Self> {
        Self::of_result(&ActionResult::from(entry)).filter(|_| entry.role == "tool")
    }

    /// Says that the call ended.
    pub fn ended(&self) -> Activity {
        Activity::Tool { tool: self.tool.clone(), ok: self.ok(), summary: summary(&self.input) }
    }

    /// Returns the files that the call wrote, as the tool itself lists them.
    pub fn files(&self) -> Vec<Produced> {
        let said: Value = serde_json::from_str(&self.output).unwrap_or_default();
        if !self.ok() || said["success"] != true {
            return Vec::new();
        }
        let empty = Vec::new();
        let edited = said["files_edited"].as_array().unwrap_or(&empty);
        let content = self.input["content"].as_str().filter(|text| text.len() <= CONTENT_BYTES_MAX);
        let diff = said["diff"].as_str().filter(|diff| !diff.is_empty() && diff.len() <= DIFF_BYTES_MAX);
        let paths = edited.iter().filter_map(Value::as_str).take(FILES_MAX);
        paths
            .map(|path| Produced {
                kind: "file".into(),
                name: path.to_owned(),
                content: content.filter(|_| edited.len() == 1).map(str::to_owned),
                details: json!({ "tool": self.tool, "diff": diff }),
            })
            .collect()
    }

    /// Tells whether it worked; tools report some failures only in their output.
    fn ok(&self) -> bool {
        let said: Value = serde_json::from_str(&self.output).unwrap_or_default();
        let refused = said.get("error").is_some_and(|error| !error.is_null()) || said["success"] == false;
        !self.failed && !refused && !self.output.starts_with("Error:")
    }
}

/// Says that a call began: its tool and one line.
pub fn started(part: &Part) -> Option<(String, String)> {
    let running = part.kind == "tool" && part.state.status == "running" && !part.call.is_empty();
    running.then(|| {
        let line = summary(&part.state.input);
        (part.call.clone(), if line.is_empty() { name(&part.tool) } else { format!("{}: {line}", name(&part.tool)) })
    })
}

/// Penguin names a tool differently in events and in answers; Link uses one name.
fn name(foreign: &str) -> String {
    match foreign {
        "write" | "write_file" | "create_file" => "write_file",
        "edit" | "edit_file" | "patch_file" => "edit_file",
        "read" | "read_file" => "read_file",
        "patch" | "apply_patch" => "apply_patch",
        "bash" | "execute_command" => "shell",
        "list" | "list_files" => "list_files",
        "grep" | "grep_search" => "search",
        other => other,
    }
    .to_owned()
}

fn summary(input: &Value) -> String {
    let known = ["command", "filePath", "path", "pattern", "query", "url", "summary"];
    let line = known.iter().find_map(|key| input[*key].as_str()).unwrap_or_default();
    line.lines().next().unwrap_or_default().chars().take(SUMMARY_CHARS_MAX).collect()
}
