//! Work for a team goes to one of it, by the team's own rule, and never waits for somebody who is not there.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use crate::domain::{
    access::{Effect, Grant},
    agent::{AgentCommand, Availability, NewInstance},
    event::{Event, TaskEvent, WorkspaceEvent},
    ids::{AgentId, DelegationId, GrantId, InstanceId, Subject, TaskId, TeamId, WorkspaceId},
    model::Command,
    permission::Permission,
    principal::{Principal, Service},
    rejection::Rejection,
    routing::{Bulkheads, Filter, Hold},
    task::{NewDelegation, Review, TaskChange, TaskCommand, Terms},
    text::{Label, Prose},
    workspace::{AccessCommand, NewTeam, Role, TeamChange, TeamCommand, TeamPolicy, WorkspaceCommand},
};

use super::{
    ledger::{Ledger, Phase},
    plan::{person, plans, play, title},
    plan_work::{skills, task_ask},
    scene::{Done, Scene, user},
    tries,
    world::Ask,
};

/// Whether an agent is in the team, what it wants, and what it is good at.
type Hired = (bool, Availability, usize);

fn staff() -> impl Strategy<Value = Vec<Hired>> {
    use Availability as A;
    let wants = prop::sample::select(vec![A::Active, A::Active, A::Active, A::Paused, A::Draining, A::Retired]);
    vec((any::<bool>(), wants, 0..4usize), 1..7)
}

