//! A client that writes whatever bytes it likes: for what no library would send.

use std::{io, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::person::{PATIENCE, Person};

/// What opens a socket, as RFC 6455 wants it.
pub const UPGRADE: &str = "GET /ws HTTP/1.1\r\nhost: link\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                           sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The opcodes that mean something.
pub const CONTINUATION: u8 = 0x0;
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xa;

const MASK: [u8; 4] = [0x12, 0x9a, 0, 0xff];

/// Builds a frame, good or bad.
#[derive(Clone)]
pub struct Frame {
    /// FIN, the reserved bits and the opcode.
    first: u8,
    masked: bool,
    /// The length that it claims.
    length: u64,
    payload: Vec<u8>,
}

impl Frame {
    /// A whole frame.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        let payload = payload.into();
        Self { first: 0x80 | opcode, masked: true, length: payload.len() as u64, payload }
    }

    /// A text frame that says something.
    pub fn says(value: &Value) -> Self {
        Self::new(TEXT, value.to_string())
    }

    /// The first or a middle piece of a message.
    pub fn unfinished(mut self) -> Self {
        self.first &= 0x7f;
        self
    }

    /// Sets reserved bits: 4, 2, 1.
    pub fn reserved(mut self, bits: u8) -> Self {
        self.first |= bits << 4;
        self
    }

    /// Leaves out the mask that a client must use.
    pub fn unmasked(mut self) -> Self {
        self.masked = false;
        self
    }

    /// Claims another length.
    pub fn claims(mut self, length: u64) -> Self {
        self.length = length;
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mask_bit = if self.masked { 0x80 } else { 0 };
        let mut bytes = vec![self.first];
        match self.length {
            length @ 0..=125 => bytes.push(mask_bit | length as u8),
            length @ 126..=0xffff => {
                bytes.push(mask_bit | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(mask_bit | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
        }
        let mask = |(at, byte): (usize, &u8)| if self.masked { byte ^ MASK[at % 4] } else { *byte };
        bytes.extend(self.payload.iter().enumerate().map(mask));
        bytes
    }
}

/// A connection.
pub struct Raw {
    stream: TcpStream,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a close frame.
    Closed(u16),
    /// Without one.
    Cut,
}

impl Raw {
    pub async fn connect(url: &str) -> Self {
        let address: SocketAddr = url.trim_start_matches("http://").parse().expect("nodes listen on an address");
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.expect("it connects in time");
        Self { stream: stream.expect("the node listens") }
    }

    /// Connects with next to no room for what comes in, and upgrades at a door.
    pub async fn narrow(url: &str, path: &str) -> Self {
        let address: SocketAddr = url.trim_start_matches("http://").parse().expect("nodes listen on an address");
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(1_024).expect("the system allows it");
        let stream = timeout(PATIENCE, socket.connect(address)).await.expect("it connects in time");
        let mut raw = Self { stream: stream.expect("the node listens") };
        let upgrade = UPGRADE.replacen("/ws", path, 1);
        raw.write(format!("{upgrade}\r\n").as_bytes()).await.expect("the node reads");
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        raw
    }

    /// Connects, upgrades with these headers beside the usual ones, and returns the head of the answer.
    pub async fn upgrade(url: &str, headers: &str) -> (Self, String) {
        let mut raw = Self::connect(url).await;
        raw.write(format!("{UPGRADE}{headers}\r\n").as_bytes()).await.expect("the node reads");
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        (raw, head)
    }

    /// Connects, upgrades and says hello.
    pub async fn greeted(person: &Person) -> Self {
        let (mut raw, _) = Self::upgrade(&person.url, "").await;
        let hello = json!({"t": "hello", "token": person.token});
        raw.write(&Frame::says(&hello).bytes()).await.expect("the node reads");
        let (opcode, payload) = raw.frame().await.expect("it greets");
        assert_eq!((opcode, payload.starts_with(b"{\"t\":\"welcome\"")), (TEXT, true));
        raw
    }

    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("the node reads in time")
    }

    /// Says that nothing more comes.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads the head of an answer; what there is of it when the connection ends.
    pub async fn head(&mut self) -> String {
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(PATIENCE, self.stream.read_u8()).await.expect("the node answers in time") {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8(head).expect("a head is text")
    }

    /// Reads a little of what has come, if anything has.
    pub async fn sip(&mut self) {
        let mut piece = [0; 4_096];
        let _ = timeout(Duration::from_millis(1), self.stream.read(&mut piece)).await;
    }

    /// Reads all that comes until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        let (mut rest, mut piece) = (vec![], [0; 4_096]);
        loop {
            match timeout(PATIENCE, self.stream.read(&mut piece)).await.expect("the node ends it in time") {
                Ok(0) | Err(_) => return rest,
                Ok(read) => rest.extend(&piece[..read]),
            }
        }
    }

    /// Reads a frame: its opcode and its payload.
    pub async fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        timeout(PATIENCE, async {
            let first = self.stream.read_u8().await?;
            let length = match self.stream.read_u8().await? {
                126 => self.stream.read_u16().await?.into(),
                127 => self.stream.read_u64().await?,
                length => length.into(),
            };
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await?;
            Ok((first & 0x0f, payload))
        })
        .await
        .expect("a frame comes in time")
    }

    /// Reads a frame that is no ping: those come when they like.
    pub async fn said(&mut self) -> io::Result<(u8, Vec<u8>)> {
        loop {
            let (opcode, payload) = self.frame().await?;
            if opcode != PING {
                return Ok((opcode, payload));
            }
        }
    }

    /// Reads on until the socket ends.
    pub async fn end(&mut self) -> End {
        loop {
            match self.frame().await {
                Ok((CLOSE, payload)) if payload.len() >= 2 => {
                    return End::Closed(u16::from_be_bytes([payload[0], payload[1]]));
                }
                Ok((CLOSE, _)) | Err(_) => return End::Cut,
                Ok(_) => {}
            }
        }
    }
}
