//! What happens to a workspace: its members, teams, roles and grants.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::domain::{
    access::Effect,
    ids::*,
    permission::{Permission, Permissions},
    principal::Principal,
    right::{Decides, Risk},
    text::{Label, Title},
    workspace::{MemberRole, TeamPolicy},
};

fn is_usual(policy: &TeamPolicy) -> bool {
    *policy == TeamPolicy::default()
}

/// What happens to a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum WorkspaceEvent {
    /// The workspace was made; its maker is the first owner.
    #[serde(rename = "workspace:created")]
    Created {
        /// Its name.
        name: Title,
        /// Its maker.
        owner: UserId,
    },
    /// The name changed.
    #[serde(rename = "workspace:renamed")]
    Renamed {
        /// The new name.
        name: Title,
    },
    /// A person joined.
    #[serde(rename = "member:added")]
    MemberAdded {
        /// Who.
        user: UserId,
        /// As what.
        role: MemberRole,
    },
    /// A member's role changed.
    #[serde(rename = "member:updated")]
    MemberUpdated {
        /// Who.
        user: UserId,
        /// As what from now on.
        role: MemberRole,
    },
    /// A member left or was removed.
    #[serde(rename = "member:removed")]
    MemberRemoved {
        /// Who.
        user: UserId,
    },
    /// People and agents form a team that work can be assigned to.
    #[serde(rename = "team:formed")]
    TeamFormed {
        /// Which.
        team: TeamId,
        /// Its name.
        name: Title,
        /// Who is in it.
        members: BTreeSet<Principal>,
        /// Who leads it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lead: Option<Principal>,
        /// How it decides who of it gets the work.
        #[serde(default, skip_serializing_if = "is_usual")]
        policy: TeamPolicy,
    },
    /// A team changed.
    #[serde(rename = "team:updated")]
    TeamUpdated {
        /// Which.
        team: TeamId,
        /// Its name from now on.
        name: Title,
        /// Who is in it from now on.
        members: BTreeSet<Principal>,
        /// Who leads it from now on.
        lead: Option<Principal>,
        /// How it decides from now on.
        policy: TeamPolicy,
    },
    /// A team is no more. What was assigned to it stays so, and nobody gets work by it.
    #[serde(rename = "team:dissolved")]
    TeamDissolved {
        /// Which.
        team: TeamId,
    },
    /// A role of the workspace's own exists.
    #[serde(rename = "role:created")]
    RoleCreated {
        /// Which.
        role: RoleId,
        /// Its name.
        name: Label,
        /// What its members may do.
        permissions: Permissions,
    },
    /// A role changed, for everyone who has it.
    #[serde(rename = "role:updated")]
    RoleUpdated {
        /// Which.
        role: RoleId,
        /// Its name from now on.
        name: Label,
        /// What its members may do from now on.
        permissions: Permissions,
    },
    /// A role that nobody had is gone.
    #[serde(rename = "role:deleted")]
    RoleDeleted {
        /// Which.
        role: RoleId,
    },
    /// Somebody may, or may not, do something with one thing and with what is below it.
    #[serde(rename = "grant:set")]
    GrantSet {
        /// Which grant.
        grant: GrantId,
        /// The project, task or conversation.
        subject: Subject,
        /// Who; a team means its members.
        principal: Principal,
        /// Whether it gives or takes.
        effect: Effect,
        /// What.
        permissions: Permissions,
    },
    /// A grant is no longer in force.
    #[serde(rename = "grant:removed")]
    GrantRemoved {
        /// Which grant.
        grant: GrantId,
        /// What it was on.
        subject: Subject,
        /// Whom it was for.
        principal: Principal,
        /// Whether it gave or took.
        effect: Effect,
    },
    /// An agent may decide on somebody's behalf, within limits.
    #[serde(rename = "right:given")]
    RightGiven {
        /// Which right.
        right: RightId,
        /// Whose it is.
        agent: AgentId,
        /// On whose behalf.
        grantor: UserId,
        /// The project or the task.
        subject: Subject,
        /// What.
        decides: BTreeSet<Decides>,
        /// Nothing that costs more, in US dollars.
        cost_usd_max: Option<f64>,
        /// Nothing that is riskier.
        risk_max: Option<Risk>,
        /// So often.
        uses_max: u32,
        /// Until then.
        expires_at: DateTime<Utc>,
    },
    /// A right is good for nothing any more.
    #[serde(rename = "right:revoked")]
    RightRevoked {
        /// Which right.
        right: RightId,
        /// Whose it was.
        agent: AgentId,
        /// On whose behalf.
        grantor: UserId,
    },
    /// A program joined.
    #[serde(rename = "service:added")]
    ServiceAdded {
        /// Which.
        service: ServiceId,
        /// Its name.
        name: Label,
        /// As what.
        role: MemberRole,
    },
    /// A program was removed.
    #[serde(rename = "service:removed")]
    ServiceRemoved {
        /// Which.
        service: ServiceId,
    },
    /// An agent or a service got an API key.
    #[serde(rename = "key:issued")]
    KeyIssued {
        /// Which.
        key: KeyId,
        /// Whom it is bound to.
        holder: Principal,
        /// What it is for.
        name: Title,
        /// How it begins.
        prefix: String,
        /// What it is good for, of what its holder may.
        scopes: BTreeSet<Permission>,
        /// Until when.
        expires_at: DateTime<Utc>,
    },
    /// An API key of an agent or a service is no longer good.
    #[serde(rename = "key:revoked")]
    KeyRevoked {
        /// Which.
        key: KeyId,
        /// Whom it was bound to.
        holder: Principal,
    },
}
