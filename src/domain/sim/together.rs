//! Several agents on one piece of work: they hand it on and split it, and some take what is not theirs. And what people
//! agree on beside the work: for whom it is, who approves it, and what becomes of questions that nobody answers.

use crate::domain::{
    ids::*,
    model::Command,
    principal::Principal,
    routing::Hold,
    task::{
        ChildPolicy, Expiry, FanOut, HandOff, Join, Lapse, NewDelegation, NewFanOut, Part, Reason, Review, Reviewers,
        TaskCommand, Terms, Verdict,
    },
    text::{Label, Prose, Text, Title},
    workspace::{NewTeam, Patience, Reminder, TeamCommand, TeamPolicy, WorkspaceCommand},
};

use super::{
    link::{Answer, Ask},
    people::Act,
    play::{CONDUCTOR, World},
    watch::BULKHEADS,
};

/// What two of the three agents are good at.
pub(super) const SKILL: &str = "rust";

impl World {
    /// The first two agents are a team.
    pub fn team_up(&mut self) {
        let id: TeamId = self.node.fresh();
        let lead = Some(Principal::User(self.people[0]));
        let policy = [TeamPolicy::Learned, TeamPolicy::RoundRobin, TeamPolicy::Leader][self.draws.below(3)];
        let members = self.agents[..2].iter().map(|agent| Principal::Agent(*agent)).chain(lead).collect();
        let new = NewTeam { id, name: Title::fitted("two"), members, lead, policy };
        let command = Command::Workspace(WorkspaceCommand::Teams(TeamCommand::Form(new)));
        let (subject, by) = (Subject::Workspace(self.node.id), Principal::User(self.people[0]));
        let answer = self.node.execute(0, &Ask { subject, by, command, key: None });
        assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
        self.team = Some(id);
    }

    pub fn any_agent(&mut self) -> AgentId {
        self.agents[self.draws.below(self.agents.len())]
    }

    /// Makes up a delegation.
    pub fn agreed(&mut self, id: DelegationId) -> NewDelegation {
        let named = self.happens_in(0.3).then(|| self.any_agent());
        let team = self.team.filter(|_| named.is_none() && self.draws.unit() < 0.25);
        let by = if self.happens_in(0.5) { Reviewers::Others } else { Reviewers::Anyone };
        let mut review = Review::by(self.draws.below(3) as u8, by);
        if self.happens_in(0.3) {
            let left_out = self.draws.below(self.people.len());
            let named = self.people.iter().enumerate().filter(|(nth, _)| *nth != left_out);
            review.approvers = named.map(|(_, user)| Principal::User(*user)).collect();
        }
        let then = match self.draws.below(3) {
            0 => Lapse::Deny,
            1 => Lapse::Escalate,
            _ => Lapse::Answer(serde_json::json!("as you like")),
        };
        let after_secs = self.between(60, 3_600);
        let expiry = self.happens_in(0.3).then_some(Expiry { after_secs, then });
        let skills = self.happens_in(0.2).then(|| Label::fitted(SKILL)).into_iter().collect();
        let terms = Terms { expiry, skills };
        NewDelegation { id, agent: named, team, instructions: Prose::fitted("please"), review, terms }
    }

    /// Now and then an agent at work, or a person, wants another agent to have it, or several.
    pub fn somebody_has_an_idea(&mut self, task: TaskId, delegation: DelegationId, agent: AgentId) {
        if self.calm.is_some() {
            return;
        }
        let own = Principal::Agent(agent);
        let person = self.somebody();
        let (by, command) = match self.draws.below(100) {
            0..=6 => (own, self.offer(delegation)),
            7 | 8 => (person, self.offer(delegation)),
            9..=11 => (own, self.split()),
            12 => (person, self.split()),
            _ => return,
        };
        let act = self.sent(task, by, command);
        self.soon(2_000, 60_000, act);
    }

    fn offer(&mut self, delegation: DelegationId) -> TaskCommand {
        let (to, reason) = (self.any_agent(), Prose::fitted("it is more your thing"));
        TaskCommand::HandOff(HandOff::Offer { delegation, to, reason })
    }

