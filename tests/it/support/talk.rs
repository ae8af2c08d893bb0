//! People who talk in a conversation, and what of it reaches a socket.

use futures::{StreamExt, stream};
use serde_json::{Value, json};

use super::{
    person::{Person, id},
    socket::Socket,
};

/// Two members of a workspace, and a conversation there.
pub async fn people(url: &str) -> (Person, Person, String, String) {
    let (ada, ben) = (Person::register(url, "Ada").await, Person::register(url, "Ben").await);
    let workspace = ada.workspace("Lab").await;
    ada.invite(&workspace, &ben, "member").await;
    let room = room(&ada, &workspace).await;
    (ada, ben, workspace, room)
}

pub async fn room(person: &Person, workspace: &str) -> String {
    id(&person.post(&format!("/workspaces/{workspace}/conversations"), json!({"type": "channel"})).await)
}

pub async fn say(person: &Person, room: &str, words: &str) -> Value {
    let parts = json!({"parts": [{"type": "text", "text": words}]});
    person.post(&format!("/conversations/{room}/messages"), parts).await
}

/// Says many things, some at a time.
pub async fn say_many(person: &Person, room: &str, count: usize, words: &str) {
    let said = stream::iter(0..count).map(|_| say(person, room, words)).buffer_unordered(16).count().await;
    assert_eq!(said, count);
}

pub fn offset(event: &Value) -> u64 {
    event["offset"].as_u64().expect("an event has an offset")
}

/// Reads events up to an offset, and returns their offsets.
pub async fn read_to(socket: &mut Socket, last: u64) -> Vec<u64> {
    let mut seen = vec![];
    while seen.last().is_none_or(|seen| *seen < last) {
        seen.push(offset(&socket.until("event").await));
    }
    seen
}

pub async fn head(person: &Person, workspace: &str) -> u64 {
    let page = person.get(&format!("/workspaces/{workspace}/events?limit=1")).await;
    page["head"].as_u64().expect("there is a head")
}
