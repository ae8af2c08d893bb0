//! Settings: built-in defaults < `cluster.toml` < environment. Flags of the command line come on top, in `cli`.

mod attempts;
mod clocks;
mod connections;
mod host;
mod oidc;
mod peers;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;

pub use attempts::Attempts;
pub use clocks::{CLOCKS, Clocks};
pub use connections::{CONNECTIONS, Connections};
use host::{default_data_dir, host_name};
pub use oidc::{Oidc, web_address};
pub use peers::{PEERS, Peers};

/// How long an entity stays in memory unasked, unless set otherwise.
pub const ENTITY_IDLE: Duration = Duration::from_secs(120);
/// Calls a second of one caller, unless set otherwise; ten times as many may come at once after a pause.
pub const RATES: Rates = Rates { reads: 200, writes: 100, credentials: 5 };

/// Calls a second of one caller, by class of operation; 0 means any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Reads, per principal: `LINK_RATE_READS`.
    pub reads: u32,
    /// Changes, per principal: `LINK_RATE_WRITES`.
    pub writes: u32,
    /// Logins and what else needs no token, per address: `LINK_RATE_CREDENTIALS`.
    pub credentials: u32,
}

/// Everything that can be set.
#[derive(Clone)]
pub struct Config {
    /// Where HTTP and WebSocket listen: `LINK_HTTP_ADDR`.
    pub http_addr: SocketAddr,
    /// Where other nodes reach this one: `LINK_CLUSTER_ADDR`.
    pub cluster_addr: SocketAddr,
    /// This node's name: `LINK_NODE`.
    pub node: String,
    /// The database; its own one when absent: `DATABASE_URL`.
    pub database_url: Option<String>,
    /// Where the own database, keys and the like are: `LINK_DATA_DIR`.
    pub data_dir: PathBuf,
    /// Where the binaries of Postgres are: `LINK_PG_BIN`.
    pub pg_bin: Option<PathBuf>,
    /// The key that signs tokens, PKCS#8 in base64; made once when absent: `LINK_JWT_KEY`.
    pub jwt_key: Option<String>,
    /// An entity that was not asked anything for this long leaves the memory: `LINK_ENTITY_IDLE_SECS`.
    pub entity_idle: Duration,
    /// How much of a workspace's work may run at the same time.
    pub attempts: Attempts,
    /// After how long people are reminded of what waits for them.
    pub clocks: Clocks,
    /// What connections may take.
    pub connections: Connections,
    /// What is waited for of agents that connect.
    pub peers: Peers,
    /// How much one caller may ask for.
    pub rates: Rates,
    /// Proxies whose word is taken for where a request comes from: `LINK_TRUSTED_PROXIES`.
    pub trusted_proxies: Vec<IpNet>,
    /// Web origins, other than Link's own, whose pages may call Link: `LINK_CORS_ORIGINS`.
    pub cors_origins: Vec<String>,
    /// The provider that people may log in by, if there is one.
    pub oidc: Option<Oidc>,
    /// Whether webhooks may lead to private addresses: `LINK_WEBHOOKS_ALLOW_PRIVATE`.
    pub webhooks_allow_private: bool,
    /// What is logged: `RUST_LOG`.
    pub log: String,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and cannot be read.
    #[error("{path} cannot be read: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A value is wrong.
    #[error("{name} = `{value}` is wrong: {cause}")]
    Value {
        /// Of which setting.
        name: &'static str,
        /// The value.
        value: String,
        /// Why.
        cause: String,
    },
    /// A value is missing that others need.
    #[error("{name} is missing: a login by OpenID Connect needs it")]
    Missing {
        /// Which setting.
        name: &'static str,
    },
}