proptest! {
    #![proptest_config(tries(120))]

    #[test]
    fn work_for_a_team_goes_to_an_agent_of_it_and_waits_for_nobody_who_is_gone(plan in plans(220)) {
        let world = play(&plan, |world| {
            let takes = |who: &Principal| match who {
                Principal::Agent(agent) => {
                    matches!(world.ledger.agents[agent].availability, Availability::Active | Availability::Paused)
                }
                _ => false,
            };
            for known in world.ledger.delegations.values().filter(|known| known.phase == Phase::Queued) {
                if let Some(team) = known.team {
                    let members = world.ledger.teams.get(&team).expect("nothing waits for a team that is no more");
                    assert!(members.iter().any(takes), "nobody of the team takes work, and nobody is asked");
                }
            }
        });
        let mut ledger = Ledger::default();
        for entry in &world.log {
            if let Event::Task(TaskEvent::AttemptStarted { delegation, agent, route, .. }) = &entry.fact.event
                && let Some(team) = ledger.delegations[delegation].team
            {
                prop_assert!(ledger.teams[&team].contains(&Principal::Agent(*agent)));
                prop_assert!(route.team.is_none_or(|told| told == team));
            }
            ledger.fold(entry);
        }
    }

    #[test]
    fn skills_and_who_is_there_come_before_the_policy_and_whoever_can_gets_it(
        staff in staff(),
        policy in prop::sample::select(vec![TeamPolicy::Learned, TeamPolicy::RoundRobin, TeamPolicy::Leader]),
        wanted in 0..4usize,
        lead in 0..6usize,
    ) {
        let mut scene = Scene::new();
        let hired: Vec<(AgentId, Hired)> =
            staff.iter().enumerate().map(|(n, it)| (hire(&mut scene, &format!("{n}"), it.2), *it)).collect();
        let team: Vec<Principal> =
            hired.iter().filter(|(_, it)| it.0).map(|(agent, _)| Principal::Agent(*agent)).collect();
        prop_assume!(!team.is_empty());
        let lead = team[lead % team.len()];
        let team = form(&mut scene, &team, Some(lead), policy);
        for (agent, (_, wants, _)) in &hired {
            want(&mut scene, *agent, *wants);
        }
        let task = scene.task();
        let needs: BTreeSet<Label> = skills(wanted).collect();
        let taken = delegate_skilled(&mut scene, task, Some(team), &needs);
        let works = |wants: Availability| matches!(wants, Availability::Active | Availability::Paused);
        let able = |has: usize| needs.is_subset(&skills(has).collect());
        let own: Vec<_> = hired.iter().filter(|(_, it)| it.0).collect();
        let Ok(delegation) = taken else {
            prop_assert!(!own.iter().any(|(_, it)| works(it.1)), "{taken:?}");
            return Ok(());
        };
        let leads = own.iter().find(|(agent, it)| {
            policy == TeamPolicy::Leader && Principal::Agent(*agent) == lead && works(it.1) && able(it.2)
        });
        let could: BTreeSet<AgentId> = own
            .iter()
            .filter(|(agent, it)| {
                it.1 == Availability::Active && able(it.2) && leads.is_none_or(|leads| leads.0 == *agent)
            })
            .map(|(agent, _)| *agent)
            .collect();
        match handed_out(&mut scene).as_slice() {
            [] => {
                prop_assert!(could.is_empty(), "somebody could have done it");
                let held = scene.world.workspace.schedule().held(delegation, scene.world.now, Bulkheads::default());
                let held = held.expect("it waits");
                let listed: BTreeSet<AgentId> = held.filtered.iter().map(|left| left.agent).collect();
                let spoken = own.iter().filter(|(agent, it)| leads.is_none_or(|leads| leads.0 == *agent) || it.1 == Availability::Retired);
                prop_assert_eq!(listed, spoken.map(|(agent, _)| *agent).collect::<BTreeSet<_>>(), "it says why not, of each");
            }
            [agent] => prop_assert!(could.contains(agent)),
            more => prop_assert!(false, "one delegation, and {more:?}"),
        }
    }

    #[test]
    fn taking_turns_gives_nobody_two_more_than_another(staff in staff(), tasks in 1..16usize, looks in 1..4usize) {
        let mut scene = Scene::new();
        let members: Vec<Principal> = staff
            .iter()
            .enumerate()
            .map(|(n, _)| Principal::Agent(hire(&mut scene, &format!("{n}"), 0)))
            .collect();
        let team = form(&mut scene, &members, None, TeamPolicy::RoundRobin);
        let mut got = BTreeMap::<AgentId, usize>::new();
        for some in (0..tasks).collect::<Vec<_>>().chunks(looks) {
            for _ in some {
                let task = scene.task();
                delegate(&mut scene, task, Some(team)).unwrap();
            }
            handed_out(&mut scene).into_iter().for_each(|agent| *got.entry(agent).or_default() += 1);
        }
        prop_assert_eq!(got.values().sum::<usize>(), tasks);
        let most = got.values().max().copied().unwrap_or(0);
        prop_assert!(members.len() * most < tasks + members.len(), "{got:?}");
    }
}

/// Registers an agent with a free instance.
fn hire(scene: &mut Scene, name: &str, good_at: usize) -> AgentId {
    let id = AgentId(scene.world.fresh());
    let instance = InstanceId(scene.world.fresh());
    let instances = vec![NewInstance { id: instance, url: "x".into(), model: None, slots: 20, turns_max: 9 }];
    let (name, runtime, skills) = (title(name), Default::default(), skills(good_at).collect());
    let command = AgentCommand::Register { name, runtime, skills, max_concurrency: 20, instances };
    scene.world.run(Ask { subject: Subject::Agent(id), by: user(0), command: Command::Agent(command) }).unwrap();
    id
}

fn manage(scene: &mut Scene, by: usize, command: WorkspaceCommand) -> Done {
    let subject = Subject::Workspace(WorkspaceId(uuid::Uuid::from_u128(1)));
    scene.world.run(Ask { subject, by: user(by), command: Command::Workspace(command) })
}

fn change(scene: &mut Scene, team: TeamId, change: TeamChange) -> Done {
    manage(scene, 0, WorkspaceCommand::Teams(TeamCommand::Update { team, change }))
}

