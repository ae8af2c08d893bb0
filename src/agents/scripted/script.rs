//! The language of scripted agents: one step per line, or separated by `;`. Reading a script has no effects.

use std::time::Duration;

use serde_json::Value;

use crate::domain::{failure::FailureClass, run::Usage};

/// Where a script begins inside a prompt; it ends at `]]`.
const IN_PROMPT: &str = "[[script:";
/// The longest pause of one step.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// One thing that a scripted agent does.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Writes words into its answer.
    Say(String),
    /// Does nothing for a while.
    Wait(Duration),
    /// Reports progress.
    Progress {
        /// 0–100, or unknown, written `?`.
        percent: Option<u8>,
        /// One word.
        phase: String,
        /// One line for people.
        message: Option<String>,
    },
    /// Reports a tool call.
    Tool {
        /// The tool.
        name: String,
        /// One line.
        summary: String,
    },
    /// Makes a file.
    Write {
        /// Its path.
        path: String,
        /// What is in it.
        content: String,
    },
    /// Asks a person and goes on with the answer.
    Ask(String),
    /// Asks for leave and fails without it.
    Approve(String),
    /// Reports tokens and cost.
    Usage(Usage),
    /// Ends with a failure.
    Fail {
        /// How.
        class: FailureClass,
        /// For people.
        message: String,
    },
    /// Panics, as a bug would.
    Crash,
    /// Says nothing until it is told something.
    Doze,
    /// Never says anything again.
    Silent,
    /// Hands in nothing at all.
    Empty,
}

/// A step that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("step {number} of the script, `{step}`: {why}")]
pub struct Unreadable {
    /// Which step, from 1.
    number: usize,
    /// What it says.
    step: String,
    /// What it should say.
    why: &'static str,
}

/// Returns the script that counts: the prompt's last one, or else the agent's own.
pub fn chosen<'a>(own: &'a str, prompt: &'a str) -> &'a str {
    let in_prompt = prompt.rfind(IN_PROMPT).map(|start| &prompt[start + IN_PROMPT.len()..]);
    in_prompt.and_then(|rest| rest.split_once("]]")).map_or(own, |(script, _)| script)
}

/// Reads a script; `{title}` in its texts becomes `title`, `\n` a line break and `\;` a semicolon.
pub fn parse(script: &str, title: &str) -> Result<Vec<Step>, Unreadable> {
    let steps = split(script);
    let read = |(nth, step): (usize, &String)| {
        parse_step(step, title).map_err(|why| Unreadable { number: nth + 1, step: step.clone(), why })
    };
    let steps: Vec<Step> = steps.iter().enumerate().map(read).collect::<Result<_, _>>()?;
    if steps.is_empty() {
        return Err(Unreadable { number: 1, step: String::new(), why: "a script needs at least one step" });
    }
    Ok(steps)
}

/// Cuts at line breaks and semicolons, except at `\;`; empty steps do not count.
fn split(script: &str) -> Vec<String> {
    let mut steps = vec![String::new()];
    let mut chars = script.chars().peekable();
    while let Some(c) = chars.next() {
        let Some(step) = steps.last_mut() else { break };
        match c {
            '\\' if chars.peek() == Some(&';') => step.extend(chars.next()),
            ';' | '\n' => steps.push(String::new()),
            c => step.push(c),
        }
    }
    steps.into_iter().map(|step| step.trim().to_owned()).filter(|step| !step.is_empty()).collect()
}

fn parse_step(step: &str, title: &str) -> Result<Step, &'static str> {
    let fill = |text: &str| text.replace("\\n", "\n").replace("{title}", title);
    let needed = |text: &str, why| if text.is_empty() { Err(why) } else { Ok(fill(text)) };
    let (verb, rest) = word(step);
    Ok(match verb {
        "say" => Step::Say(needed(rest, "expected `say TEXT`")?),
        "wait" => Step::Wait(duration(rest).ok_or("expected `wait 200ms` or `wait 2s`, at most a day")?),
        "progress" => {
            let (percent, rest) = word(rest);
            let (phase, message) = word(rest);
            Step::Progress {
                percent: percentage(percent)
                    .ok_or("expected `progress PERCENT PHASE [MESSAGE]`, PERCENT 0-100 or ?")?,
                phase: needed(phase, "expected a phase after the percentage")?,
                message: Some(fill(message)).filter(|message| !message.is_empty()),
            }
        }
        "tool" => {
            let (name, summary) = word(rest);
            Step::Tool { name: needed(name, "expected `tool NAME SUMMARY`")?, summary: fill(summary) }
        }
        "write" => {
            let (path, content) = word(rest);
            Step::Write { path: needed(path, "expected `write PATH CONTENT`")?, content: fill(content) }
        }
        "ask" => Step::Ask(needed(rest, "expected `ask QUESTION`")?),
        "approve" => Step::Approve(needed(rest, "expected `approve WHAT`")?),
        "usage" => Step::Usage(usage(rest).ok_or("expected `usage INPUT_TOKENS OUTPUT_TOKENS COST_USD`")?),
        "fail" => {
            let (class, message) = word(rest);
            let class = serde_json::from_value(Value::String(class.to_owned()));
            let class = class.map_err(|_| "expected `fail CLASS MESSAGE` with a class as in `provider_error`")?;
            Step::Fail { class, message: fill(message) }
        }
        "crash" => Step::Crash,
        "doze" => Step::Doze,
        "silent" => Step::Silent,
        "empty" => Step::Empty,
        _ => {
            return Err(
                "expected say, wait, progress, tool, write, ask, approve, usage, fail, crash, doze, silent or empty",
            );
        }
    })
}

