//! Two servers that do nothing but hand on what they are told, to see what the machine costs: one writes every message
//! to every member at once, the other gathers what has come and writes it to each member in one piece.
//!
//! `GET /?room=N` opens a socket; what it says goes to everyone in the room.

use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::spawn_local,
};

type Members = Rc<RefCell<Vec<Rc<TcpStream>>>>;

struct Room {
    members: Members,
    /// Where the room gathers; without it everything is written at once.
    gathering: Option<mpsc::UnboundedSender<Vec<u8>>>,
}

/// Serves for ever.
pub async fn serve(port: u16, gathers: bool) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let rooms: Rc<RefCell<HashMap<String, Rc<Room>>>> = Rc::default();
    loop {
        let (stream, _) = listener.accept().await?;
        let rooms = rooms.clone();
        spawn_local(async move {
            let _ = member(stream, &rooms, gathers).await;
        });
    }
}

async fn member(mut stream: TcpStream, rooms: &RefCell<HashMap<String, Rc<Room>>>, gathers: bool) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut head = vec![0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut head)).await??;
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let name = head.split_once("room=").and_then(|(_, rest)| rest.split(' ').next()).unwrap_or_default();
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                  sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    stream.write_all(answer.as_bytes()).await?;
    let room = rooms.borrow_mut().entry(name.to_owned()).or_insert_with(|| Rc::new(Room::new(gathers))).clone();
    let stream = Rc::new(stream);
    room.members.borrow_mut().push(stream.clone());
    let mut rest = vec![];
    loop {
        stream.readable().await?;
        let mut bytes = [0; 4096];
        match stream.try_read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => rest.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break,
        }
        // Clients send short frames with a mask of zeros.
        while let Some((from, to)) = masked(&rest) {
            room.tell(&rest[from..to]);
            rest.drain(..to);
        }
    }
    room.members.borrow_mut().retain(|other| !Rc::ptr_eq(other, &stream));
    Ok(())
}

fn masked(bytes: &[u8]) -> Option<(usize, usize)> {
    let (from, length) = match *bytes.get(1)? & 0x7f {
        126 => (8, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        short => (6, short as usize),
    };
    (bytes.len() >= from + length).then_some((from, from + length))
}

impl Room {
    fn new(gathers: bool) -> Self {
        let members = Members::default();
        let gathering = gathers.then(|| {
            let (gathering, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
            let members = members.clone();
            spawn_local(async move {
                while let Some(mut all) = said.recv().await {
                    while let Ok(more) = said.try_recv() {
                        all.extend(more);
                    }
                    write(&members, &all);
                }
            });
            gathering
        });
        Self { members, gathering }
    }

    fn tell(&self, payload: &[u8]) {
        let mut frame = vec![0x81];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length => {
                frame.push(126);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        match &self.gathering {
            Some(gathering) => drop(gathering.send(frame)),
            None => write(&self.members, &frame),
        }
    }
}

/// What a socket does not take is lost: this is a floor, not a server.
fn write(members: &RefCell<Vec<Rc<TcpStream>>>, bytes: &[u8]) {
    for member in members.borrow().iter() {
        let _ = member.try_write(bytes);
    }
}