fn form(scene: &mut Scene, members: &[Principal], lead: Option<Principal>, policy: TeamPolicy) -> TeamId {
    let id = TeamId(scene.world.fresh());
    let members: BTreeSet<Principal> = members.iter().copied().collect();
    let new = NewTeam { id, name: title(id.to_string()), members, lead, policy };
    manage(scene, 0, WorkspaceCommand::Teams(TeamCommand::Form(new))).unwrap();
    id
}

fn delegate(scene: &mut Scene, task: TaskId, team: Option<TeamId>) -> Result<DelegationId, Rejection> {
    delegate_skilled(scene, task, team, &BTreeSet::new())
}

fn delegate_skilled(
    scene: &mut Scene,
    task: TaskId,
    team: Option<TeamId>,
    skills: &BTreeSet<Label>,
) -> Result<DelegationId, Rejection> {
    let (id, review) = (DelegationId(scene.world.fresh()), Review::default());
    let terms = Terms { skills: skills.clone(), ..Terms::default() };
    let new = NewDelegation { id, agent: None, team, instructions: Prose::default(), review, terms };
    scene.run(task, 0, TaskCommand::Delegate(new)).map(|_| id)
}

fn want(scene: &mut Scene, agent: AgentId, wanted: Availability) {
    let command = Command::Agent(AgentCommand::Want(wanted));
    scene.world.run(Ask { subject: Subject::Agent(agent), by: user(0), command }).unwrap();
}

/// Hands everything out that can be, and says to whom.
fn handed_out(scene: &mut Scene) -> Vec<AgentId> {
    scene.world.pass(60_000);
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    let mut to = vec![];
    for offer in agenda.dispatch {
        let attempt = scene.world.fresh().into();
        let (delegation, agent, instance, route) = (offer.delegation, offer.agent, offer.instance, offer.route);
        let command = TaskCommand::Dispatch { delegation, attempt, agent, instance, route };
        scene.world.run(task_ask(offer.task, Principal::Service(Service::Conductor), command)).unwrap();
        to.push(agent);
    }
    to
}

#[test]
fn a_team_takes_turns_and_passes_over_who_is_not_there() {
    let mut scene = Scene::new();
    let agents: Vec<AgentId> = ["a", "b", "c"].iter().map(|name| hire(&mut scene, name, 0)).collect();
    let members: Vec<Principal> = agents.iter().map(|agent| Principal::Agent(*agent)).collect();
    let team = form(&mut scene, &members, None, TeamPolicy::RoundRobin);
    let order: Vec<AgentId> = agents.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let tasks: Vec<TaskId> = (0..4).map(|_| scene.task()).collect();
    for task in tasks {
        delegate(&mut scene, task, Some(team)).unwrap();
    }
    assert_eq!(handed_out(&mut scene), [order[0], order[1], order[2], order[0]], "also within one look");
    want(&mut scene, order[1], Availability::Retired);
    let task = scene.task();
    delegate(&mut scene, task, Some(team)).unwrap();
    let agenda = scene.world.workspace.schedule().agenda(scene.world.now, 7, Bulkheads::default());
    let route = &agenda.dispatch[0].route;
    assert_eq!((agenda.dispatch[0].agent, route.team), (order[2], Some(team)));
    let filtered = &route.decision.as_ref().expect("it says why").filtered;
    assert!(filtered.iter().any(|left| left.agent == order[1] && left.why == Filter::Retired), "{filtered:?}");
}

