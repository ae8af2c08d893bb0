//! What an agent is told when it has to answer in a conversation.

use crate::{
    domain::{
        conversation::{Current, Part},
        ids::{AgentId, ConversationId},
        principal::Principal,
    },
    persistence::{
        talks::messages::{self, Heard},
        tenant::Tenant,
    },
};

/// Messages that an agent hears.
const MESSAGES_MAX: i64 = 60;
/// Characters that an agent hears of what came before the message that it answers.
const CONTEXT_LENGTH_MAX: usize = 24_000;

/// Puts a conversation into words: the newest messages, as far as they fit, and then the one to answer.
pub(super) async fn of(
    tenant: &Tenant,
    conversation: ConversationId,
    agent: AgentId,
    name: &str,
    current: &Current,
) -> Result<String, sqlx::Error> {
    let heard = messages::heard(tenant, conversation, agent, current.upto, MESSAGES_MAX).await?;
    let (asked, before): (Vec<Heard>, Vec<Heard>) =
        heard.into_iter().partition(|message| message.id == current.turn.message);
    // The message may be further back than what is heard, or be deleted by now.
    let asked = asked.first().map_or_else(String::new, |message| format!("\n{}", said(message, agent)));
    Ok(told(name, &before.iter().map(|message| said(message, agent)).collect::<Vec<_>>(), &asked))
}

fn told(name: &str, before: &[String], asked: &str) -> String {
    let mut left = CONTEXT_LENGTH_MAX;
    let fits = before.iter().rev().take_while(|line| {
        let length = line.chars().count();
        let fits = length <= left;
        left = left.saturating_sub(length);
        fits
    });
    let mut context: Vec<&str> = fits.map(String::as_str).collect();
    context.reverse();
    let mut prompt = format!("You are {name}, one of several in a conversation. Answer the last message below.\n");
    if !context.is_empty() {
        prompt.push_str("\nWhat was said before:\n");
        prompt.push_str(&context.join("\n"));
        prompt.push('\n');
    }
    prompt.push_str("\nThe message to answer:");
    prompt.push_str(asked);
    prompt
}

fn said(message: &Heard, agent: AgentId) -> String {
    let who = match (&message.name, message.author) {
        (_, Principal::Agent(id)) if id == agent => "You",
        (Some(name), _) => name,
        (None, _) => "Somebody",
    };
    let parts: Vec<String> = message.parts.iter().filter_map(in_words).collect();
    format!("{who}: {}", parts.join("\n"))
}

fn in_words(part: &Part) -> Option<String> {
    match part {
        Part::Text { text } => Some(text.to_string()),
        Part::File { name, url } => Some(format!("[file {name}: {url}]")),
        Part::Data { data } => Some(data.to_string()),
        Part::Decision { decision } => Some(format!("[decided: {} = {}]", decision.key, decision.value)),
        Part::Mention { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_messages_that_fit_are_told_in_their_order() {
        let lines: Vec<String> = (0..10).map(|n| format!("Ada: {n}{}", "x".repeat(5_000))).collect();
        let prompt = told("Scribe", &lines, "\nAda: well?");
        assert!(prompt.ends_with("The message to answer:\nAda: well?"));
        let order: Vec<_> = (0..10).filter_map(|n| prompt.find(&format!("Ada: {n}x"))).collect();
        assert_eq!(order.len(), 4);
        assert!(order.is_sorted() && prompt.contains("Ada: 9x"));
        assert!(!told("Scribe", &[], "\nAda: hi").contains("before"));
    }
}
