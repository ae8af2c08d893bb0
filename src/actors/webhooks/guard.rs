//! Where a webhook may not be: addresses that only Link's own network can reach. A name is looked up when the connection
//! is made, and the connection goes to the address that was checked, so a name that changes its mind gains nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use reqwest::{
    Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// How long a look-up may take.
const LOOK_UP_MAX: Duration = Duration::from_secs(5);
/// Outside by its looks, and a cloud's own inside.
const WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Why an address is no webhook's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no address of the web.
    #[error("must be http://… or https://… without user name")]
    NoAddress,
    /// It leads inside.
    #[error("leads to an address that is not public")]
    Private,
}

/// Checks an address as far as its text says, and returns it without path and query.
pub fn origin(address: &str, allow_private: bool) -> Result<String, Refused> {
    let url = Url::parse(address).map_err(|_| Refused::NoAddress)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if !plain || !url.has_host() {
        return Err(Refused::NoAddress);
    }
    if !allow_private && !may_be_public(&url) {
        return Err(Refused::Private);
    }
    Ok(url.origin().ascii_serialization())
}

/// An address in numbers is never looked up: it has to be checked before.
pub(super) fn may_be_public(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    match host.parse::<IpAddr>() {
        Ok(ip) => is_public(ip),
        Err(_) => host != "localhost" && !host.ends_with(".localhost"),
    }
}

/// Tells whether an address is reachable, and meant to be reached, from everywhere.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or_else(|| is_public_v6(ip), is_public_v4),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., ..)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18..=19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special && ip != WIRE_SERVER
}

/// Only what is handed out to the world, without the parts of it that lead into IPv4 or are for examples.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [a, b, ..] = ip.segments();
    match (a, b) {
        (0x2001, 0..0x200 | 0xdb8) | (0x2002, _) => false,
        (0x3fff, 0..0x1000) => false,
        (a, _) => a & 0xe000 == 0x2000,
    }
}

/// Looks names up, and keeps what is not public to itself.
pub(super) struct Guarded {
    pub allow_private: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let looked_up = tokio::time::timeout(LOOK_UP_MAX, tokio::net::lookup_host((name.as_str(), 0))).await;
            let found = looked_up.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            let good: Vec<SocketAddr> = found.filter(|at| allow_private || is_public(at.ip())).collect();
            if good.is_empty() {
                return Err(Refused::Private.into());
            }
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_inside_is_none_for_a_webhook() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "192.1.2.3", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn an_address_is_checked_however_it_is_written() {
        for inside in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::1]:8080/",
            "http://[::ffff:a00:1]/",
            "https://localhost",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1./",
        ] {
            assert_eq!(origin(inside, false), Err(Refused::Private), "{inside}");
        }
        for none in [
            "",
            "example.org",
            "ftp://example.org/",
            "http://",
            "http://u@example.org/",
            "http://u:p@example.org/",
            "file:/etc/passwd",
        ] {
            assert_eq!(origin(none, true), Err(Refused::NoAddress), "{none}");
        }
        assert_eq!(
            origin("https://Example.org:8443/hook/secret?token=1", false).as_deref(),
            Ok("https://example.org:8443")
        );
        assert_eq!(origin("http://127.0.0.1:9/x", true).as_deref(), Ok("http://127.0.0.1:9"));
    }
}