#[test]
fn a_lead_that_is_an_agent_does_the_work_until_it_leaves_or_lacks_what_is_needed() {
    let mut scene = Scene::new();
    let (lead, other) = (hire(&mut scene, "lead", 1), hire(&mut scene, "other", 3));
    let members = [Principal::Agent(lead), Principal::Agent(other)];
    let team = form(&mut scene, &members, Some(members[0]), TeamPolicy::Leader);
    for (needs, wanted) in [(0, lead), (1, lead), (2, other)] {
        let task = scene.task();
        delegate_skilled(&mut scene, task, Some(team), &skills(needs).collect()).unwrap();
        assert_eq!(handed_out(&mut scene), [wanted]);
    }
    want(&mut scene, lead, Availability::Paused);
    let task = scene.task();
    let waiting = delegate(&mut scene, task, Some(team)).unwrap();
    assert_eq!(handed_out(&mut scene), [], "it waits for the lead");
    want(&mut scene, lead, Availability::Draining);
    assert_eq!(handed_out(&mut scene), [other]);
    assert_eq!(scene.phase(waiting), Phase::Dispatching);
    want(&mut scene, other, Availability::Paused);
    let task = scene.task();
    let waiting = delegate(&mut scene, task, Some(team)).unwrap();
    want(&mut scene, other, Availability::Retired);
    assert_eq!(scene.phase(waiting), Phase::Escalated, "nobody is left");
    let task = scene.task();
    assert!(matches!(delegate(&mut scene, task, Some(team)), Err(Rejection::Busy(_))));
    let none = TeamId(scene.world.fresh());
    assert_eq!(delegate(&mut scene, task, Some(none)), Err(Rejection::NotFound("team")));
}

#[test]
fn a_lead_who_is_a_person_is_asked_who_does_it_and_may_leave_it_to_link() {
    let mut scene = Scene::new();
    let agent = scene.agent;
    let team = form(&mut scene, &[user(1), Principal::Agent(agent)], Some(user(1)), TeamPolicy::Leader);
    let delegated = |scene: &mut Scene| {
        let task = scene.task();
        // Assigned to the team, it is for the team.
        let assignee = Some(Some(Principal::Team(team)));
        scene.run(task, 0, TaskCommand::Update(TaskChange { assignee, ..Default::default() })).unwrap();
        let delegation = delegate(scene, task, None).unwrap();
        assert_eq!(scene.phase(delegation), Phase::Escalated);
        (task, delegation)
    };
    let (task, delegation) = delegated(&mut scene);
    let asked = scene.world.log.iter().rev().find_map(|entry| match &entry.fact.event {
        Event::Task(TaskEvent::DelegationEscalated { owner, .. }) => *owner,
        _ => None,
    });
    assert_eq!(asked, Some(user(1)));
    scene.run(task, 1, TaskCommand::Reassign { delegation, agent }).unwrap();
    assert_eq!(handed_out(&mut scene), [agent]);
    let (task, delegation) = delegated(&mut scene);
    scene.run(task, 1, TaskCommand::Resume(delegation)).unwrap();
    assert_eq!(handed_out(&mut scene), [agent], "of the team, whoever can");
    // Who has left the workspace is not asked.
    manage(&mut scene, 0, WorkspaceCommand::RemoveMember(person(1))).unwrap();
    let task = scene.task();
    let delegation = delegate(&mut scene, task, Some(team)).unwrap();
    assert_eq!(scene.phase(delegation), Phase::Queued);
}

#[test]
fn of_a_team_that_is_dissolved_what_runs_goes_on_and_what_waits_a_person_decides() {
    let mut scene = Scene::new();
    let member = hire(&mut scene, "member", 0);
    let team = form(&mut scene, &[Principal::Agent(member)], None, TeamPolicy::Learned);
    let (runs, waits) = (scene.task(), scene.task());
    let running = delegate(&mut scene, runs, Some(team)).unwrap();
    assert_eq!(handed_out(&mut scene), [member]);
    want(&mut scene, member, Availability::Paused);
    let waiting = delegate(&mut scene, waits, Some(team)).unwrap();
    let subject = Subject::Task(waits);
    let (id, principal, permissions) = (GrantId(scene.world.fresh()), Principal::Team(team), Permission::Work.into());
    let grant = Grant { id, subject, principal, effect: Effect::Allow, permissions };
    manage(&mut scene, 0, WorkspaceCommand::Access(AccessCommand::SetGrant(grant))).unwrap();
    let done = manage(&mut scene, 0, WorkspaceCommand::Teams(TeamCommand::Dissolve(team))).unwrap();
    let gone = Event::Workspace(WorkspaceEvent::GrantRemoved { grant: id, subject, principal, effect: Effect::Allow });
    assert!(done.iter().any(|known| known.fact.event == gone), "what was granted to it goes with it");
    assert_eq!((scene.phase(running), scene.phase(waiting)), (Phase::Dispatching, Phase::Escalated));
    assert!(matches!(scene.run(waits, 0, TaskCommand::Resume(waiting)), Err(Rejection::NotFound("team"))));
    want(&mut scene, member, Availability::Active);
    scene.run(waits, 0, TaskCommand::Reassign { delegation: waiting, agent: member }).unwrap();
    assert_eq!(handed_out(&mut scene), [member]);
    let again = manage(&mut scene, 0, WorkspaceCommand::Teams(TeamCommand::Dissolve(team)));
    assert_eq!(again.unwrap_err(), Rejection::NotFound("team"));
}

