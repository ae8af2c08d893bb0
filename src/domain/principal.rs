//! Who acts: a person, an agent, a team or a service, in one type, so that each can be an author, an assignee
//! or a member of a conversation.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{AgentId, ServiceId, TeamId, UUID, UUID_LENGTH, UserId};

/// Who acts or is meant, written `kind:id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Principal {
    /// A person.
    User(UserId),
    /// An AI agent.
    Agent(AgentId),
    /// A group of people and agents.
    Team(TeamId),
    /// A program: a part of Link itself, or one that a workspace has let in.
    Service(Service),
}

/// A program that acts on its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Service {
    /// Hands queued delegations to agents.
    Conductor,
    /// Asks instances whether they live.
    Probe,
    /// Sends events to webhooks.
    Courier,
    /// Another program, as a member of a workspace.
    Account(ServiceId),
}

impl Service {
    /// Tells whether it is a member of a workspace, and no part of Link.
    pub fn is_account(self) -> bool {
        matches!(self, Self::Account(_))
    }
}

impl Principal {
    /// Returns the part after the colon.
    pub fn id(&self) -> String {
        let text = self.to_string();
        text.split_once(':').map_or(text.clone(), |(_, id)| id.to_owned())
    }

    /// Returns the user's id when a person is meant.
    pub fn user(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::Agent(_) | Self::Team(_) | Self::Service(_) => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Agent(id) => write!(f, "agent:{id}"),
            Self::Team(id) => write!(f, "team:{id}"),
            Self::Service(Service::Conductor) => f.write_str("service:conductor"),
            Self::Service(Service::Probe) => f.write_str("service:probe"),
            Self::Service(Service::Courier) => f.write_str("service:courier"),
            Self::Service(Service::Account(id)) => write!(f, "service:{id}"),
        }
    }
}

/// The text is no `kind:id` of a known kind.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no principal: write user:ID, agent:ID, team:ID or service:ID")]
pub struct NoPrincipal(String);

impl FromStr for Principal {
    type Err = NoPrincipal;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NoPrincipal(text.chars().take(80).collect());
        let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
        let is_part = kind == "service" && matches!(id, "conductor" | "probe" | "courier");
        if !is_part && id.len() != UUID_LENGTH {
            return Err(wrong());
        }
        Ok(match (kind, id) {
            ("user", id) => Self::User(id.parse().map_err(|_| wrong())?),
            ("agent", id) => Self::Agent(id.parse().map_err(|_| wrong())?),
            ("team", id) => Self::Team(id.parse().map_err(|_| wrong())?),
            ("service", "conductor") => Self::Service(Service::Conductor),
            ("service", "probe") => Self::Service(Service::Probe),
            ("service", "courier") => Self::Service(Service::Courier),
            ("service", id) => Self::Service(Service::Account(id.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        })
    }
}
impl Serialize for Principal {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Principal {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
impl JsonSchema for Principal {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Principal".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "Who acts or is meant, as `kind:id`.",
            "pattern": format!("^((user|agent|team|service):{UUID}|service:(conductor|probe|courier))$"),
            "examples": ["user:0190f3c2-7b1e-7000-8000-000000000001"]
        })
    }
}