/// What `cluster.toml` may hold; each the same as its environment variable.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    http_addr: Option<String>,
    cluster_addr: Option<String>,
    node: Option<String>,
    database_url: Option<String>,
    data_dir: Option<PathBuf>,
    pg_bin: Option<PathBuf>,
    jwt_key: Option<String>,
    entity_idle_secs: Option<u64>,
    attempts_max: Option<u32>,
    background_attempts_max: Option<u32>,
    remind_question_secs: Option<u64>,
    remind_review_secs: Option<u64>,
    remind_escalation_secs: Option<u64>,
    queue_limit_secs: Option<u64>,
    nudge_secs: Option<u64>,
    silence_secs: Option<u64>,
    connections_max: Option<usize>,
    connection_idle_secs: Option<u64>,
    heartbeat_secs: Option<u64>,
    peer_heartbeat_secs: Option<u64>,
    peer_suspect_secs: Option<u64>,
    peer_lost_secs: Option<u64>,
    rate_reads: Option<u32>,
    rate_writes: Option<u32>,
    rate_credentials: Option<u32>,
    trusted_proxies: Option<Vec<String>>,
    cors_origins: Option<Vec<String>>,
    oidc_issuer: Option<String>,
    oidc_client_id: Option<String>,
    oidc_client_secret: Option<String>,
    oidc_redirect_url: Option<String>,
    oidc_allowed_domains: Option<Vec<String>>,
    oidc_return_url: Option<String>,
    webhooks_allow_private: Option<bool>,
    log: Option<String>,
}

impl Config {
    /// Reads the settings of this process: `cluster.toml` in the current directory, then the environment.
    pub fn load() -> Result<Self, Error> {
        Self::read(Path::new("cluster.toml"), &|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// Returns the settings of a node that nobody set anything for.
    pub fn built_in() -> Self {
        Self::of(File::default(), &|_| None).expect("the defaults are right")
    }

    fn read(file: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let file = match std::fs::read_to_string(file) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Error::File { path: file.to_owned(), cause: error.to_string() })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(Error::File { path: file.to_owned(), cause: error.to_string() }),
        };
        Self::of(file, env)
    }

    fn of(file: File, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let or = |name, file: Option<String>| env(name).or(file);
        let named = |name, file| (name, or(name, file));
        let path = |name, file: Option<PathBuf>| env(name).map(PathBuf::from).or(file);
        Ok(Self {
            http_addr: address("LINK_HTTP_ADDR", or("LINK_HTTP_ADDR", file.http_addr), "127.0.0.1:7070")?,
            cluster_addr: address("LINK_CLUSTER_ADDR", or("LINK_CLUSTER_ADDR", file.cluster_addr), "127.0.0.1:7071")?,
            node: or("LINK_NODE", file.node).unwrap_or_else(host_name),
            database_url: or("DATABASE_URL", file.database_url),
            data_dir: path("LINK_DATA_DIR", file.data_dir).unwrap_or_else(|| default_data_dir(env)),
            pg_bin: path("LINK_PG_BIN", file.pg_bin),
            jwt_key: or("LINK_JWT_KEY", file.jwt_key),
            entity_idle: seconds("LINK_ENTITY_IDLE_SECS", env, file.entity_idle_secs, ENTITY_IDLE)?,
            attempts: Attempts::read(env, file.attempts_max, file.background_attempts_max)?,
            clocks: clocks::read(
                env,
                [
                    file.remind_question_secs,
                    file.remind_review_secs,
                    file.remind_escalation_secs,
                    file.queue_limit_secs,
                    file.nudge_secs,
                    file.silence_secs,
                ],
            )?,
            connections: connections::read(
                env,
                file.connections_max,
                [file.connection_idle_secs, file.heartbeat_secs],
            )?,
            peers: peers::read(env, [file.peer_heartbeat_secs, file.peer_suspect_secs, file.peer_lost_secs])?,
            rates: Rates {
                reads: parsed("LINK_RATE_READS", env, file.rate_reads.unwrap_or(RATES.reads))?,
                writes: parsed("LINK_RATE_WRITES", env, file.rate_writes.unwrap_or(RATES.writes))?,
                credentials: parsed("LINK_RATE_CREDENTIALS", env, file.rate_credentials.unwrap_or(RATES.credentials))?,
            },
            trusted_proxies: list("LINK_TRUSTED_PROXIES", env, file.trusted_proxies, network)?,
            cors_origins: list("LINK_CORS_ORIGINS", env, file.cors_origins, origin)?,
            oidc: oidc::Given {
                issuer: named("LINK_OIDC_ISSUER", file.oidc_issuer),
                client_id: named("LINK_OIDC_CLIENT_ID", file.oidc_client_id),
                client_secret: named("LINK_OIDC_CLIENT_SECRET", file.oidc_client_secret),
                redirect_url: named("LINK_OIDC_REDIRECT_URL", file.oidc_redirect_url),
                return_url: named("LINK_OIDC_RETURN_URL", file.oidc_return_url),
                allowed_domains: list("LINK_OIDC_ALLOWED_DOMAINS", env, file.oidc_allowed_domains, oidc::domain)?,
            }
            .read()?,
            webhooks_allow_private: parsed(
                "LINK_WEBHOOKS_ALLOW_PRIVATE",
                env,
                file.webhooks_allow_private.unwrap_or(false),
            )?,
            log: or("RUST_LOG", file.log).unwrap_or_else(|| "info".into()),
        })
    }
}

