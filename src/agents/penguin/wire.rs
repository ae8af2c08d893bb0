//! What Penguin's answers look like. Every field may be missing or odd: a reader gets a default, never an error,
//! because one strange field must not cost a finished run.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Reads a field, or takes its default where it is absent, null or of another type.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// `POST chat/message`.
#[derive(Debug, Serialize)]
pub struct ChatRequest<'a> {
    /// The whole prompt.
    pub text: &'a str,
    /// The session, which is also the conversation.
    pub session_id: &'a str,
    /// Link's request id; becomes the id of the user's message.
    pub client_message_id: &'a str,
    /// A name of its own for each attempt: runs that share Penguin's default agent get each other's text.
    pub agent_id: &'a str,
    /// Most turns of the agent loop.
    pub max_iterations: u32,
    /// The model, where Link chooses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    /// Asks for a receipt that survives Penguin.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub durable_request: bool,
    /// On whose authority and bill the run happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_execution: Option<Execution>,
}

/// Link's authority for one run.
#[derive(Debug, Serialize)]
pub struct Execution {
    /// The tenant.
    pub workspace_id: String,
    /// The person who answers for the work.
    pub user_id: String,
    /// The attempt.
    pub run_id: String,
    /// The model that Link resolved.
    pub requested_model_id: String,
    /// Always `link_gateway`.
    pub execution_source: &'static str,
    /// Always `link_managed`.
    pub provider_state_owner: &'static str,
    /// Always `debit_link_credits`.
    pub settlement_mode: &'static str,
    /// Always false: the authority covers this model only.
    pub allow_fallback_to_link_gateway: bool,
}

/// The answer of `POST chat/message`, also kept in a durable receipt.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChatAnswer {
    /// The agent's final words.
    #[serde(deserialize_with = "lenient")]
    pub response: String,
    /// Every tool call of the run.
    #[serde(deserialize_with = "lenient")]
    pub action_results: Vec<ActionResult>,
    /// Stopped before its end.
    #[serde(deserialize_with = "lenient")]
    pub aborted: bool,
    /// How it ended.
    #[serde(deserialize_with = "lenient")]
    pub status: Option<String>,
    /// What the agent itself says about the end (task runs).
    #[serde(deserialize_with = "lenient")]
    pub finish_status: Option<String>,
    /// The agent's closing summary (task runs).
    #[serde(deserialize_with = "lenient")]
    pub finish_summary: Option<String>,
    /// Tokens and cost.
    #[serde(deserialize_with = "lenient")]
    pub usage: UsageBody,
    /// Why the model's provider failed.
    #[serde(deserialize_with = "lenient")]
    pub error: ProviderFault,
}

/// Tokens and cost of a run.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct UsageBody {
    /// Tokens read.
    #[serde(deserialize_with = "lenient")]
    pub input_tokens: u64,
    /// Tokens written.
    #[serde(deserialize_with = "lenient")]
    pub output_tokens: u64,
    /// US dollars.
    #[serde(deserialize_with = "lenient")]
    pub cost: f64,
}

/// A failure of the model's provider, as Penguin tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ProviderFault {
    /// In words; often the only place that has the status.
    #[serde(deserialize_with = "lenient")]
    pub message: String,
    /// `rate_limit`, `auth`, `network`, `provider_unavailable`, `runtime`, …
    #[serde(deserialize_with = "lenient")]
    pub category: String,
    /// The provider's wish.
    #[serde(deserialize_with = "lenient")]
    pub retry_after_seconds: Option<f64>,
    /// The provider's HTTP status, if known.
    #[serde(deserialize_with = "lenient")]
    pub status_code: Option<u16>,
}

/// One tool call in an answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ActionResult {
    /// Penguin's name for the tool.
    #[serde(deserialize_with = "lenient")]
    pub action: String,
    /// What it answered.
    #[serde(deserialize_with = "lenient")]
    pub result: String,
    /// `completed` or `error`.
    #[serde(deserialize_with = "lenient")]
    pub status: String,
    /// Set where the tool could not run at all.
    #[serde(deserialize_with = "lenient")]
    pub error: Option<String>,
    /// The model's id of the call.
    #[serde(deserialize_with = "lenient")]
    pub tool_call_id: String,
    /// Arguments as JSON text.
    #[serde(deserialize_with = "lenient")]
    pub tool_arguments: String,
}

