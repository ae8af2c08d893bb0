//! Who may do what: one pure function. A role gives; grants on a project, a task or a conversation give more or take
//! away, for what is below them too; a credential limits; and what is denied anywhere stays denied.
//!
//! ```text
//! may = ((role ∪ allows along the chain) − denies along the chain) ∩ scopes of the credential
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    event::{AgentEvent, Event, Recorded, WorkspaceEvent},
    ids::{GrantId, Subject, WorkspaceId},
    permission::{Permission, Permissions},
    principal::{Principal, Service},
};

/// Whether a grant gives or takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It gives.
    Allow,
    /// It takes, whatever else gives.
    Deny,
}

impl Effect {
    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// What a principal may, or may not, do with one thing and with what is below it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// The project, task or conversation.
    pub subject: Subject,
    /// Who; a team means its members.
    pub principal: Principal,
    /// Whether it gives or takes.
    pub effect: Effect,
    /// What.
    pub permissions: Permissions,
}

/// Who asks, with the limits of what they showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// Who.
    pub principal: Principal,
    /// What the credential is good for.
    pub scopes: Permissions,
    /// The only workspace that the credential is good for, if it is limited to one.
    pub workspace: Option<WorkspaceId>,
}

impl Viewer {
    /// Tells whether the credential is good for anything in a workspace.
    pub fn may_enter(&self, workspace: WorkspaceId) -> bool {
        self.workspace.is_none_or(|only| only == workspace)
    }
}

/// What somebody is in a workspace, and what their credential leaves of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What their role gives.
    pub role: Permissions,
    /// What their credential is good for.
    pub scopes: Permissions,
}

/// Where something is to be done.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// In the workspace itself: every member knows that it exists.
    Workspace,
    /// With something in it, to which these grants apply: all along its chain.
    Thing(&'a [Grant]),
}

/// What somebody may do somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Whether they may know that the place exists.
    pub visible: bool,
    /// What they may do there, with the credential that they showed.
    pub may: Permissions,
}

/// What becomes of one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is carried out.
    Granted,
    /// It is refused.
    Forbidden,
    /// It is refused as if there was nothing.
    Hidden,
}

impl Decision {
    /// Judges a request that needs a permission.
    pub fn verdict(self, needed: Permission) -> Verdict {
        match (self.visible, self.may.contains(needed)) {
            (false, _) => Verdict::Hidden,
            (true, true) => Verdict::Granted,
            (true, false) => Verdict::Forbidden,
        }
    }
}

/// Decides what somebody may do somewhere. Whoever may not read a thing may do nothing with it, nor know of it.
pub fn decide(standing: Standing, place: Place<'_>) -> Decision {
    let entered = Permissions::from(Permission::Enter);
    let scopes = standing.scopes.union(entered);
    let grants = match place {
        Place::Workspace => {
            return Decision { visible: true, may: standing.role.union(entered).intersection(scopes) };
        }
        Place::Thing(grants) => grants,
    };
    let all = |effect| {
        let of_effect = grants.iter().filter(|grant| grant.effect == effect);
        of_effect.fold(Permissions::NONE, |all, grant| all.union(grant.permissions))
    };
    let held = standing.role.union(all(Effect::Allow)).without(all(Effect::Deny));
    match held.contains(Permission::Read) {
        true => Decision { visible: true, may: held.intersection(scopes) },
        false => Decision { visible: false, may: Permissions::NONE },
    }
}

/// Why somebody may do something somewhere, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Their role gives it.
    Role,
    /// A grant gives it.
    Allowed,
    /// A grant takes it.
    Denied,
    /// They may not read there, so they may do nothing.
    Unseen,
    /// Neither their role nor a grant gives it.
    NotGiven,
    /// They may, and the credential that they showed is not good for it.
    OutOfScope,
}

/// Says why [`decide`] decides as it does about one permission, and which grant makes the difference.
pub fn explain(standing: Standing, place: Place<'_>, permission: Permission) -> (Reason, Option<GrantId>) {
    let grants = match place {
        Place::Workspace => &[],
        Place::Thing(grants) => grants,
    };
    let one = |effect, permission| {
        let of_effect = grants.iter().find(|grant| grant.effect == effect && grant.permissions.contains(permission));
        of_effect.map(|grant| grant.id)
    };
    let decision = decide(standing, place);
    if let Some(id) = one(Effect::Deny, permission).or_else(|| one(Effect::Deny, Permission::Read)) {
        return (Reason::Denied, Some(id));
    }
    if !decision.visible {
        return (Reason::Unseen, None);
    }
    let (by_role, by_grant) = (standing.role.contains(permission), one(Effect::Allow, permission));
    match (by_role || by_grant.is_some(), decision.may.contains(permission)) {
        (false, _) => (Reason::NotGiven, None),
        (true, false) => (Reason::OutOfScope, None),
        (true, true) if by_role => (Reason::Role, None),
        (true, true) => (Reason::Allowed, by_grant),
    }
}

