//! What can be permitted, sets of it, and the sets that the built-in roles are.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::workspace::Role;

/// What an operation needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Anyone, even without a token.
    #[serde(skip_deserializing)]
    Public,
    /// Anyone with a token, about themselves.
    #[serde(skip_deserializing)]
    Signed,
    /// A person who has logged in, about themselves; no API key will do.
    #[serde(skip_deserializing)]
    LoggedIn,
    /// Name the workspace, leave it, and list what of it one may see: every member may.
    #[serde(skip_deserializing)]
    Enter,
    /// See.
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
    /// Connect other programs: webhooks, services and their keys.
    ManageIntegrations,
    /// Make roles, and give and take access to single things.
    ManageAccess,
    /// Let people in, change their roles, change the workspace.
    ManageMembers,
    /// Make other owners, and unmake them.
    Own,
}

impl Permission {
    /// Every permission, in rising order.
    pub const EVERY: [Self; 14] = [
        Self::Public,
        Self::Signed,
        Self::LoggedIn,
        Self::Enter,
        Self::Read,
        Self::Converse,
        Self::Work,
        Self::Delegate,
        Self::Review,
        Self::ManageAgents,
        Self::ManageIntegrations,
        Self::ManageAccess,
        Self::ManageMembers,
        Self::Own,
    ];

    /// Returns its name, as in `manage_agents`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Signed => "signed",
            Self::LoggedIn => "logged_in",
            Self::Enter => "enter",
            Self::Read => "read",
            Self::Converse => "converse",
            Self::Work => "work",
            Self::Delegate => "delegate",
            Self::Review => "review",
            Self::ManageAgents => "manage_agents",
            Self::ManageIntegrations => "manage_integrations",
            Self::ManageAccess => "manage_access",
            Self::ManageMembers => "manage_members",
            Self::Own => "own",
        }
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Permissions(u16);

impl Permissions {
    /// No permission.
    pub const NONE: Self = Self(0);
    /// Every permission there is or will be.
    pub const ALL: Self = Self(u16::MAX);

    /// What can be granted on a single project, task or conversation.
    pub const ON_THINGS: Self =
        Self::of(&[Permission::Read, Permission::Converse, Permission::Work, Permission::Delegate, Permission::Review]);

    /// What a custom role can consist of.
    pub const IN_ROLES: Self = Self::ON_THINGS.union(Self::of(&[
        Permission::ManageAgents,
        Permission::ManageIntegrations,
        Permission::ManageAccess,
        Permission::ManageMembers,
    ]));

    /// What an agent may do in its workspace: it never reviews, and manages nothing.
    pub const OF_AGENTS: Self =
        Self::of(&[Permission::Read, Permission::Converse, Permission::Work, Permission::Delegate]);

    /// Returns the set of these.
    pub const fn of(permissions: &[Permission]) -> Self {
        let (mut set, mut nth) = (0, 0);
        while nth < permissions.len() {
            set |= 1 << permissions[nth] as u16;
            nth += 1;
        }
        Self(set)
    }

    /// Tells whether everything of another set is in this one.
    pub fn includes(self, other: Self) -> bool {
        other.without(self) == Self::NONE
    }

    /// Tells whether a permission is in the set.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & Self::from(permission).0 != 0
    }

    /// Returns what is in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns what is in either set.
    pub const fn union(self, other: Self) -> Self {
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

impl Serialize for Permissions {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter())
    }
}
impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Vec::<Permission>::deserialize(from)?.into_iter().collect())
    }
}
impl JsonSchema for Permissions {
    fn schema_name() -> Cow<'static, str> {
        "Permissions".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names = Role::Owner.permissions().iter().map(Permission::name);
        json_schema!({
            "type": "array",
            "description": "A set of permissions.",
            "items": {"type": "string", "enum": names.collect::<Vec<_>>()},
        })
    }
}

impl Role {
    /// Returns what the role is: everything that its members may do.
    pub const fn permissions(self) -> Permissions {
        use Permission as P;
        match self {
            Self::Guest => Permissions::of(&[P::Enter, P::Read, P::Converse]),
            Self::Member => Permissions::ON_THINGS.union(Permissions::of(&[P::Enter])),
            Self::Admin => Permissions::IN_ROLES.union(Permissions::of(&[P::Enter])),
            Self::Owner => Self::Admin.permissions().union(Permissions::of(&[P::Own])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_role_may_never_do_less() {
        for pair in [Role::Guest, Role::Member, Role::Admin, Role::Owner].windows(2) {
            assert!(pair[1].permissions().includes(pair[0].permissions()), "{pair:?}");
            assert_ne!(pair[0].permissions(), pair[1].permissions(), "{pair:?}");
        }
        let everything = Permission::EVERY.into_iter().collect::<Permissions>();
        assert_eq!(everything.iter().collect::<Vec<_>>(), Permission::EVERY);
        assert_eq!(
            everything.without(Role::Owner.permissions()).iter().collect::<Vec<_>>(),
            [Permission::Public, Permission::Signed, Permission::LoggedIn]
        );
    }

    #[test]
    fn a_set_is_written_as_the_names_of_what_is_in_it() {
        for permission in Permission::EVERY {
            assert_eq!(serde_json::to_value(permission).unwrap(), permission.name());
        }
        let set: Permissions = serde_json::from_str(r#"["review","read","read"]"#).unwrap();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#"["read","review"]"#);
        for special in ["public", "signed", "logged_in", "enter", "nothing"] {
            assert!(serde_json::from_str::<Permissions>(&format!(r#"["{special}"]"#)).is_err(), "{special}");
        }
    }
}
