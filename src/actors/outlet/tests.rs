//! What waits for a socket: bounded, whole and in order.

use futures::FutureExt;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::*;

fn say(encoding: Encoding, _: &Told) -> Bytes {
    encoding.frame(&"told")
}

/// An outlet, and who reads from it.
async fn pair() -> (Outlet, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (_, writing) = accepted.unwrap().0.into_split();
    (Outlet::new(writing, Encoding::Json, say, || true), client.unwrap())
}

fn piece(nth: u8) -> Bytes {
    Bytes::from(vec![nth; 10_000])
}

#[tokio::test]
async fn what_waits_is_bounded_and_comes_whole_and_in_order() {
    let (outlet, mut client) = pair().await;
    let mut taken = vec![];
    for nth in (0..=u8::MAX).cycle() {
        match outlet.write(piece(nth)) {
            Taken::Yes => taken.push(nth),
            Taken::Full => break,
            Taken::Gone => panic!("the other side is there"),
        }
    }
    assert!(outlet.is_behind() && outlet.lock().bytes <= WAITING_MAX);
    let expected: Vec<u8> = taken.iter().flat_map(|nth| piece(*nth)).collect();
    let mut heard = vec![0; expected.len()];
    let (flushed, read) = tokio::join!(outlet.flush(), client.read_exact(&mut heard));
    assert_eq!((flushed, read.unwrap()), (Ok(()), expected.len()));
    assert!(heard == expected, "what came is not what was written");
    assert_eq!(outlet.room().await, Ok(()));
    assert!(!outlet.is_behind());
}

#[tokio::test]
async fn where_a_socket_ends_nobody_waits_for_room_and_no_frame_is_cut_off() {
    let (outlet, client) = pair().await;
    while outlet.write(piece(0)) == Taken::Yes {}
    let (room, ()) = tokio::join!(outlet.room(), async { outlet.end(TOO_SLOW) });
    assert_eq!(room, Err(TOO_SLOW));
    assert_eq!(outlet.write(piece(1)), Taken::Gone);
    // What was begun is not cut off, and the rest is let go.
    outlet.skip();
    assert!(outlet.lock().bytes < 10_000);
    drop(client);
}

#[tokio::test]
async fn what_was_gathered_leaves_with_what_follows_without_the_sockets_own_task() {
    let (outlet, mut client) = pair().await;
    outlet.gather(piece(1));
    assert_eq!(outlet.lock().pieces.len(), 1);
    outlet.mention(piece(2));
    assert!(outlet.lock().pieces.is_empty() && outlet.lock().since.is_none());
    let mut heard = vec![0; 20_000];
    client.read_exact(&mut heard).await.unwrap();
    assert!(heard == [piece(1), piece(2)].concat());
    // What nothing follows leaves with the task's next turn.
    outlet.gather(piece(3));
    assert_eq!(outlet.tend().await, Ok(()));
    client.read_exact(&mut heard[..10_000]).await.unwrap();
    assert!(heard[..10_000] == piece(3));
}

#[tokio::test]
async fn who_has_waited_for_room_may_write_one_frame_however_large_it_is() {
    let (outlet, mut client) = pair().await;
    while outlet.write(piece(0)) == Taken::Yes {}
    let more = tokio::spawn(async move { while client.read(&mut [0; 1 << 16]).await.is_ok_and(|read| read > 0) {} });
    while outlet.room().now_or_never().is_none() {
        outlet.tend().await.unwrap();
    }
    let large = Bytes::from(vec![0; 3 * WAITING_MAX]);
    assert_eq!(outlet.write(large), Taken::Yes);
    assert_eq!(outlet.flush().await, Ok(()));
    drop(outlet);
    more.await.unwrap();
}

#[tokio::test]
async fn a_credential_that_was_not_good_when_something_was_said_ends_the_socket_though_a_fresh_one_comes() {
    let good = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (outlet, _client) = pair().await;
    let shown = good.clone();
    let outlet = Outlet { good: Box::new(move || shown.load(std::sync::atomic::Ordering::Relaxed)), ..outlet };
    assert_eq!(outlet.write(piece(0)), Taken::Yes);
    good.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(outlet.write(piece(0)), Taken::Gone);
    good.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!((outlet.write(piece(0)), outlet.ending()), (Taken::Gone, Some(NOT_GOOD)));
    // Nothing is said any more but the end itself.
    outlet.mention(piece(1));
    outlet.gather(piece(1));
    assert!(outlet.lock().pieces.is_empty());
}

#[tokio::test]
async fn frames_that_wait_are_counted_however_small_they_are() {
    let (outlet, _client) = pair().await;
    while outlet.write(piece(0)) == Taken::Yes {}
    outlet.skip();
    assert!(outlet.has_room());
    for _ in 0..FRAMES_MAX {
        outlet.answer(Bytes::from_static(&[0x8a, 0]));
    }
    assert!(outlet.lock().bytes < 50_000 && !outlet.has_room());
}
