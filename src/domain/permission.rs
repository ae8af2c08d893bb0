//! Who may do what: one pure function over one table.

use serde::{Deserialize, Serialize};

use super::workspace::Role;

/// What an operation needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Anyone, even without a token.
    Public,
    /// Anyone with a token, about themselves.
    Signed,
    /// A person who has logged in, about themselves; no API key will do.
    LoggedIn,
    /// See the workspace.
    Read,
    /// Talk in it.
    Converse,
    /// Change projects and tasks.
    Work,
    /// Hand work to agents, stop it, answer for it.
    Delegate,
    /// Approve work.
    Review,
    /// Register agents and their servers.
    ManageAgents,
    /// Let people in, change roles, change the workspace.
    ManageMembers,
}

impl Permission {
    /// Every permission, in rising order.
    pub const EVERY: [Self; 10] = [
        Self::Public,
        Self::Signed,
        Self::LoggedIn,
        Self::Read,
        Self::Converse,
        Self::Work,
        Self::Delegate,
        Self::Review,
        Self::ManageAgents,
        Self::ManageMembers,
    ];
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);
    /// Every permission there is or will be.
    pub const ALL: Self = Self(u16::MAX);

    /// Tells whether a permission is in the set.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & Self::from(permission).0 != 0
    }

    /// Returns what is in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns what is in either set.
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what is in this set and not in the other.
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the permissions in the set, in rising order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::EVERY.into_iter().filter(move |permission| self.contains(*permission))
    }
}

impl From<Permission> for Permissions {
    fn from(permission: Permission) -> Self {
        Self(1 << permission as u16)
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        permissions.into_iter().fold(Self::NONE, |set, permission| set.union(permission.into()))
    }
}

/// Tells whether a member of this role may do it.
pub fn allows(role: Role, permission: Permission) -> bool {
    use Permission as P;
    match permission {
        P::Public | P::Signed | P::LoggedIn | P::Read => true,
        P::Converse => true,
        P::Work | P::Delegate | P::Review => role >= Role::Member,
        P::ManageAgents | P::ManageMembers => role >= Role::Admin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_never_do_less() {
        use Permission as P;
        for permission in P::EVERY {
            for pair in [Role::Guest, Role::Member, Role::Admin, Role::Owner].windows(2) {
                assert!(allows(pair[1], permission) || !allows(pair[0], permission), "{permission:?}");
            }
        }
        assert_eq!(P::EVERY.into_iter().collect::<Permissions>().iter().collect::<Vec<_>>(), P::EVERY);
        assert!(!allows(Role::Guest, P::Work));
        assert!(!allows(Role::Member, P::ManageMembers));
    }
}