/// `GET link/chat-request` and its cancel.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Receipt {
    /// `absent`, `accepted` or `completed`.
    #[serde(deserialize_with = "lenient")]
    pub state: String,
    /// The stored answer of a completed request.
    #[serde(deserialize_with = "lenient")]
    pub response: Option<ChatAnswer>,
    /// The stored refusal of a completed request.
    #[serde(deserialize_with = "lenient")]
    pub http_error: Option<Value>,
}

/// `GET health`, the part that is not a constant.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HealthBody {
    /// Since when it runs.
    #[serde(deserialize_with = "lenient")]
    pub uptime: Uptime,
}

/// Since when a Penguin runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Uptime {
    /// Penguin's boot id.
    #[serde(deserialize_with = "lenient")]
    pub start_time: Option<String>,
}

/// A session in a list, or just created.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SessionInfo {
    /// Its id.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// Its title.
    #[serde(deserialize_with = "lenient")]
    pub title: String,
}

/// A message with its parts (`GET session/{id}/message`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Message {
    /// Who, when, how many tokens.
    #[serde(deserialize_with = "lenient")]
    pub info: MessageInfo,
    /// Text, reasoning and tool calls.
    #[serde(deserialize_with = "lenient")]
    pub parts: Vec<Part>,
}

/// The head of a message; also the properties of `message.updated`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MessageInfo {
    /// Its id; for the user's message of a prepared session this is Link's request id.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// `user` or `assistant`.
    #[serde(deserialize_with = "lenient")]
    pub role: String,
    /// Tokens; set once, at the end of the run, as totals.
    #[serde(deserialize_with = "lenient")]
    pub tokens: Tokens,
    /// US dollars.
    #[serde(deserialize_with = "lenient")]
    pub cost: f64,
}

/// Token counts of a message.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Tokens read.
    #[serde(deserialize_with = "lenient")]
    pub input: u64,
    /// Tokens written.
    #[serde(deserialize_with = "lenient")]
    pub output: u64,
}

/// A part of a message.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Part {
    /// `text`, `reasoning`, `tool`, …
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// The message.
    #[serde(rename = "messageID", deserialize_with = "lenient")]
    pub message: String,
    /// The whole text so far.
    #[serde(deserialize_with = "lenient")]
    pub text: String,
    /// The model's id of the tool call.
    #[serde(rename = "callID", deserialize_with = "lenient")]
    pub call: String,
    /// The tool's name in events.
    #[serde(deserialize_with = "lenient")]
    pub tool: String,
    /// How far the tool call is.
    #[serde(deserialize_with = "lenient")]
    pub state: ToolState,
}

/// How far a tool call is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ToolState {
    /// `running`, `completed` or `error`.
    #[serde(deserialize_with = "lenient")]
    pub status: String,
    /// Its arguments.
    #[serde(deserialize_with = "lenient")]
    pub input: Value,
    /// What it answered.
    #[serde(deserialize_with = "lenient")]
    pub output: String,
    /// What went wrong.
    #[serde(deserialize_with = "lenient")]
    pub error: String,
}

/// `GET conversations/{id}/history`: the only place that keeps every tool call of a finished run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct History {
    /// Oldest first.
    #[serde(deserialize_with = "lenient")]
    pub messages: Vec<HistoryEntry>,
}

/// One entry of a history.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// `user`, `assistant` or `tool`.
    #[serde(deserialize_with = "lenient")]
    pub role: String,
    /// Words, or what the tool answered.
    #[serde(deserialize_with = "lenient")]
    pub content: String,
    /// About a tool call.
    #[serde(deserialize_with = "lenient")]
    pub metadata: HistoryMetadata,
}

/// About a tool call in a history.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HistoryMetadata {
    /// The model's id of the call.
    #[serde(deserialize_with = "lenient")]
    pub tool_call_id: String,
    /// Penguin's name for the tool.
    #[serde(deserialize_with = "lenient")]
    pub action_type: String,
    /// Arguments as JSON text.
    #[serde(deserialize_with = "lenient")]
    pub tool_arguments: String,
    /// `completed` or `error`.
    #[serde(deserialize_with = "lenient")]
    pub status: String,
}

/// One event of the stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Its id on the wire; counts anew after a restart.
    #[serde(deserialize_with = "lenient")]
    pub id: String,
    /// `message.updated`, `session.status`, …
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub kind: String,
    /// Milliseconds by Penguin's clock.
    #[serde(deserialize_with = "lenient")]
    pub time: i64,
    /// What it says.
    #[serde(deserialize_with = "lenient")]
    pub properties: Value,
}

/// Reads part of a value leniently.
pub fn read<T: DeserializeOwned + Default>(value: &Value) -> T {
    T::deserialize(value).unwrap_or_default()
}
