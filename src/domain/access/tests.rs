//! Every case of the decision, against the rule in its plainest words.

use uuid::Uuid;

use super::*;
use crate::domain::{ids::*, workspace::Role};

fn id<T: From<Uuid>>(n: u128) -> T {
    Uuid::from_u128(n).into()
}

const PROJECT: u128 = 10;
const TASK: u128 = 11;
const CONVERSATION: u128 = 12;

fn chain_of_a_conversation() -> [Subject; 3] {
    [Subject::Conversation(id(CONVERSATION)), Subject::Task(id(TASK)), Subject::Project(id(PROJECT))]
}

fn grant(subject: Subject, effect: Effect, permission: Permission) -> Grant {
    let grant = Uuid::from_u128(subject.id().as_u128() * 100 + effect as u128 * 50 + permission as u128);
    Grant { id: grant.into(), subject, principal: Principal::User(id(1)), effect, permissions: permission.into() }
}

/// Nothing, an allow, a deny, or both.
const STANDS: [&[Effect]; 4] = [&[], &[Effect::Allow], &[Effect::Deny], &[Effect::Allow, Effect::Deny]];

fn roles() -> Vec<Permissions> {
    let built_in = [Role::Guest, Role::Member, Role::Admin, Role::Owner].map(Role::permissions);
    let single = Permissions::IN_ROLES.iter().map(Permissions::from);
    built_in.into_iter().chain(single).chain([Permissions::NONE, Permissions::OF_AGENTS]).collect()
}

fn scopes() -> Vec<Permissions> {
    let single = Permission::EVERY.map(Permissions::from);
    single.into_iter().chain([Permissions::ALL, Permissions::NONE, Role::Guest.permissions()]).collect()
}

/// The rule, one permission at a time.
fn expected(role: Permissions, scopes: Permissions, grants: &[Grant], asked: Permission) -> (bool, bool) {
    let any = |effect, permission| {
        grants.iter().any(|grant| grant.effect == effect && grant.permissions.contains(permission))
    };
    let holds = |permission| {
        let given = role.contains(permission) || any(Effect::Allow, permission);
        given && !any(Effect::Deny, permission)
    };
    let visible = holds(Permission::Read);
    (visible, visible && holds(asked) && (scopes.contains(asked) || asked == Permission::Enter))
}

#[test]
fn every_role_with_every_grant_on_every_level_and_every_scope_is_decided_by_the_rule() {
    let (mut cases, mut seen) = (0, 0);
    for role in roles() {
        for scopes in scopes() {
            let standing = Standing { role, scopes };
            for granted in Permissions::ON_THINGS.iter() {
                for stands in 0..STANDS.len().pow(3) {
                    let mut grants = vec![];
                    for (level, subject) in chain_of_a_conversation().into_iter().enumerate() {
                        let stand = STANDS[stands / STANDS.len().pow(level as u32) % STANDS.len()];
                        grants.extend(stand.iter().map(|effect| grant(subject, *effect, granted)));
                    }
                    let decision = decide(standing, Place::Thing(&grants));
                    for asked in Permission::EVERY {
                        let (visible, may) = expected(role, scopes, &grants, asked);
                        assert_eq!(decision.visible, visible, "{standing:?} {grants:?}");
                        assert_eq!(decision.may.contains(asked), may, "{asked:?} {standing:?} {grants:?}");
                        let verdict = decision.verdict(asked);
                        let right = match (visible, may) {
                            (false, _) => Verdict::Hidden,
                            (true, true) => Verdict::Granted,
                            (true, false) => Verdict::Forbidden,
                        };
                        assert_eq!(verdict, right);
                        let (reason, _) = explain(standing, Place::Thing(&grants), asked);
                        assert_eq!(matches!(reason, Reason::Role | Reason::Allowed), may, "{reason:?} {asked:?}");
                        cases += 1;
                        seen += usize::from(may);
                    }
                }
            }
        }
    }
    println!("{cases} cases decided, {seen} of them granted");
    assert_eq!(cases, roles().len() * scopes().len() * 5 * 64 * Permission::EVERY.len());
}

#[test]
fn a_denial_wins_wherever_it_stands_and_a_denied_read_leaves_nothing() {
    let standing = Standing { role: Role::Owner.permissions(), scopes: Permissions::ALL };
    for subject in chain_of_a_conversation() {
        for permission in Permissions::ON_THINGS.iter() {
            let both = chain_of_a_conversation().map(|other| grant(other, Effect::Allow, permission));
            let grants = [both.as_slice(), &[grant(subject, Effect::Deny, permission)]].concat();
            assert!(!decide(standing, Place::Thing(&grants)).may.contains(permission));
        }
        let denied = [grant(subject, Effect::Deny, Permission::Read)];
        let decision = decide(standing, Place::Thing(&denied));
        assert_eq!(decision, Decision { visible: false, may: Permissions::NONE });
        let reason = explain(standing, Place::Thing(&denied), Permission::Work);
        assert_eq!(reason, (Reason::Denied, Some(denied[0].id)));
    }
}

#[test]
fn in_the_workspace_itself_the_role_decides_and_every_member_may_enter() {
    for role in roles() {
        for scopes in scopes() {
            let decision = decide(Standing { role, scopes }, Place::Workspace);
            assert!(decision.visible && decision.may.contains(Permission::Enter));
            for permission in Permission::EVERY.into_iter().filter(|permission| *permission != Permission::Enter) {
                let may = role.contains(permission) && scopes.contains(permission);
                assert_eq!(decision.may.contains(permission), may);
            }
        }
    }
}

fn rights(role: Permissions, grants: Vec<Grant>) -> Rights {
    Rights { who: Principal::User(id(1)), standing: Standing { role, scopes: Permissions::ALL }, grants }
}

#[test]
fn a_grant_counts_below_what_it_is_on_and_nowhere_else() {
    let [conversation, task, project] = chain_of_a_conversation();
    let other = Subject::Task(id(99));
    let only = rights(Permissions::NONE, vec![grant(task, Effect::Allow, Permission::Read)]);
    assert!(only.see_thing(task, &[project]));
    assert!(only.see_thing(conversation, &[task, project]));
    assert!(!only.see_thing(project, &[]) && !only.see_thing(other, &[project]));
    assert!(only.see_thing(Subject::Session(id(5)), &[task, project]));
    assert!(!only.see_thing(Subject::Agent(id(7)), &[]));

    let but = rights(Role::Owner.permissions(), vec![grant(project, Effect::Deny, Permission::Read)]);
    assert!(!but.see_thing(project, &[]) && !but.see_thing(task, &[project]));
    assert!(but.see_thing(other, &[Subject::Project(id(98))]) && but.see_thing(Subject::Agent(id(7)), &[]));
}

#[test]
fn where_it_is_not_known_what_something_belongs_to_every_denial_counts_and_no_allowance() {
    let [conversation, task, project] = chain_of_a_conversation();
    let session = Subject::Session(id(5));
    let denied = rights(Role::Owner.permissions(), vec![grant(project, Effect::Deny, Permission::Read)]);
    assert!(!denied.see_thing(session, &[]) && !denied.see_thing(conversation, &[task]));
    let allowed = rights(Permissions::NONE, vec![grant(task, Effect::Allow, Permission::Read)]);
    assert!(!allowed.see_thing(session, &[]) && !allowed.see_thing(conversation, &[task]));
    assert!(rights(Role::Guest.permissions(), vec![]).see_thing(session, &[]));
}