/// Everything that decides what somebody may do in a workspace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Who.
    pub who: Principal,
    /// What they are.
    pub standing: Standing,
    /// Every grant for them or for a team of theirs.
    pub grants: Vec<Grant>,
}

impl Rights {
    /// Tells whether every thing of the workspace may be read: the usual case, in which nothing has to be looked at.
    pub fn are_plain(&self) -> bool {
        let Standing { role, scopes } = self.standing;
        self.grants.is_empty() && role.intersection(scopes).contains(Permission::Read)
    }

    /// Decides for a thing, given what it is and what it belongs to.
    pub fn at(&self, chain: &[Subject]) -> Decision {
        if self.grants.is_empty() {
            return decide(self.standing, Place::Thing(&[]));
        }
        let along: Vec<Grant> = self.grants.iter().filter(|grant| chain.contains(&grant.subject)).cloned().collect();
        decide(self.standing, Place::Thing(&along))
    }

    /// Decides for the workspace itself.
    pub fn in_workspace(&self) -> Decision {
        decide(self.standing, Place::Workspace)
    }

    /// Tells whether an event may be seen.
    pub fn see(&self, event: &Recorded) -> bool {
        if event.audience.as_ref().is_some_and(|audience| !audience.contains(&self.who)) {
            return false;
        }
        let read = |decision: Decision| decision.may.contains(Permission::Read);
        match (&event.subject, &event.event) {
            // Who may do what is not everybody's business: it names things that some may not know of.
            (
                _,
                Event::Workspace(
                    WorkspaceEvent::GrantSet { .. }
                    | WorkspaceEvent::GrantRemoved { .. }
                    | WorkspaceEvent::RightGiven { .. }
                    | WorkspaceEvent::RightRevoked { .. },
                ),
            ) => decide(self.standing, Place::Workspace).may.contains(Permission::ManageAccess),
            (Subject::Workspace(_), _) => read(decide(self.standing, Place::Workspace)),
            (subject, _) => self.see_thing(*subject, &event.refs),
        }
    }

    /// Tells whether something about a subject, which belongs to these others, may be seen.
    pub fn see_thing(&self, subject: Subject, refs: &[Subject]) -> bool {
        let read = |decision: Decision| decision.may.contains(Permission::Read);
        match chain(subject, refs) {
            _ if self.are_plain() => true,
            Some(chain) => read(self.at(&chain)),
            // What it belongs to is not known: everything that is denied anywhere is denied here, and nothing given.
            None => {
                let denies = self.grants.iter().filter(|grant| grant.effect == Effect::Deny);
                read(decide(self.standing, Place::Thing(&denies.cloned().collect::<Vec<_>>())))
            }
        }
    }
}

/// Returns a thing with what it belongs to, or nothing where its references do not say: events from before they did.
fn chain(subject: Subject, refs: &[Subject]) -> Option<Vec<Subject>> {
    let project = refs.iter().any(|known| matches!(known, Subject::Project(_)));
    let task = refs.iter().any(|known| matches!(known, Subject::Task(_)));
    let whole = match subject {
        Subject::Workspace(_) | Subject::Project(_) | Subject::Agent(_) | Subject::Webhook(_) => true,
        Subject::Task(_) | Subject::Document(_) => project,
        Subject::Conversation(_) => project || !task,
        Subject::Session(_) => project && task,
    };
    let above = refs
        .iter()
        .copied()
        .filter(|known| matches!(known, Subject::Project(_) | Subject::Task(_) | Subject::Conversation(_)));
    whole.then(|| std::iter::once(subject).chain(above).collect())
}

/// Tells whether an event may change what anybody may do.
pub fn may_change(event: &Event) -> bool {
    matches!(event, Event::Workspace(_) | Event::Agent(AgentEvent::Availability { .. }))
}

/// Tells whether an event may change what somebody may do: whoever relies on an earlier answer has to ask again.
pub fn changes(event: &Event, who: Principal) -> bool {
    use WorkspaceEvent as E;
    match event {
        Event::Workspace(event) => match event {
            E::MemberAdded { user, .. } | E::MemberUpdated { user, .. } | E::MemberRemoved { user } => {
                who == Principal::User(*user)
            }
            E::GrantSet { principal, .. } | E::GrantRemoved { principal, .. } => {
                *principal == who || matches!(principal, Principal::Team(_))
            }
            E::ServiceAdded { service, .. } | E::ServiceRemoved { service } => {
                who == Principal::Service(Service::Account(*service))
            }
            E::RoleUpdated { .. } | E::RoleDeleted { .. } => true,
            E::TeamFormed { .. } | E::TeamUpdated { .. } | E::TeamDissolved { .. } => true,
            E::Created { .. } | E::Renamed { .. } | E::RoleCreated { .. } => false,
            // A key that is revoked ends with its credential, wherever it is in use.
            E::KeyIssued { .. } | E::KeyRevoked { .. } => false,
            // It is asked for when it is used, and changes nothing else.
            E::RightGiven { .. } | E::RightRevoked { .. } => false,
        },
        Event::Agent(AgentEvent::Availability { .. }) => matches!(who, Principal::Agent(_)),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
