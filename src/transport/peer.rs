//! Where a request comes from. A proxy's word for it counts only when the proxy is one that the settings name.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, Response},
    middleware::Next,
};
use ipnet::IpNet;

use super::Doors;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// The address, where it is known.
    pub address: Option<IpAddr>,
    /// Whether it came over TLS, as a proxy says.
    pub secure: bool,
}

/// Notes where a request comes from.
pub async fn note(State(doors): State<Doors>, mut request: Request, next: Next) -> Response<axum::body::Body> {
    let socket = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let peer = find(socket, request.headers(), &doors.trusted_proxies);
    request.extensions_mut().insert(peer);
    next.run(request).await
}

/// Returns what was noted.
pub fn of(extensions: &Extensions) -> Peer {
    extensions.get().copied().unwrap_or_default()
}

fn find(socket: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Peer {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(&address.to_canonical()));
    let Some(proxy) = socket.filter(is_trusted) else { return Peer { address: socket, secure: false } };
    // Each proxy adds who it heard from at the end: the last one that is no proxy of ours is the client.
    let heard = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let heard: Vec<&str> = heard.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = proxy;
    for text in heard.into_iter().rev() {
        let Ok(address) = text.parse::<IpAddr>() else { break };
        client = address;
        if !is_trusted(&address) {
            break;
        }
    }
    let secure = headers.get("x-forwarded-proto").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"https"));
    Peer { address: Some(client), secure }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn found(socket: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(value).unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        find(socket.parse().ok(), &headers, &trusted).address.map(|address| address.to_string()).unwrap_or_default()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_about_the_last_stranger() {
        assert_eq!(found("192.0.2.1", &["203.0.113.9"]), "192.0.2.1", "a stranger says anything");
        assert_eq!(found("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(
            found("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.2"]),
            "203.0.113.9",
            "what the client claims is first"
        );
        assert_eq!(found("10.0.0.1", &["1.1.1.1", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(found("::ffff:10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(found("10.0.0.1", &["203.0.113.9, rubbish"]), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
    }
}