    fn split(&mut self) -> TaskCommand {
        let parts = (0..1 + self.draws.below(3)).map(|_| self.part()).collect();
        let join = [Join::All, Join::Any, Join::Quorum(2)][self.draws.below(3)];
        let policy = [ChildPolicy::Terminate, ChildPolicy::RequestCancel, ChildPolicy::Abandon][self.draws.below(3)];
        let review = Review::by(self.draws.below(2) as u8, Reviewers::Anyone);
        let wait = self.between(300_000, 7_200_000);
        let expires_at = self.happens_in(0.5).then(|| self.node.clock(self.now + wait));
        let id: FanOutId = self.node.fresh();
        TaskCommand::FanOut(FanOut::Open(NewFanOut { id, parts, join, policy, review, expires_at }))
    }

    fn part(&mut self) -> Part {
        let (task, delegation) = (self.node.fresh(), self.node.fresh());
        let agent = self.happens_in(0.3).then(|| self.any_agent());
        let (title, instructions) = (Title::fitted("part"), Text::fitted("a part of it"));
        Part { task, delegation, title, instructions, agent, team: None, claims: Default::default() }
    }

    /// Work is offered: whom it is offered to may say something itself, and others may try to.
    pub fn offered(&mut self, task: TaskId, delegation: DelegationId, to: AgentId) {
        let other = self.any_agent();
        if other != to && self.happens_in(0.2) {
            let accept = TaskCommand::HandOff(HandOff::Accept(delegation));
            let lie = self.sent(task, Principal::Agent(other), accept);
            self.soon(1, 5_000, Act { wrong: Some("I26"), twice: false, ..lie });
        }
        let answer = match self.draws.below(10) {
            0 | 1 => HandOff::Accept(delegation),
            2 | 3 => HandOff::Decline { delegation, reason: Reason::fitted("not mine") },
            _ => return,
        };
        let act = self.sent(task, Principal::Agent(to), TaskCommand::HandOff(answer));
        self.soon(1, 5_000, act);
    }

    /// Somebody who was not named approves.
    pub fn somebody_meddles(&mut self, task: TaskId, delegation: DelegationId, review: &Review) {
        let left_out =
            self.people.iter().map(|user| Principal::User(*user)).find(|who| !review.approvers.contains(who));
        let Some(who) = left_out.filter(|_| !review.approvers.is_empty()) else { return };
        if self.happens_in(0.2) {
            let (verdict, comment) = (Verdict::Approve, Prose::default());
            let lie = self.sent(task, who, TaskCommand::Review { delegation, verdict, comment });
            self.soon(500, 4_000, Act { wrong: Some("I10"), twice: false, ..lie });
        }
    }

    /// Nobody has the skills that the work requires, as whom it is for has not: somebody gives it to another agent.
    pub fn somebody_helps(&mut self, task: TaskId, delegation: DelegationId) {
        let held = self.node.workspace.schedule().held(delegation, self.node.clock(self.now), BULKHEADS);
        if held.is_some_and(|held| held.why == Hold::NoSkill) {
            let (by, agent) = (self.somebody(), self.agents[0]);
            let act = self.sent(task, by, TaskCommand::Reassign { delegation, agent });
            self.soon(1_000, 60_000, act);
        }
    }

    /// What time has brought, and what Link decides about tasks by itself.
    pub fn run_errands(&mut self) {
        let clock = self.node.clock(self.now);
        let seed = self.draws.word();
        let schedule = self.node.workspace.schedule();
        let errands = schedule.agenda(clock, seed, BULKHEADS).errands;
        let due = schedule.due(clock, &Patience::default());
        let mut words: Vec<(TaskId, TaskCommand)> =
            errands.into_iter().map(|errand| (errand.task, errand.chore.command())).collect();
        let expire = |(task, delegation, interrupt)| (task, TaskCommand::Expire { delegation, interrupt });
        words.extend(due.expired.into_iter().map(expire));
        words.extend(due.overdue.into_iter().filter_map(|(task, delegation)| {
            let reason = schedule.held(delegation, clock, BULKHEADS)?.reason;
            Some((task, TaskCommand::SayOverdue { delegation, reason }))
        }));
        let remind = |Reminder { task, delegation, interrupt, matter, nth }| {
            (task, TaskCommand::Remind { delegation, interrupt, matter, nth })
        };
        words.extend(due.reminders.into_iter().map(remind));
        for (task, command) in words {
            self.tell(&Ask::task(task, CONDUCTOR, command));
        }
    }
}
