//! One client on a WebSocket, with as little work per frame as can be: what is measured is the server.

use std::{cell::RefCell, io, rc::Rc};

use anyhow::{Context, Result, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// What is read at a time, by all sockets into the same memory.
const READ_BYTES: usize = 256 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// An open socket.
pub struct Socket {
    stream: Rc<TcpStream>,
    /// Bytes that came and are no whole frame yet.
    rest: Vec<u8>,
}

/// The writing half of a socket, for whoever says something on it.
#[derive(Clone)]
pub struct Mouth(Rc<TcpStream>);

impl Mouth {
    /// Writes a text frame.
    pub async fn say(&self, text: &str) -> Result<()> {
        write_all(&self.0, &frame(TEXT, text.as_bytes())).await
    }
}

impl Socket {
    /// Connects and shakes hands.
    pub async fn open(port: u16, path: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::with_capacity(512);
        loop {
            let mut bytes = [0; 512];
            let read = stream.read(&mut bytes).await?;
            ensure!(read > 0, "the handshake ended early");
            head.extend_from_slice(&bytes[..read]);
            if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                ensure!(head.starts_with(b"HTTP/1.1 101"), "no socket: {}", String::from_utf8_lossy(&head));
                return Ok(Self { stream: Rc::new(stream), rest: head.split_off(end + 4) });
            }
        }
    }

    /// Returns what writes to it.
    pub fn mouth(&self) -> Mouth {
        Mouth(self.stream.clone())
    }

    /// Writes a text frame.
    pub async fn say(&self, text: &str) -> Result<()> {
        write_all(&self.stream, &frame(TEXT, text.as_bytes())).await
    }

    /// Returns what the next frame says.
    pub async fn next(&mut self) -> Result<String> {
        loop {
            if let Some((opcode, from, to)) = whole(&self.rest) {
                let payload = self.rest[from..to].to_vec();
                self.rest.drain(..to);
                match opcode {
                    TEXT | BINARY => return Ok(String::from_utf8(payload)?),
                    PING => write_all(&self.stream, &frame(PONG, &payload)).await?,
                    CLOSE => bail!("closed with {:?}", code(&payload)),
                    _ => {}
                }
                continue;
            }
            self.stream.readable().await?;
            let mut bytes = [0; 4096];
            match self.stream.try_read(&mut bytes) {
                Ok(0) => bail!("the socket ended"),
                Ok(read) => self.rest.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the next text that has this in it.
    pub async fn until(&mut self, what: &str) -> Result<String> {
        loop {
            let text = self.next().await.with_context(|| format!("while waiting for {what}"))?;
            if text.contains(what) {
                return Ok(text);
            }
        }
    }

    /// Hands every text to the ear until the socket ends; returns the code of its close. Where the ear answers, the
    /// answer is sent.
    pub async fn listen(mut self, mut ear: impl FnMut(&[u8]) -> Option<&'static str>) -> Option<u16> {
        loop {
            let mut answers = vec![];
            let mut closed = None;
            self.rest = {
                let mut at = 0;
                while let Some((opcode, from, to)) = whole(&self.rest[at..]) {
                    let payload = &self.rest[at + from..at + to];
                    hear(opcode, payload, &mut ear, &mut answers, &mut closed);
                    at += to;
                }
                self.rest.split_off(at)
            };
            if let Some(code) = closed {
                return code;
            }
            if !answers.is_empty() && write_all(&self.stream, &answers).await.is_err() {
                return None;
            }
            if self.stream.readable().await.is_err() {
                return None;
            }
            let mut answers = vec![];
            let (stream, rest) = (&self.stream, &mut self.rest);
            let read = BUFFER.with_borrow_mut(|buffer| {
                let read = match stream.try_read(buffer) {
                    Ok(0) => return Err(()),
                    Ok(read) => read,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    Err(_) => return Err(()),
                };
                if !rest.is_empty() {
                    rest.extend_from_slice(&buffer[..read]);
                    return Ok(());
                }
                let mut at = 0;
                while let Some((opcode, from, to)) = whole(&buffer[at..read]) {
                    if opcode == CLOSE {
                        break;
                    }
                    hear(opcode, &buffer[at + from..at + to], &mut ear, &mut answers, &mut closed);
                    at += to;
                }
                rest.extend_from_slice(&buffer[at..read]);
                Ok(())
            });
            if read.is_err() || (!answers.is_empty() && write_all(&self.stream, &answers).await.is_err()) {
                return None;
            }
        }
    }
}

fn hear(
    opcode: u8,
    payload: &[u8],
    ear: &mut impl FnMut(&[u8]) -> Option<&'static str>,
    answers: &mut Vec<u8>,
    closed: &mut Option<Option<u16>>,
) {
    match opcode {
        PING => answers.extend(frame(PONG, payload)),
        CLOSE => *closed = Some(code(payload)),
        _ => {
            if let Some(answer) = ear(payload) {
                answers.extend(frame(TEXT, answer.as_bytes()));
            }
        }
    }
}

fn code(payload: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]))
}

/// Finds the first whole frame: its opcode, and where its payload begins and ends.
fn whole(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (from, length) = match second & 0x7f {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize),
        short => (2, short as usize),
    };
    (bytes.len() >= from + length).then_some((first & 0xf, from, from + length))
}

/// Builds a frame of a client. The mask is zero, which is one as good as any.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