fn word(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim_start())
}

fn duration(text: &str) -> Option<Duration> {
    let (digits, unit_ms) = match text.strip_suffix("ms") {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    let pause = Duration::from_millis(digits.parse::<u64>().ok()?.checked_mul(unit_ms)?);
    (pause <= WAIT_MAX).then_some(pause)
}

fn percentage(text: &str) -> Option<Option<u8>> {
    match text {
        "?" => Some(None),
        digits => digits.trim_end_matches('%').parse().ok().filter(|percent| *percent <= 100).map(Some),
    }
}

fn usage(text: &str) -> Option<Usage> {
    let mut numbers = text.split_whitespace();
    let usage = Usage {
        input_tokens: numbers.next()?.parse().ok()?,
        output_tokens: numbers.next()?.parse().ok()?,
        cost_usd: numbers.next()?.parse().ok().filter(|cost: &f64| cost.is_finite() && *cost >= 0.0)?,
    };
    numbers.next().is_none().then_some(usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_separated_by_lines_and_semicolons() {
        let steps = parse("say one; wait 200ms\n\n ; wait 2s\nsay a\\; b\\nc", "").unwrap();
        let (short, long) = (Duration::from_millis(200), Duration::from_secs(2));
        let expected = [Step::Say("one".into()), Step::Wait(short), Step::Wait(long), Step::Say("a; b\nc".into())];
        assert_eq!(steps, expected);
    }

    #[test]
    fn every_verb_is_read() {
        let script = "progress 40 testing half way; progress ? working; tool bash cargo test; write a.md # {title}; \
                      ask which?; approve rm -rf; usage 10 20 0.5; fail provider_error sorry; crash; doze; silent; \
                      empty";
        let steps = parse(script, "Paint; the shed").unwrap();
        let usage = Usage { input_tokens: 10, output_tokens: 20, cost_usd: 0.5 };
        let message = Some("half way".to_owned());
        let expected = [
            Step::Progress { percent: Some(40), phase: "testing".into(), message },
            Step::Progress { percent: None, phase: "working".into(), message: None },
            Step::Tool { name: "bash".into(), summary: "cargo test".into() },
            Step::Write { path: "a.md".into(), content: "# Paint; the shed".into() },
            Step::Ask("which?".into()),
            Step::Approve("rm -rf".into()),
            Step::Usage(usage),
            Step::Fail { class: FailureClass::ProviderError, message: "sorry".into() },
            Step::Crash,
            Step::Doze,
            Step::Silent,
            Step::Empty,
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (script, number) in [
            ("say hello; dance", 2),
            ("wait long", 1),
            ("wait 99999999999999999999s", 1),
            ("wait 2d", 1),
            ("progress 101 x", 1),
            ("progress 10", 1),
            ("say", 1),
            ("write", 1),
            ("usage 1 2", 1),
            ("usage 1 2 NaN", 1),
            ("fail no_such_class x", 1),
            ("", 1),
        ] {
            let error = parse(script, "").unwrap_err();
            assert_eq!(error.number, number, "{script}");
            assert!(error.to_string().starts_with(&format!("step {number} of the script")));
        }
    }

    #[test]
    fn the_last_script_of_the_prompt_wins() {
        assert_eq!(chosen("say own", "no script here"), "say own");
        assert_eq!(chosen("say own", "x [[script: say a]] y [[script: say b]] z"), " say b");
        assert_eq!(chosen("say own", "never closed [[script: say a"), "say own");
    }
}
