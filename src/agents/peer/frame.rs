//! What an agent says that has connected to Link. The names of the protocol are here and in `told`, and nowhere else in
//! Link; see docs/peers.md.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::domain::{
    agent::SLOTS_MAX,
    failure::FailureClass,
    ids::AttemptId,
    run::{InterruptKind, Usage},
    text::Label,
};

/// The most bytes of an artifact's content.
pub const CONTENT_MAX: usize = 256 * 1024;
/// The most skills of one connection.
pub const SKILLS_MAX: usize = 64;
/// The most attempts that an agent may still have when it comes back: what it has, and what it has not let go of.
pub const RUNNING_MAX: usize = 4 * SLOTS_MAX as usize;

/// The first frame.
#[derive(Clone, Debug, Deserialize)]
pub struct Hello {
    /// A key of the agent.
    pub token: String,
    /// Which of the agent's servers this is.
    #[serde(default = "default_name")]
    pub name: Label,
    /// Attempts that it takes at the same time.
    #[serde(default = "default_capacity")]
    pub capacity: u32,
    /// What it is good at.
    #[serde(default)]
    pub skills: BTreeSet<Label>,
    /// Attempts that it still has.
    #[serde(default)]
    pub running: Vec<Held>,
}

fn default_name() -> Label {
    Label::fitted("default")
}

fn default_capacity() -> u32 {
    1
}

/// An attempt that an agent still has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Held {
    /// Which.
    pub attempt: AttemptId,
    /// The fence that it came with.
    pub fence: u64,
    /// The first frame about it that the agent has kept: everything before was acknowledged.
    #[serde(default = "first")]
    pub seq: u64,
}

fn first() -> u64 {
    1
}

/// Reads the first frame; the error says what is wrong with it.
pub fn hello(frame: Value) -> Result<Hello, String> {
    if frame.get("t").and_then(Value::as_str) != Some("hello") {
        return Err("the first frame is `hello`".into());
    }
    let hello: Hello = serde_json::from_value(frame).map_err(|error| error.to_string())?;
    if !(1..=SLOTS_MAX).contains(&hello.capacity) {
        return Err(format!("capacity: must be 1 to {SLOTS_MAX}"));
    }
    if hello.skills.len() > SKILLS_MAX {
        return Err(format!("skills: at most {SKILLS_MAX}"));
    }
    if hello.running.len() > RUNNING_MAX {
        return Err(format!("running: at most {RUNNING_MAX}"));
    }
    Ok(hello)
}

/// What an agent says after that.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It lives.
    Heartbeat,
    /// Something about an attempt.
    About(Said),
}

/// A frame about an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Which attempt.
    pub attempt: AttemptId,
    /// Its fence, as the agent knows it.
    pub fence: u64,
    /// Its number among the frames about this attempt: 1, 2, 3 …; a frame without one cannot be acknowledged.
    pub seq: Option<u64>,
    /// What.
    pub what: What,
}

/// What an agent says about an attempt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum What {
    /// It has the work.
    Accepted {},
    /// The work moved on.
    Progress {
        /// 0–100, from evidence.
        percent: Option<f64>,
        /// One word.
        phase: Option<String>,
        /// One line.
        message: Option<String>,
    },
    /// The next piece of the answer being written.
    Output {
        /// The piece.
        text: String,
    },
    /// A tool call ended.
    Tool {
        /// The tool.
        tool: String,
        /// Whether it worked.
        #[serde(default = "yes")]
        ok: bool,
        /// One line.
        #[serde(default)]
        summary: String,
    },
    /// Something was made or changed.
    Artifact {
        /// `file`, `text`, `diff`, `link`.
        #[serde(default = "file")]
        kind: String,
        /// Path or title.
        name: String,
        /// The content, where it is small text.
        content: Option<String>,
        /// Anything else.
        #[serde(default)]
        details: Value,
    },
    /// Tokens and cost so far.
    Usage(Spent),
    /// A question.
    Interrupt {
        /// The agent's name for it.
        interrupt: String,
        /// What kind of answer is needed.
        #[serde(default = "question")]
        kind: InterruptKind,
        /// The question.
        prompt: String,
        /// Options, resource, schema of the answer.
        #[serde(default)]
        details: Value,
    },
    /// The question went away.
    Withdrawn {
        /// The agent's name for it.
        interrupt: String,
    },
    /// The work is handed in.
    Submitted {
        /// The agent's final words.
        #[serde(default)]
        text: String,
    },
    /// It ended without a result.
    Failed {
        /// How; anything unknown is `unknown`.
        class: Option<String>,
        /// For people.
        #[serde(default)]
        message: String,
        /// Please not before.
        retry_after_ms: Option<u64>,
    },
    /// It was stopped, as Link wanted.
    Stopped {},
    /// A frame that has a number and no meaning: it is passed over.
    #[serde(skip)]
    Unreadable(String),
}

/// Totals, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Spent {
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: f64,
}

impl From<Spent> for Usage {
    fn from(Spent { input_tokens, output_tokens, cost_usd }: Spent) -> Self {
        Self { input_tokens, output_tokens, cost_usd }
    }
}

fn yes() -> bool {
    true
}
fn file() -> String {
    "file".into()
}
fn question() -> InterruptKind {
    InterruptKind::Question
}

/// Why a frame cannot be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Unusable(pub String);

/// Reads a frame after the first one.
pub fn read(frame: Value) -> Result<Heard, Unusable> {
    #[derive(Deserialize)]
    struct About {
        attempt: AttemptId,
        fence: u64,
        seq: Option<u64>,
    }
    match frame.get("t").and_then(Value::as_str) {
        Some("heartbeat") => return Ok(Heard::Heartbeat),
        Some("hello") => return Err(Unusable("hello was said already".into())),
        Some(_) => {}
        None => return Err(Unusable("a frame says with `t` what it is".into())),
    }
    let about = About::deserialize(&frame);
    let About { attempt, fence, seq } = about.map_err(|error| Unusable(error.to_string()))?;
    if seq == Some(0) {
        return Err(Unusable("seq: begins with 1".into()));
    }
    let what = match serde_json::from_value(frame) {
        Ok(What::Artifact { content: Some(content), .. }) if content.len() > CONTENT_MAX => {
            What::Unreadable(format!("content: at most {CONTENT_MAX} bytes; name the file and leave its content out"))
        }
        Ok(what) => what,
        // Its number has to be passed over, or everything after it would wait for ever.
        Err(error) => What::Unreadable(error.to_string()),
    };
    Ok(Heard::About(Said { attempt, fence, seq, what }))
}

/// Reads a class of failure; what an agent made up is none.
pub fn class(name: Option<&str>) -> FailureClass {
    let known = name.and_then(|name| serde_json::from_value(Value::from(name)).ok());
    known.unwrap_or(if name.is_none() { FailureClass::AgentBlocked } else { FailureClass::Unknown })
}
