//! The listener: takes connections, as many as there may be, and ends those that dawdle.
//!
//! A request line or a head that is none is refused by hyper, and no connection over the bound gets as far as that; see
//! `bare.rs`. Every other answer comes from the router.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::api::problem::{self, Problem};

use super::{bare, connection::Connection};

/// The most bytes of a request's line and headers.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long open requests may take when the node stops.
const DRAIN: Duration = Duration::from_secs(8);
/// How long no connection is taken after the system had no room for one.
const PAUSE: Duration = Duration::from_millis(100);
/// Connections that are being refused at once; with more they are closed without a word.
const REFUSALS_MAX: usize = 64;
/// How long a refused client may take to read why, and how much of what it sends meanwhile is passed over.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open connections, sockets among them.
    pub connections_max: usize,
    /// How long a connection may take to send the head of its next request.
    pub idle: Duration,
}

/// Serves until the node stops, and then until the open requests are answered.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, stopping: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.idle).max_buf_size(HEAD_BYTES_MAX);
    let places = Arc::new(Semaphore::new(bounds.connections_max.min(Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                tracing::warn!(%error, "no connection can be taken; going on in a moment");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            let connection = Connection::new(stream, place);
            let answered = answer(http.clone(), connection, peer, router.clone(), stopping.clone());
            // In a box: a task that ends moves all of its future.
            connections.spawn(Box::pin(answered));
        } else {
            metrics::counter!("link_connections_refused_total").increment(1);
            if let Ok(place) = refusals.clone().try_acquire_owned() {
                connections.spawn(async move {
                    let _place = place;
                    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refuse(stream)).await;
                });
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Tells whether it is one connection that failed, and not the taking of them.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection.
async fn answer(
    http: http1::Builder,
    connection: Connection,
    peer: SocketAddr,
    router: Router,
    stopping: CancellationToken,
) {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.map(Body::new)
    });
    let served = http.serve_connection(TokioIo::new(connection), TowerToHyperService::new(service)).with_upgrades();
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stopping.cancelled() => {
            served.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN, served).await {
                Ok(ended) => ended,
                Err(_) => return tracing::warn!("an open request did not end in time"),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Says that there is no room. What the client sends is read for a moment: it would not hear the answer otherwise.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    let problem = Problem::new(problem::UNAVAILABLE, "this node has as many connections as it may have");
    stream.write_all(bare::answer(&problem).as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(REFUSAL_BYTES_MAX);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}
