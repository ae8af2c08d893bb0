//! Somebody who writes a shared document over y-sync, as any Yjs client does.

use futures::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, Message as Frame, client::IntoClientRequest},
};
use yrs::{
    Doc, GetString, ReadTxn, Text, TextRef, Transact, Update,
    sync::{AwarenessUpdate, Message, SyncMessage},
    updates::{decoder::Decode, encoder::Encode},
};

use super::person::{PATIENCE, Person};

/// Somebody who has the document open, as any Yjs client has.
pub struct Writer {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub doc: Doc,
    pub text: TextRef,
    pub aware: Vec<AwarenessUpdate>,
    /// How often the server asked what it lacks, and was told.
    pub asked: usize,
    /// How often it was refused to write.
    pub refused: usize,
}

/// Opens the door of a document.
pub async fn connect(
    person: &Person,
    document: &str,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, tungstenite::Error> {
    let url = format!("{}/documents/{document}/sync", person.url.replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    let protocols = format!("link.y.v1, bearer.{}", person.token);
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().expect("it fits a header"));
    Ok(connect_async(request).await?.0)
}

impl Writer {
    pub async fn open(person: &Person, document: &str) -> Self {
        let doc = Doc::new();
        let text = doc.get_or_insert_text("content");
        let socket = connect(person, document).await.expect("the door is open");
        let mut writer = Self { socket, doc, text, aware: vec![], asked: 0, refused: 0 };
        writer.meet().await;
        writer
    }

    /// Comes back with what it has.
    pub async fn reopen(&mut self, person: &Person, document: &str) {
        self.socket = connect(person, document).await.expect("the door is open");
        self.meet().await;
    }

    /// Asks what it lacks, and says what the other side lacks.
    async fn meet(&mut self) {
        let known = self.doc.transact().state_vector();
        self.say(Message::Sync(SyncMessage::SyncStep1(known))).await;
        let before = self.asked;
        self.until("the server asks, too", |seen| seen.asked > before).await;
    }

    pub async fn say(&mut self, message: Message) {
        self.socket.send(Frame::Binary(message.encode_v1().into())).await.expect("it is taken");
    }

    pub async fn write(&mut self, words: &str) {
        let update = {
            let mut tx = self.doc.transact_mut();
            self.text.push(&mut tx, words);
            tx.encode_update_v1()
        };
        self.say(Message::Sync(SyncMessage::Update(update))).await;
    }

    pub fn words(&self) -> String {
        self.text.get_string(&self.doc.transact())
    }

    /// Takes in what comes next; the code when it is the end.
    async fn hear(&mut self) -> Result<(), u16> {
        let frame = timeout(PATIENCE, self.socket.next()).await.expect("something comes");
        let bytes = match frame {
            Some(Ok(Frame::Binary(bytes))) => bytes,
            Some(Ok(Frame::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
            Some(Ok(_)) => return Ok(()),
            Some(Err(_)) | None => return Err(1006),
        };
        match Message::decode_v1(&bytes).expect("it is a message of y-sync") {
            Message::Sync(SyncMessage::SyncStep1(known)) => {
                let missing = self.doc.transact().encode_state_as_update_v1(&known);
                self.say(Message::Sync(SyncMessage::SyncStep2(missing))).await;
                self.asked += 1;
            }
            Message::Sync(SyncMessage::SyncStep2(update) | SyncMessage::Update(update)) => {
                let update = Update::decode_v1(&update).expect("it is an update");
                self.doc.transact_mut().apply_update(update).expect("it can be merged");
            }
            Message::Awareness(update) if !update.clients.is_empty() => self.aware.push(update),
            Message::Auth(Some(_)) => self.refused += 1,
            _ => {}
        }
        Ok(())
    }

    pub async fn until(&mut self, what: &str, test: impl Fn(&Self) -> bool) {
        let begun = tokio::time::Instant::now();
        while !test(self) {
            // Heartbeats come for ever.
            assert!(begun.elapsed() < PATIENCE, "not in time: {what}; it says {:?}", self.words());
            self.hear().await.unwrap_or_else(|code| panic!("closed with {code}, waiting for: {what}"));
        }
    }

    pub async fn until_words(&mut self, words: &str) {
        self.until(words, |seen| seen.words() == words).await;
    }

    pub async fn close_code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.hear().await {
                return code;
            }
        }
    }
}
