//! The story: Ada delegates, agents work, Ben answers and reviews. People react to events, as they would on a screen.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::{
    super::{
        Ending,
        client::Client,
        error::Error,
        narrator::Narrator,
        output::plain,
        socket::{Heard, Socket},
    },
    seed::Scene,
};

/// How long a person needs to think.
const THINKING: Duration = Duration::from_millis(900);

/// What a person does next.
struct Turn<'a> {
    who: &'a Client,
    operation: &'static str,
    input: Value,
    aside: &'static str,
}

/// Plays until both tasks are done, or one cannot be.
pub(super) async fn play(scene: &Scene, socket: &mut Socket, narrator: &mut Narrator) -> Result<Ending, Error> {
    let mut done = BTreeSet::new();
    take(first_turn(scene), narrator).await?;
    loop {
        let event = match socket.heard().await? {
            Heard::Event(event) => event,
            Heard::Signal(signal) => {
                narrator.signal(&signal)?;
                continue;
            }
            Heard::CaughtUp => continue,
            Heard::Broken(cause) => {
                narrator.aside(&format!("connection lost ({cause}); connecting again"))?;
                continue;
            }
        };
        narrator.event(&event)?;
        match event["type"].as_str().unwrap_or_default() {
            "delegation:completed" => {
                done.insert(plain(&event["subject"]));
            }
            "delegation:failed" | "delegation:cancelled" | "delegation:escalated" => return Ok(Ending::Failed),
            _ => {}
        }
        if done.len() == 2 && event["type"] == "task:transitioned" {
            return Ok(Ending::Done);
        }
        if let Some(turn) = reaction(scene, &event) {
            tokio::time::sleep(THINKING).await;
            take(turn, narrator).await?;
        }
    }
}

fn first_turn(scene: &Scene) -> Turn<'_> {
    let input = json!({"task_id": scene.notes, "agent_id": scene.writer});
    Turn { who: &scene.ada, operation: "delegation.create", input, aside: "Ada gives the first task to Quill." }
}

fn reaction<'a>(scene: &'a Scene, event: &Value) -> Option<Turn<'a>> {
    let data = &event["data"];
    match event["type"].as_str().unwrap_or_default() {
        "delegation:awaiting" => Some(Turn {
            who: &scene.ben,
            operation: "delegation.answer",
            input: json!({
                "delegation_id": data["delegation"], "interrupt_id": data["interrupt"],
                "answer": "Thank them, without names.",
            }),
            aside: "Ben answers the question.",
        }),
        "delegation:reviewing" => Some(Turn {
            who: &scene.ben,
            operation: "delegation.submit_review",
            input: json!({"delegation_id": data["delegation"], "verdict": "approve", "comment": "Reads well."}),
            aside: "Ben reads what was handed in and approves it.",
        }),
        "task:ready" if event["subject"] == json!(format!("task:{}", scene.page)) => Some(Turn {
            who: &scene.ada,
            operation: "delegation.create",
            input: json!({"task_id": scene.page, "agent_id": scene.publisher}),
            aside: "The second task is free now; Ada gives it to Press.",
        }),
        _ => None,
    }
}

async fn take(turn: Turn<'_>, narrator: &mut Narrator) -> Result<(), Error> {
    narrator.aside(&format!("\n> {}\n", turn.aside))?;
    turn.who.call(turn.operation, turn.input).await.map(|_| ())
}
