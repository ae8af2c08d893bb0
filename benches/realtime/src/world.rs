//! What there is in Link before anything is measured: people in one workspace, conversations, a board with cards.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Rooms beside the hall.
pub const ROOMS: usize = 100;

/// A workspace and who is in it.
pub struct World {
    port: u16,
    pub workspace: String,
    /// Access tokens, the owner's first.
    pub tokens: Vec<String>,
    /// Conversations, the one of everybody first.
    pub rooms: Vec<String>,
    pub cards: Vec<String>,
}

impl World {
    /// Registers people, and lets them into a workspace with rooms and cards.
    pub async fn build(port: u16, people: usize) -> Result<Self> {
        let mut world = Self { port, workspace: String::new(), tokens: vec![], rooms: vec![], cards: vec![] };
        for person in 0..people {
            let email = format!("bench{person}@example.org");
            let body = json!({"email": email, "name": format!("Person {person}"), "password": "correct horse"});
            let made = call(port, "", "/auth/register", &body).await?;
            world.tokens.push(made["access_token"].as_str().context("a token")?.to_owned());
            if person == 0 {
                world.workspace = world.make("/workspaces", json!({"name": "Bench"})).await?;
            } else {
                let member = json!({"user_id": made["user"]["id"], "role": "member"});
                let path = format!("/workspaces/{}/members", world.workspace);
                call(port, &world.tokens[0], &path, &member).await?;
            }
        }
        for room in 0..=ROOMS {
            let body = json!({"type": "channel", "title": format!("Room {room}")});
            let path = format!("/workspaces/{}/conversations", world.workspace);
            world.rooms.push(world.make(&path, body).await?);
        }
        let project =
            world.make(&format!("/workspaces/{}/projects", world.workspace), json!({"name": "Board"})).await?;
        for card in 0..20 {
            let body = json!({"title": format!("Card {card}"), "description": "to be moved"});
            world.cards.push(world.make(&format!("/projects/{project}/tasks"), body).await?);
        }
        Ok(world)
    }

    async fn make(&self, path: &str, body: Value) -> Result<String> {
        let made = call(self.port, &self.tokens[0], path, &body).await?;
        Ok(made["id"].as_str().with_context(|| format!("an id in {made}"))?.to_owned())
    }

    /// Returns the frame that subscribes to a room, or to everything.
    pub fn subscribe(&self, room: Option<usize>, after: Option<u64>) -> String {
        let topic = room.map_or("*".to_owned(), |room| format!("conversation:{}", self.rooms[room]));
        let mut frame = json!({"t": "subscribe", "id": 1, "workspace": self.workspace, "topics": [topic]});
        if let Some(after) = after {
            frame["after"] = after.into();
        }
        frame.to_string()
    }

    /// Returns the frame that says that someone writes in a room.
    pub fn typing(&self, room: usize) -> String {
        let topic = format!("conversation:{}", self.rooms[room]);
        json!({"t": "typing", "workspace": self.workspace, "topic": topic, "on": true}).to_string()
    }

    /// Returns the frame that posts a message.
    pub fn post(&self, id: u64, room: usize, words: &str) -> String {
        let input = json!({"conversation_id": self.rooms[room], "parts": [{"type": "text", "text": words}]});
        json!({"t": "call", "id": id, "op": "conversations.post", "input": input}).to_string()
    }

    /// Returns the frame that moves a card to before another one.
    pub fn shift(&self, id: u64, card: usize, before: usize) -> String {
        let input = json!({"task_id": self.cards[card], "before": self.cards[before]});
        json!({"t": "call", "id": id, "op": "tasks.move", "input": input}).to_string()
    }
}

async fn call(port: u16, token: &str, path: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let request = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    if !head.starts_with("HTTP/1.1 2") {
        bail!("{path}: {answer}");
    }
    Ok(serde_json::from_str(body)?)
}

/// Reads a page that needs no token.
pub async fn page(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}