#[test]
fn a_team_is_sound_and_who_manages_members_gets_nothing_by_it() {
    let mut scene = Scene::new();
    let (one, outside) = (hire(&mut scene, "one", 0), hire(&mut scene, "outside", 0));
    let team = form(&mut scene, &[Principal::Agent(one)], None, TeamPolicy::Learned);
    let none = AgentId(scene.world.fresh());
    let lead = |agent| Some(Some(Principal::Agent(agent)));
    let only = |who: Principal| Some([who].into());
    for wrong in [
        TeamChange { policy: Some(TeamPolicy::Leader), ..Default::default() },
        TeamChange { lead: lead(outside), ..Default::default() },
        TeamChange { members: only(Principal::Team(team)), ..Default::default() },
    ] {
        assert!(matches!(change(&mut scene, team, wrong), Err(Rejection::Busy(_))));
    }
    let unknown = TeamChange { members: only(Principal::Agent(none)), ..Default::default() };
    assert_eq!(change(&mut scene, team, unknown).unwrap_err(), Rejection::NotFound("agent"));
    change(&mut scene, team, TeamChange { members: only(Principal::Agent(outside)), ..Default::default() }).unwrap();
    let task = scene.task();
    delegate(&mut scene, task, Some(team)).unwrap();
    assert_eq!(handed_out(&mut scene), [outside]);
    // What the team was granted, nobody gives themselves by coming in.
    let role = Role::Admin.into();
    manage(&mut scene, 0, WorkspaceCommand::UpdateMember { user: person(1), role }).unwrap();
    let (id, principal) = (GrantId(scene.world.fresh()), Principal::Team(team));
    let (subject, permissions) = (Subject::Task(task), Permission::Review.into());
    let grant = Grant { id, subject, principal, effect: Effect::Allow, permissions };
    manage(&mut scene, 0, WorkspaceCommand::Access(AccessCommand::SetGrant(grant))).unwrap();
    let in_it = TeamChange { members: only(user(1)), ..Default::default() };
    let update = TeamCommand::Update { team, change: in_it };
    let done = manage(&mut scene, 1, WorkspaceCommand::Teams(update));
    assert!(matches!(done, Err(Rejection::Forbidden(_))), "{done:?}");
}

#[test]
fn nobody_of_a_team_who_has_the_skill_is_what_it_says() {
    let mut scene = Scene::new();
    let (one, _) = (hire(&mut scene, "one", 1), hire(&mut scene, "outside", 3));
    let team = form(&mut scene, &[Principal::Agent(one)], None, TeamPolicy::RoundRobin);
    let task = scene.task();
    let delegation = delegate_skilled(&mut scene, task, Some(team), &skills(3).collect()).unwrap();
    assert_eq!(handed_out(&mut scene), []);
    let held = scene.world.workspace.schedule().held(delegation, scene.world.now, Bulkheads::default()).unwrap();
    assert_eq!(held.why, Hold::NoSkill);
    assert!(held.reason.ends_with(": sewing"), "{}", held.reason);
}