/// Secrets are masked: what is printed may end up anywhere.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let masked = |secret: &Option<String>| secret.as_ref().map(|_| "(set)");
        f.debug_struct("Config")
            .field("http_addr", &self.http_addr)
            .field("cluster_addr", &self.cluster_addr)
            .field("node", &self.node)
            .field("database_url", &masked(&self.database_url))
            .field("data_dir", &self.data_dir)
            .field("pg_bin", &self.pg_bin)
            .field("jwt_key", &masked(&self.jwt_key))
            .field("entity_idle", &self.entity_idle)
            .field("attempts", &self.attempts)
            .field("clocks", &self.clocks)
            .field("connections", &self.connections)
            .field("peers", &self.peers)
            .field("rates", &self.rates)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("cors_origins", &self.cors_origins)
            .field("oidc", &self.oidc)
            .field("webhooks_allow_private", &self.webhooks_allow_private)
            .field("log", &self.log)
            .finish()
    }
}

fn address(name: &'static str, given: Option<String>, default: &str) -> Result<SocketAddr, Error> {
    let value = given.unwrap_or_else(|| default.to_owned());
    value.parse().map_err(|error: std::net::AddrParseError| Error::Value { name, cause: error.to_string(), value })
}

fn parsed<T>(name: &'static str, env: &dyn Fn(&str) -> Option<String>, otherwise: T) -> Result<T, Error>
where
    T: FromStr<Err: fmt::Display>,
{
    let Some(value) = env(name) else { return Ok(otherwise) };
    value.parse().map_err(|error: T::Err| Error::Value { name, cause: error.to_string(), value })
}

/// Reads a time, which is at least a second.
fn seconds(
    name: &'static str,
    env: &dyn Fn(&str) -> Option<String>,
    file: Option<u64>,
    otherwise: Duration,
) -> Result<Duration, Error> {
    let seconds = parsed(name, env, file.unwrap_or(otherwise.as_secs()))?;
    Ok(Duration::from_secs(seconds.max(1)))
}

/// Reads a list: in the environment its items stand between commas.
fn list<T>(
    name: &'static str,
    env: &dyn Fn(&str) -> Option<String>,
    file: Option<Vec<String>>,
    item: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Error> {
    let given = env(name).map(|text| text.split(',').map(str::to_owned).collect()).or(file).unwrap_or_default();
    let items = given.iter().map(|text| text.trim()).filter(|text| !text.is_empty());
    items.map(|text| item(text).map_err(|cause| Error::Value { name, value: text.to_owned(), cause })).collect()
}

/// Reads an address, or a network in CIDR form.
fn network(text: &str) -> Result<IpNet, String> {
    let alone = text.parse().map(|address: IpAddr| IpNet::from(address));
    alone.or_else(|_| text.parse()).map_err(|_| "write an address or a network, as in 10.0.0.0/8".into())
}

/// Reads a web origin: scheme, host and perhaps a port. A star would let every page of the web in.
fn origin(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or_default();
    let well_formed = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
    match well_formed {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("write a web origin without a path, as in https://app.example.org".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
        let file = std::env::temp_dir().join(format!("link-config-{}.toml", std::process::id()));
        std::fs::write(&file, "node = \"from-file\"\nhttp_addr = \"127.0.0.1:1\"\n").unwrap();
        let env = |name: &str| (name == "LINK_HTTP_ADDR").then(|| "127.0.0.1:2".to_owned());
        let config = Config::read(&file, &env).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((config.http_addr.port(), config.node.as_str()), (2, "from-file"));
        assert_eq!(config.cluster_addr.port(), 7071);
    }

    #[test]
    fn lists_are_read_and_what_is_no_origin_or_network_is_refused() {
        let read = |name: &'static str, value: &'static str| {
            Config::read(Path::new("/nonexistent/cluster.toml"), &|asked| (asked == name).then(|| value.to_owned()))
        };
        let config = read("LINK_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8,").unwrap();
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(
            read("LINK_CORS_ORIGINS", "https://App.example.org").unwrap().cors_origins,
            ["https://app.example.org"]
        );
        for bad in ["*", "app.example.org", "https://a/b", "null"] {
            assert!(read("LINK_CORS_ORIGINS", bad).is_err(), "{bad}");
        }
        assert!(read("LINK_TRUSTED_PROXIES", "everyone").is_err());
        assert!(read("LINK_RATE_READS", "-1").is_err());
        assert_eq!(read("LINK_ATTEMPTS_MAX", "8").unwrap().attempts, Attempts { max: 8, background_max: 6 });
        assert_eq!(Config::built_in().attempts, Attempts { max: 256, background_max: 192 });
    }

    #[test]
    fn a_login_by_another_provider_is_set_as_a_whole_or_not_at_all() {
        let read = |changed: &'static str, value: Option<&'static str>| {
            Config::read(Path::new("/nonexistent/cluster.toml"), &|name| {
                let whole = match name {
                    "LINK_OIDC_ISSUER" => Some("https://login.example.org"),
                    "LINK_OIDC_CLIENT_ID" => Some("link"),
                    "LINK_OIDC_REDIRECT_URL" => Some("https://link.example.org/auth/oidc/callback"),
                    "LINK_OIDC_ALLOWED_DOMAINS" => Some("Example.org, @example.com"),
                    _ => None,
                };
                if name == changed { value } else { whole }.map(str::to_owned)
            })
        };
        assert_eq!(read("", None).unwrap().oidc.unwrap().allowed_domains, ["example.org", "example.com"]);
        assert!(read("LINK_OIDC_ISSUER", Some("http://127.0.0.1:9")).is_ok(), "nothing leaves this machine");
        for needed in ["LINK_OIDC_ISSUER", "LINK_OIDC_CLIENT_ID", "LINK_OIDC_REDIRECT_URL"] {
            assert!(read(needed, None).unwrap_err().to_string().starts_with(needed));
        }
        for (name, bad) in [
            ("LINK_OIDC_ISSUER", "http://login.example.org"),
            ("LINK_OIDC_REDIRECT_URL", "/auth/oidc/callback"),
            ("LINK_OIDC_RETURN_URL", "javascript:alert(1)"),
            ("LINK_OIDC_RETURN_URL", "https://app.example.org/#/login"),
            ("LINK_OIDC_ALLOWED_DOMAINS", "ada@example.org"),
        ] {
            assert!(read(name, Some(bad)).is_err(), "{name}={bad}");
        }
    }

    #[test]
    fn a_printed_config_shows_no_secret() {
        let env = |name: &str| match name {
            "DATABASE_URL" => Some("postgres://u:hunter2@h/d".to_owned()),
            "LINK_JWT_KEY" => Some("topsecret".to_owned()),
            "LINK_OIDC_CLIENT_SECRET" => Some("shibboleth".to_owned()),
            "LINK_OIDC_CLIENT_ID" => Some("link".to_owned()),
            "LINK_OIDC_ISSUER" | "LINK_OIDC_REDIRECT_URL" => Some("https://example.org".to_owned()),
            _ => None,
        };
        let shown = format!("{:?}", Config::read(Path::new("/nonexistent/cluster.toml"), &env).unwrap());
        assert!(["hunter2", "topsecret", "shibboleth"].iter().all(|secret| !shown.contains(secret)));
    }
}
