//! Sockets and connections that break every rule: each ends as the protocol says, and nobody else notices.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::support::{
    node::TestProcess,
    person::{PATIENCE, Person, http},
    raw::{BINARY, CLOSE, CONTINUATION, End, Frame, PING, PONG, Raw, TEXT, UPGRADE},
    socket::Socket,
};

/// Connections that are opened at once.
const AT_ONCE: usize = 16;

/// A node as a process of its own: its metrics, its memory and its log are about these tests only.
struct Target {
    process: TestProcess,
    ada: Person,
    /// Who somebody is told to be who behaves, and asks all the time; it ends when a question is not answered.
    friend: watch::Receiver<Value>,
}

impl Target {
    async fn start() -> Self {
        let process = TestProcess::with(&[("LINK_CONNECTION_IDLE_SECS", "1"), ("LINK_HEARTBEAT_SECS", "1")]).await;
        let ada = Person::register(&process.url, "Ada").await;
        let mut socket = Socket::hello(&ada).await;
        let (told, friend) = watch::channel(Value::Null);
        tokio::spawn(async move {
            let asks = json!({"t": "call", "id": 1, "op": "auth.me", "input": {}});
            while !told.is_closed() {
                socket.send(asks.clone()).await;
                told.send_replace(socket.until("ok").await["data"]["id"].clone());
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { process, ada, friend }
    }

    async fn metric(&self, name: &str) -> f64 {
        let page = http().get(format!("{}/metrics", self.ada.url)).send().await.expect("it answers");
        let page = page.text().await.expect("it is text");
        let line = page.lines().find(|line| line.split([' ', '{']).next() == Some(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// Checks that the friend is answered, that only the friend's socket is left, and that nothing panicked.
    async fn is_well(&mut self) {
        self.alive().await;
        let begun = tokio::time::Instant::now();
        // The friend's, and the one that asks.
        while self.metric("link_clients_connected").await > 1.0 || self.metric("link_connections_open").await > 2.0 {
            assert!(begun.elapsed() < PATIENCE, "a socket is left over");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log = self.process.log();
        assert!(!log.contains("panicked"), "{log}");
    }

    /// Waits until the friend has asked and been answered once more.
    async fn alive(&mut self) {
        self.friend.mark_unchanged();
        // The first answer may be to a question from before.
        for _ in 0..2 {
            let answered = tokio::time::timeout(PATIENCE, self.friend.changed()).await;
            answered.expect("the friend is answered in time").expect("the friend's socket is still open");
        }
        assert_eq!(*self.friend.borrow(), json!(self.ada.id));
    }
}

fn ping(id: u64) -> Frame {
    Frame::says(&json!({"t": "ping", "id": id}))
}

fn joined(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// What no client may send, and the code that it is closed with; to a close, a close of any kind is the answer.
fn malformed() -> Vec<(&'static str, Vec<u8>, Option<u16>)> {
    let bad = Some(4000);
    let mut cases = vec![
        ("a frame without a mask", ping(1).unmasked().bytes(), bad),
        ("a control frame without a mask", Frame::new(PING, "x").unmasked().bytes(), bad),
        ("a compressed frame, though compression was not agreed on", ping(1).reserved(4).bytes(), bad),
        ("a compressed control frame", Frame::new(PING, "x").reserved(4).bytes(), bad),
        ("the second reserved bit", ping(1).reserved(2).bytes(), bad),
        ("the third reserved bit", ping(1).reserved(1).bytes(), bad),
        ("all reserved bits", ping(1).reserved(7).bytes(), bad),
        ("a ping in pieces", Frame::new(PING, "x").unfinished().bytes(), bad),
        ("a close in pieces", Frame::new(CLOSE, "").unfinished().bytes(), bad),
        ("a ping of more than 125 bytes", Frame::new(PING, vec![b'x'; 126]).bytes(), bad),
        ("a pong of 64 KiB", Frame::new(PONG, vec![b'x'; 1 << 16]).bytes(), bad),
        ("the end of a message that never began", Frame::new(CONTINUATION, "x").bytes(), bad),
        ("the middle of a message that never began", Frame::new(CONTINUATION, "x").unfinished().bytes(), bad),
        ("a message inside of another", joined(&[ping(1).unfinished(), ping(2)]), bad),
        ("a length of 2^63", ping(1).claims(1 << 63).bytes(), bad),
        ("a length of 2^64 - 1", ping(1).claims(u64::MAX).bytes(), bad),
        ("a length of a byte more than 1 MiB", ping(1).claims((1 << 20) + 1).bytes(), bad),
        (
            "pieces that are together too long",
            {
                let piece = vec![b' '; 700_000];
                joined(&[Frame::new(TEXT, piece.clone()).unfinished(), Frame::new(CONTINUATION, piece)])
            },
            bad,
        ),
        ("bytes that are no UTF-8", Frame::new(TEXT, b"{\"t\":\"\xff\"}".to_vec()).bytes(), bad),
        ("half a character", Frame::new(TEXT, b"{\"t\":\"\xc3".to_vec()).bytes(), bad),
        ("a surrogate", Frame::new(TEXT, b"\"\xed\xa0\x80\"".to_vec()).bytes(), bad),
        ("an overlong character", Frame::new(TEXT, b"\"\xc0\x80\"".to_vec()).bytes(), bad),
        (
            "no UTF-8 in the second piece",
            { joined(&[Frame::new(TEXT, "\"ab").unfinished(), Frame::new(CONTINUATION, b"\xff\"".to_vec())]) },
            bad,
        ),
        ("a binary frame where text was agreed on", Frame::new(BINARY, b"\x80".to_vec()).bytes(), bad),
        ("HTTP in a socket", b"GET / HTTP/1.1\r\nhost: link\r\n\r\n".to_vec(), bad),
        ("zeros", vec![0; 4_096], bad),
        ("ones", vec![0xff; 4_096], bad),
        ("a close with half a code", Frame::new(CLOSE, b"\x03".to_vec()).bytes(), None),
        ("a close whose reason is no UTF-8", Frame::new(CLOSE, b"\x03\xe8\xff".to_vec()).bytes(), None),
    ];
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push(("an opcode that means nothing", Frame::new(opcode, "x").bytes(), bad));
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1100, 2999, 5000, 65_535] {
        cases.push(("a close code that must not be sent", Frame::new(CLOSE, code.to_be_bytes()).bytes(), None));
    }
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_breaks_the_rules_is_closed_and_nobody_else_notices() {
    let mut target = Target::start().await;
    for (what, bytes, code) in malformed() {
        // Before the greeting, after it, and in the middle of what is good.
        for begin in [None, Some(vec![]), Some(joined(&[ping(1), Frame::new(PING, ""), ping(2)]))] {
            let mut raw = match &begin {
                None => Raw::upgrade(&target.ada.url, "").await.0,
                Some(_) => Raw::greeted(&target.ada).await,
            };
            let bytes = [begin.unwrap_or_default(), bytes.clone()].concat();
            // It may be cut before all of it is written.
            let _ = raw.write(&bytes).await;
            let end = raw.end().await;
            match code {
                Some(code) => assert_eq!(end, End::Closed(code), "{what}"),
                None => assert!(matches!(end, End::Closed(1000 | 1002 | 4000) | End::Cut), "{what}: {end:?}"),
            }
        }
    }
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_breaks_off_at_any_byte_leaves_nothing_behind() {
    let mut target = Target::start().await;
    let frames =
        [json!({"t": "hello", "token": target.ada.token}), json!({"t": "call", "id": 1, "op": "auth.me", "input": {}})];
    for (protocol, opcode) in [("link.v1.json", TEXT), ("link.v1.msgpack", BINARY)] {
        let head = format!("{UPGRADE}sec-websocket-protocol: {protocol}\r\n\r\n");
        let encode = |frame: &Value| match opcode {
            TEXT => frame.to_string().into_bytes(),
            _ => rmp_serde::to_vec(frame).expect("it is written"),
        };
        let said: Vec<_> = frames.iter().flat_map(|frame| Frame::new(opcode, encode(frame)).bytes()).collect();
        let whole = [head.into_bytes(), said].concat();
        let (url, whole) = (target.ada.url.clone(), &whole);
        let url = url.as_str();
        let cut = stream::iter(0..whole.len()).map(async |end| {
            let mut raw = Raw::connect(url).await;
            raw.write(&whole[..end]).await.expect("the node reads");
            raw.finish().await;
            let heard = raw.rest().await;
            assert!(!heard.starts_with(b"HTTP/1.1 5"), "{}", String::from_utf8_lossy(&heard));
        });
        assert_eq!(cut.buffer_unordered(AT_ONCE).count().await, whole.len());
        target.alive().await;
        let mut raw = Raw::connect(url).await;
        raw.write(whole).await.expect("the node reads");
        assert!(raw.head().await.contains(protocol));
        for _ in ["welcome", "ok"] {
            assert_eq!(raw.said().await.expect("a frame comes").0, opcode);
        }
        target.alive().await;
    }
    target.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_falls_silent_anywhere_is_let_go() {
    let mut target = Target::start().await;
    let url = target.ada.url.clone();
    let beginnings: [(&str, Vec<u8>); 5] = [
        ("before the first byte", vec![]),
        ("in the request line", b"GET /he".to_vec()),
        ("in the headers", b"GET /healthz HTTP/1.1\r\nhost: li".to_vec()),
        ("in the upgrade", UPGRADE.into()),
        ("after an answer", b"GET /healthz HTTP/1.1\r\nhost: link\r\n\r\n".to_vec()),
    ];
    for (what, bytes) in beginnings {
        let mut raw = Raw::connect(&url).await;
        raw.write(&bytes).await.expect("the node reads");
        let heard = String::from_utf8(raw.rest().await).expect("it is text");
        assert_eq!(heard.starts_with("HTTP/1.1 200"), what == "after an answer", "{what}: {heard}");
        target.alive().await;
    }
    // A byte at a time is as slow as nothing.
    let mut slow = Raw::connect(&url).await;
    let mut written = 0;
    for byte in UPGRADE.bytes().cycle() {
        if slow.write(&[byte]).await.is_err() {
            break;
        }
        written += 1;
        tokio::time::sleep(Duration::from_millis(25)).await;
        target.alive().await;
        assert!(written < 1_200, "it was never cut");
    }
    let (mut silent, _) = Raw::upgrade(&url, "").await;
    let mut greeted = Raw::greeted(&target.ada).await;
    let mut half = Raw::greeted(&target.ada).await;
    half.write(&ping(1).claims(1_000).bytes()).await.expect("the node reads");
    let mut header = Raw::greeted(&target.ada).await;
    header.write(&[0x81]).await.expect("the node reads");
    let mut pieces = Raw::greeted(&target.ada).await;
    pieces.write(&ping(1).unfinished().bytes()).await.expect("the node reads");
    for (what, raw) in
        [("nothing", &mut greeted), ("half a frame", &mut half), ("a header", &mut header), ("a piece", &mut pieces)]
    {
        assert_eq!(keeping(&mut target, raw.end()).await, End::Closed(1001), "{what}");
    }
    assert_eq!(keeping(&mut target, silent.end()).await, End::Closed(4001));
    target.is_well().await;
}

/// Waits for something while the friend stays alive.
async fn keeping<T>(target: &mut Target, wanted: impl Future<Output = T>) -> T {
    let mut wanted = std::pin::pin!(wanted);
    loop {
        tokio::select! {
            wanted = &mut wanted => return wanted,
            () = tokio::time::sleep(Duration::from_millis(200)) => target.alive().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_is_none_is_refused_and_compression_is_declined() {
    let mut target = Target::start().await;
    let url = target.ada.url.clone();
    let head = "GET /ws HTTP/1.1\r\nhost: link\r\n";
    let good = [
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut requests = vec![
        format!("{head}connection: Upgrade\r\nupgrade: h2c\r\n{}\r\n{}\r\n\r\n", good[2], good[3]),
        format!("{head}{}\r\n{}\r\nsec-websocket-version: 12\r\n{}\r\n\r\n", good[0], good[1], good[3]),
        UPGRADE.replacen("GET", "PUT", 1) + "\r\n",
        UPGRADE.replacen("HTTP/1.1", "HTTP/1.0", 1) + "\r\n",
        UPGRADE.replacen("HTTP/1.1", "HTTP/3.9", 1) + "\r\n",
        UPGRADE.replacen("host: link", "host link", 1) + "\r\n",
        UPGRADE.replacen("host: link", "ho\0st: link", 1) + "\r\n",
        format!("{UPGRADE}x: {}\r\n\r\n", "x".repeat(1 << 20)),
        format!("{UPGRADE}{}\r\n", "x: y\r\n".repeat(10_000)),
        format!("GET /{} HTTP/1.1\r\nhost: link\r\n\r\n", "x".repeat(1 << 17)),
        "\r\n".repeat(10_000) + "rubbish\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}".into(),
    ];
    for left_out in 0..good.len() {
        let headers = (0..good.len()).filter(|at| *at != left_out).map(|at| format!("{}\r\n", good[at]));
        requests.push(format!("{head}{}\r\n", headers.collect::<String>()));
    }
    for request in requests {
        let mut raw = Raw::connect(&url).await;
        let _ = raw.write(request.as_bytes()).await;
        raw.finish().await;
        let answer = raw.head().await;
        assert!(
            answer.is_empty() || answer.split(' ').nth(1).is_some_and(|status| status.starts_with('4')),
            "{request:.200}: {answer}"
        );
        target.alive().await;
    }
    for (request, status, code) in [
        ("\u{16}\u{3}\u{1} rubbish\r\n\r\n".to_owned(), 400, "malformed"),
        (format!("{UPGRADE}{}\r\n", "x: y\r\n".repeat(101)), 431, "too_large"),
        (UPGRADE.replacen("host: link", "host link", 1) + "\r\n", 400, "malformed"),
    ] {
        let mut raw = Raw::connect(&url).await;
        raw.write(request.as_bytes()).await.expect("the node reads");
        let head = raw.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.200}: {head}");
        assert!(head.contains("application/problem+json"), "{request:.200}: {head}");
        let problem: Value = serde_json::from_slice(&raw.rest().await).expect("it is JSON");
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)), "{problem:#}");
        assert!(problem["next_actions"][0].is_string(), "{problem:#}");
    }
    // What follows a request that is answered with an error is no request of its own.
    let mut pipelined = Raw::connect(&url).await;
    let garbage = "GET /nowhere HTTP/1.1\r\nhost: link\r\n\r\n\u{1}\u{2}\u{3} rubbish\r\n\r\n";
    pipelined.write(garbage.as_bytes()).await.expect("the node reads");
    let heard = String::from_utf8_lossy(&pipelined.rest().await).into_owned();
    assert!(heard.starts_with("HTTP/1.1 404") && heard.contains("HTTP/1.1 400"), "{heard}");

    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let (mut declined, answer) = Raw::upgrade(&url, offer).await;
    assert!(!answer.to_lowercase().contains("sec-websocket-extensions"), "{answer}");
    // Zeros, deflated: a megabyte of them takes a kilobyte.
    let bomb = Frame::new(TEXT, b"\xec\xc1\x01\x01\0\0\0\x80\x90\xfe\xaf\xee\x08\n".to_vec()).reserved(4);
    declined.write(&bomb.bytes()).await.expect("the node reads");
    assert_eq!(declined.end().await, End::Closed(4000));
    target.is_well().await;
}

/// A flood: the headers of its upgrade, and its bytes.
type Flood = (&'static str, Vec<u8>);

/// Every way that costs the node something and the sender little. It takes a while to write them down, during which nobody
/// would stay alive.
fn floods() -> Vec<Flood> {
    let small = |frame: Frame| joined(&vec![frame; 20_000]);
    let pieces = [vec![Frame::new(TEXT, "").unfinished()], vec![Frame::new(CONTINUATION, "").unfinished(); 20_000]];
    let bomb = |depth: usize| Frame::new(BINARY, [vec![0x91; depth], vec![1]].concat());
    let wide = |marker: u8| Frame::new(BINARY, [vec![0xdd, 0, 0x0f, 0, 0], vec![marker; 0x0f_0000]].concat());
    vec![
        ("", small(Frame::new(PING, "ping"))),
        ("", small(Frame::new(PONG, ""))),
        ("", small(Frame::new(TEXT, ""))),
        ("", small(ping(1))),
        ("", joined(&pieces.concat())),
        ("", joined(&vec![Frame::new(TEXT, "[".repeat(1 << 20)); 8])),
        ("", joined(&vec![Frame::new(TEXT, format!("[{}0]", "0,".repeat(500_000))); 8])),
        ("sec-websocket-protocol: link.v1.msgpack\r\n", joined(&vec![bomb(1 << 19); 8])),
        ("sec-websocket-protocol: link.v1.msgpack\r\n", joined(&vec![wide(0xc0); 8])),
        ("sec-websocket-protocol: link.v1.msgpack\r\n", joined(&vec![wide(0x90); 8])),
    ]
}

async fn flood(target: &mut Target, floods: &[Flood]) {
    let url = target.ada.url.clone();
    let hello = json!({"t": "hello", "token": target.ada.token});
    let token = hello.to_string();
    let flooding = stream::iter(floods.iter().cycle().take(4 * floods.len())).map(async |(protocol, bytes)| {
        let (mut raw, _) = Raw::upgrade(&url, protocol).await;
        let hello = match protocol.is_empty() {
            true => Frame::new(TEXT, token.clone()),
            false => Frame::new(BINARY, rmp_serde::to_vec(&hello).expect("it is written")),
        };
        raw.write(&hello.bytes()).await.expect("the node reads");
        // Answers are not read: sooner or later the node stops reading, and the writer would wait.
        let _ = tokio::time::timeout(Duration::from_millis(300), raw.write(bytes)).await;
    });
    let count = flooding.buffer_unordered(8).count();
    assert_eq!(keeping(target, count).await, 4 * floods.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_starve_nobody_and_leave_no_memory_taken() {
    let floods = floods();
    let mut target = Target::start().await;
    let mut taken = vec![];
    for _ in 0..6 {
        flood(&mut target, &floods).await;
        target.is_well().await;
        let most_before = taken.iter().copied().max();
        taken.push(target.process.resident_bytes());
        // How much of a flood arrives differs, and with it what is kept for the next one; what is lost grows every time.
        if most_before.is_some_and(|most| taken[taken.len() - 1] < most + (16 << 20)) {
            return;
        }
    }
    panic!("every flood left bytes behind: {taken:?}");
}
