//! What an attempt is told: everything that is known and helps, in four tiers and within a budget of tokens. The same
//! material always makes the same text. The task's own words are never cut, and what must be known is never left out.

mod dialog;
mod joined;
mod material;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

pub use joined::{Joined, PartDone};
pub use material::{Answered, Goal, Links, Material, Need, Past, Reviewed, Said, Thing, before, joined_parts};

/// The tokens that one attempt's text may have, unless the task's own words need more.
pub const TOKENS_MAX: usize = 32_000;
/// Bytes of text that are counted as one token.
const BYTES_PER_TOKEN: usize = 4;
/// Less than this is not worth cutting a piece down to, in tokens.
const CUT_TOKENS_MIN: usize = 64;

/// The longest of each that is kept, in characters.
const GOAL_LENGTH_MAX: usize = 1_000;
const ANSWER_LENGTH_MAX: usize = 1_000;
const REVIEW_LENGTH_MAX: usize = 4_000;
const FAILURE_LENGTH_MAX: usize = 2_000;
const NAMES_LENGTH_MAX: usize = 2_000;
const SAID_LENGTH_MAX: usize = 1_000;
const CONTENT_LENGTH_MAX: usize = 16_000;

/// Where in the text something stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Tier {
    /// What is to be done.
    System,
    /// What it is for, and what it builds on.
    Context,
    /// What people and agents said about it.
    Dialog,
    /// What earlier attempts did and left behind.
    SystemOutput,
}

impl Tier {
    fn heading(self) -> Option<&'static str> {
        match self {
            Self::System => None,
            Self::Context => Some("# CONTEXT"),
            Self::Dialog => Some("# DIALOG"),
            Self::SystemOutput => Some("# SYSTEM_OUTPUT"),
        }
    }
}

/// The text of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pack {
    /// All of it.
    pub text: String,
    /// About how many tokens that is.
    pub tokens: usize,
    /// What did not fit, by name.
    pub left_out: Vec<String>,
}

/// Returns about how many tokens a text has.
pub fn tokens(text: &str) -> usize {
    text.len().div_ceil(BYTES_PER_TOKEN)
}

/// One thing that the text can hold.
struct Piece {
    tier: Tier,
    name: String,
    text: String,
    worth: Worth,
}

/// How much something matters; less is more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// It is there, whole.
    Required,
    /// The smaller, the earlier it is taken.
    Rank(u8),
}

/// Puts the text of an attempt together.
pub fn pack(material: &Material, tokens_max: usize) -> Pack {
    let pieces = pieces(material);
    let mut chosen: Vec<Option<String>> = vec![None; pieces.len()];
    let mut used = 0;
    for (place, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.worth == Worth::Required) {
        used += cost(&piece.text);
        chosen[place] = Some(piece.text.clone());
    }
    // The headings are few and counted beforehand.
    used += 12;
    let mut optional: Vec<usize> = (0..pieces.len()).filter(|place| pieces[*place].worth != Worth::Required).collect();
    optional.sort_by_key(|place| pieces[*place].worth);
    let mut left_out = vec![];
    for place in optional {
        let piece = &pieces[place];
        let left = tokens_max.saturating_sub(used);
        let text = match cost(&piece.text) {
            whole if whole <= left => piece.text.clone(),
            _ if left > CUT_TOKENS_MIN => {
                left_out.push(format!("{}, in part", piece.name));
                cut(&piece.text, (left - 1) * BYTES_PER_TOKEN)
            }
            _ => {
                left_out.push(piece.name.clone());
                continue;
            }
        };
        used += cost(&text);
        chosen[place] = Some(text);
    }
    let text = rendered(&pieces, chosen);
    Pack { tokens: tokens(&text), text, left_out }
}

/// A piece and the empty line before it.
fn cost(text: &str) -> usize {
    tokens(text) + 1
}

fn rendered(pieces: &[Piece], chosen: Vec<Option<String>>) -> String {
    let mut text = String::new();
    let mut tier = Tier::System;
    for (piece, chosen) in pieces.iter().zip(chosen) {
        let Some(words) = chosen.filter(|words| !words.trim().is_empty()) else { continue };
        if piece.tier != tier {
            tier = piece.tier;
            text.push_str("\n\n");
            text.push_str(tier.heading().unwrap_or_default());
        }
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        text.push_str(&words);
    }
    text
}

