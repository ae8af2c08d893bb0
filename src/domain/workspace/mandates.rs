//! Rights to decide that people gave to agents: who has which, how often it was used, and whether it is good for what is
//! to be decided now. What the giver may do is asked anew each time: a right that they have lost is worth nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Workspace;
use crate::domain::{
    event::WorkspaceEvent,
    ids::{AgentId, RightId, Subject, TaskId, UserId},
    permission::Permission,
    principal::Principal,
    rejection::Rejection,
    right::{Decides, Right, Stakes},
};

/// Rights of one workspace that were not revoked.
pub const RIGHTS_MAX: usize = 1_000;

/// What can be asked about rights to decide.
#[derive(Clone, Debug)]
pub enum RightCommand {
    /// Let an agent decide.
    Give(Right),
    /// No longer let it.
    Revoke(RightId),
}

/// A right, and how often it was used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mandate {
    right: Right,
    uses: u32,
}

impl Workspace {
    pub(super) fn decide_right(&self, by: Principal, command: RightCommand) -> Result<Vec<WorkspaceEvent>, Rejection> {
        match command {
            RightCommand::Give(right) => {
                if by != Principal::User(right.grantor) {
                    return Err(Rejection::Forbidden(
                        "only a person lets an agent decide, and only on their own behalf",
                    ));
                }
                if !self.schedule.works(right.agent) {
                    return Err(Rejection::NotFound("agent"));
                }
                match right.subject {
                    Subject::Project(id) if self.projects.contains_key(&id) => {}
                    Subject::Task(id) if self.graph.knows(id) => {}
                    Subject::Project(_) => return Err(Rejection::NotFound("project")),
                    Subject::Task(_) => return Err(Rejection::NotFound("task")),
                    _ => {
                        let message = "a right is about a project or a task".into();
                        return Err(Rejection::Invalid { path: "subject", message });
                    }
                }
                let decision = self.decision(by, right.subject);
                if !decision.is_some_and(|decision| decision.visible) {
                    return Err(Rejection::NotFound("subject"));
                }
                if !right.decides.iter().all(|decides| self.may_decide(right.grantor, right.subject, *decides)) {
                    return Err(Rejection::Forbidden(
                        "nobody lets an agent decide what they may not decide there themselves",
                    ));
                }
                if self.mandates.len() >= RIGHTS_MAX {
                    return Err(Rejection::Busy("there are too many rights: revoke those that are used up or over"));
                }
                let Right { id: right, agent, grantor, subject, decides, cost_usd_max, risk_max, uses_max, expires_at } =
                    right;
                Ok(vec![WorkspaceEvent::RightGiven {
                    right,
                    agent,
                    grantor,
                    subject,
                    decides,
                    cost_usd_max,
                    risk_max,
                    uses_max,
                    expires_at,
                }])
            }
            RightCommand::Revoke(id) => {
                let Right { agent, grantor, .. } = self.mandates.get(&id).ok_or(Rejection::NotFound("right"))?.right;
                let manages = self.held(by).is_some_and(|held| held.contains(Permission::ManageAccess));
                if by != Principal::User(grantor) && !manages {
                    return Err(Rejection::Forbidden("only who gave the right, or who manages access, revokes it"));
                }
                Ok(vec![WorkspaceEvent::RightRevoked { right: id, agent, grantor }])
            }
        }
    }

    /// What somebody gave goes with them.
    pub(super) fn rights_given_by(&self, user: UserId) -> impl Iterator<Item = WorkspaceEvent> {
        let given = self.mandates.values().filter(move |mandate| mandate.right.grantor == user);
        given.map(|mandate| {
            let Right { id: right, agent, grantor, .. } = mandate.right;
            WorkspaceEvent::RightRevoked { right, agent, grantor }
        })
    }

    /// Refuses a decision that the right is not good for; returns the how manyth it is.
    pub(super) fn must_have_right(
        &self,
        at: DateTime<Utc>,
        task: TaskId,
        (id, agent, behalf): (RightId, AgentId, Principal),
        decides: Decides,
        stakes: Stakes,
    ) -> Result<u32, Rejection> {
        const NONE: Rejection = Rejection::NotFound("right");
        let Mandate { right, uses } = self.mandates.get(&id).ok_or(NONE)?;
        if right.agent != agent || Principal::User(right.grantor) != behalf {
            return Err(NONE);
        }
        if !self.schedule.works(agent) {
            return Err(Rejection::Forbidden("the agent takes no part any more"));
        }
        let here = match right.subject {
            Subject::Task(id) => id == task,
            Subject::Project(id) => self.graph.project_of(task) == Some(id),
            _ => false,
        };
        if !here {
            return Err(Rejection::Forbidden("the right is about something else"));
        }
        if at >= right.expires_at {
            return Err(Rejection::Forbidden("the right has expired"));
        }
        if *uses >= right.uses_max {
            return Err(Rejection::Forbidden("the right is used up"));
        }
        if let Some(why) = right.excludes(decides, stakes) {
            return Err(Rejection::Forbidden(why));
        }
        if !self.may_decide(right.grantor, Subject::Task(task), decides) {
            return Err(Rejection::Forbidden("whoever gave the right may not decide this themselves any more"));
        }
        Ok(uses + 1)
    }

    fn may_decide(&self, user: UserId, subject: Subject, decides: Decides) -> bool {
        let decision = self.decision(Principal::User(user), subject);
        decision.is_some_and(|decision| decision.may.contains(decides.needs()))
    }

    pub(super) fn apply_right(&mut self, event: &WorkspaceEvent) {
        match event {
            WorkspaceEvent::RightGiven {
                right,
                agent,
                grantor,
                subject,
                decides,
                cost_usd_max,
                risk_max,
                uses_max,
                expires_at,
            } => {
                let right = Right {
                    id: *right,
                    agent: *agent,
                    grantor: *grantor,
                    subject: *subject,
                    decides: decides.clone(),
                    cost_usd_max: *cost_usd_max,
                    risk_max: *risk_max,
                    uses_max: *uses_max,
                    expires_at: *expires_at,
                };
                self.mandates.insert(right.id, Mandate { right, uses: 0 });
            }
            WorkspaceEvent::RightRevoked { right, .. } => {
                self.mandates.remove(right);
            }
            _ => {}
        }
    }

    pub(super) fn used(&mut self, right: RightId, nth: u32) {
        if let Some(mandate) = self.mandates.get_mut(&right) {
            mandate.uses = nth;
        }
    }
}
