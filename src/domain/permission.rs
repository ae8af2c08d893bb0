//! Who may do what: one pure function over one table.

use serde::{Deserialize, Serialize};

use super::workspace::Role;

/// What an operation needs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Anyone, even without a token.
    Public,
    /// Anyone with a token, about themselves.
    Signed,
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

/// Tells whether a member of this role may do it.
pub fn allows(role: Role, permission: Permission) -> bool {
    use Permission as P;
    match permission {
        P::Public | P::Signed | P::Read => true,
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
        let all = [
            P::Public,
            P::Signed,
            P::Read,
            P::Converse,
            P::Work,
            P::Delegate,
            P::Review,
            P::ManageAgents,
            P::ManageMembers,
        ];
        for permission in all {
            for pair in [Role::Guest, Role::Member, Role::Admin, Role::Owner].windows(2) {
                assert!(allows(pair[1], permission) || !allows(pair[0], permission), "{permission:?}");
            }
        }
        assert!(!allows(Role::Guest, P::Work));
        assert!(!allows(Role::Member, P::ManageMembers));
    }
}