/// Everything, in the order in which it is shown.
fn pieces(material: &Material) -> Vec<Piece> {
    let mut pieces = vec![];
    let mut add = |tier, worth, name: &str, text: String| {
        pieces.push(Piece { tier, worth, name: name.to_owned(), text });
    };
    add(Tier::System, Worth::Required, "the title", material.title.clone());
    add(Tier::System, Worth::Required, "the description", material.description.clone());
    add(Tier::System, Worth::Required, "the instructions", material.instructions.clone());
    if let Some(reason) = &material.hand_off {
        let text = format!("Another agent hands this work over to you: {reason}");
        add(Tier::System, Worth::Required, "the hand-off", text);
    }
    if !material.claims.is_empty() {
        let text = format!(
            "These paths are yours while you work, with everything below them. Nobody else writes there meanwhile; write \
             nowhere else:\n- {}",
            material.claims.join("\n- ")
        );
        add(Tier::System, Worth::Required, "the claimed paths", text);
    }
    if let Some(last) = material.attempts.last() {
        add(Tier::System, Worth::Required, "where it stands", last.standing(material.hand_off.is_some()));
    }
    for goal in &material.goals {
        let text = format!("Part of: {}", clipped(&goal.title, GOAL_LENGTH_MAX));
        add(Tier::Context, Worth::Required, "the goal", text);
        let name = format!("what the goal `{}` says", goal.title);
        add(Tier::Context, Worth::Rank(20), &name, clipped(&goal.description, CONTENT_LENGTH_MAX));
    }
    for need in &material.needs {
        let text = format!("Done before: {}", clipped(&need.title, GOAL_LENGTH_MAX));
        add(Tier::Context, Worth::Required, "what was done before", text);
        for thing in &need.things {
            add(Tier::Context, Worth::Rank(10), &format!("{} of `{}`", thing.name, need.title), thing.shown());
        }
    }
    if let Some(joined) = &material.joined {
        add(Tier::Context, Worth::Required, "how its parts were joined", joined.how.clone());
        for part in &joined.parts {
            let text = format!("Part `{}`: {}", clipped(&part.title, GOAL_LENGTH_MAX), part.standing);
            add(Tier::Context, Worth::Required, "a part", text);
            for thing in &part.things {
                add(
                    Tier::Context,
                    Worth::Rank(8),
                    &format!("{} of the part `{}`", thing.name, part.title),
                    thing.shown(),
                );
            }
        }
    }
    for said in &material.dialog {
        let text = format!("{}: {}", said.who, clipped(&said.text, SAID_LENGTH_MAX));
        add(Tier::Dialog, Worth::Rank(said.age.clamp(5, 60)), "something that was said", text);
    }
    for answered in &material.answers {
        let (question, answer) = (clipped(&answered.question, ANSWER_LENGTH_MAX), &answered.answer);
        let text = format!("Asked: {question}\nAnswered: {}", clipped(answer, ANSWER_LENGTH_MAX));
        add(Tier::Dialog, Worth::Required, "an answer", text);
    }
    for review in &material.reviews {
        let text = format!("Review, {}: {}", review.verdict, clipped(&review.comment, REVIEW_LENGTH_MAX));
        add(Tier::Dialog, Worth::Required, "a review", text);
    }
    let newest = material.attempts.len();
    for (place, past) in material.attempts.iter().enumerate() {
        let age = u8::try_from((newest - place - 1) * 4).unwrap_or(u8::MAX).min(40);
        let of = format!("attempt {}", place + 1);
        add(Tier::SystemOutput, Worth::Required, &of, past.summary(place + 1));
        if let Some(partial) = &past.partial {
            let text = format!("{of} had written:\n{}", tail(partial, CONTENT_LENGTH_MAX));
            add(Tier::SystemOutput, Worth::Rank(2 + age), &format!("the words of {of}"), text);
        }
        for thing in &past.things {
            add(Tier::SystemOutput, Worth::Rank(3 + age), &format!("{} of {of}", thing.name), thing.shown());
        }
        if !past.tools.is_empty() {
            let text = format!("Tools that {of} used:\n{}", past.tools.join("\n"));
            add(Tier::SystemOutput, Worth::Rank(4 + age), &format!("the tools of {of}"), text);
        }
    }
    pieces
}

impl Past {
    /// What the next attempt has to know of where it begins.
    fn standing(&self, handed_over: bool) -> String {
        let otherwise = if handed_over { "after it was handed over" } else { "after a person's word" };
        let how = self.step.as_deref().unwrap_or(otherwise);
        format!(
            "This is another attempt at the task, {how}. Build on what the earlier ones left behind (see SYSTEM_OUTPUT) \
             instead of beginning anew, and do not repeat what did not work."
        )
    }

    fn summary(&self, number: usize) -> String {
        let mut text = format!("Attempt {number} ended: {}", clipped(&self.ending, FAILURE_LENGTH_MAX));
        let names: Vec<&str> = self.things.iter().map(|thing| &*thing.name).collect();
        if !names.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\nIt made: {}", clipped(&names.join(", "), NAMES_LENGTH_MAX));
        }
        text
    }
}

impl Thing {
    fn shown(&self) -> String {
        match &self.content {
            Some(content) => format!("{} {}:\n{}", self.kind, self.name, clipped(content, CONTENT_LENGTH_MAX)),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// Keeps the beginning, and says that there was more.
fn clipped(text: &str, length_max: usize) -> String {
    match text.char_indices().nth(length_max) {
        None => text.to_owned(),
        Some((at, _)) => format!("{} […]", &text[..at]),
    }
}

/// Keeps the end, and says that there was more.
fn tail(text: &str, length_max: usize) -> String {
    let over = text.chars().count().saturating_sub(length_max);
    match text.char_indices().nth(over).filter(|_| over > 0) {
        None => text.to_owned(),
        Some((at, _)) => format!("[…] {}", &text[at..]),
    }
}

/// Keeps so many bytes, all in all.
fn cut(text: &str, bytes_max: usize) -> String {
    const MORE: &str = " […]";
    let most = bytes_max.saturating_sub(MORE.len());
    let at = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}{MORE}", &text[..at])
}
