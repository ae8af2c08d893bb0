//! Agents whose servers connect by themselves.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::domain::{
    agent::{Agent, AgentCommand, INSTANCES_MAX, RuntimeKind},
    event::AgentEvent,
    ids::{AgentId, InstanceId},
    rejection::Rejection,
    text::{Label, Title},
};

fn agent(runtime: RuntimeKind) -> Agent {
    let mut agent = Agent::default();
    let (name, skills) = (Title::fitted("Helper"), BTreeSet::new());
    run(&mut agent, AgentCommand::Register { name, runtime, skills, max_concurrency: 4, instances: vec![] }).unwrap();
    agent
}

fn run(agent: &mut Agent, command: AgentCommand) -> Result<Vec<AgentEvent>, Rejection> {
    let events = agent.decide(AgentId(Uuid::from_u128(1)), command)?;
    events.iter().for_each(|event| agent.apply(event));
    Ok(events)
}

fn connect(id: u128, name: &str, slots: u32) -> AgentCommand {
    let (id, boot) = (InstanceId(Uuid::from_u128(id)), format!("boot {id}"));
    AgentCommand::Connect { id, name: Label::fitted(name), slots, skills: [Label::fitted("soup")].into(), boot }
}

fn connected(events: &[AgentEvent]) -> (usize, InstanceId, u32) {
    match events.last() {
        Some(AgentEvent::InstanceConnected { instance, slots, .. }) => (events.len(), *instance, *slots),
        other => panic!("not connected: {other:?}"),
    }
}

#[test]
fn the_same_name_again_is_the_same_instance_with_what_it_has_now() {
    let mut agent = agent(RuntimeKind::Peer);
    let [first, second] = [1, 2].map(|id| InstanceId(Uuid::from_u128(id)));
    assert_eq!(connected(&run(&mut agent, connect(1, "one", 2)).unwrap()), (2, first, 2));
    assert_eq!(connected(&run(&mut agent, connect(2, "two", 1)).unwrap()), (2, second, 1));
    assert_eq!(connected(&run(&mut agent, connect(3, "one", 5)).unwrap()), (1, first, 5));
    run(&mut agent, AgentCommand::RemoveInstance(first)).unwrap();
    let third = InstanceId(Uuid::from_u128(4));
    assert_eq!(connected(&run(&mut agent, connect(4, "one", 1)).unwrap()), (2, third, 1), "a removed one is gone");
}

#[test]
fn whoever_is_connected_is_well_until_a_probe_says_otherwise() {
    let mut agent = agent(RuntimeKind::Peer);
    run(&mut agent, connect(1, "one", 1)).unwrap();
    let instance = InstanceId(Uuid::from_u128(1));
    let probed = |healthy, boot: Option<&str>| {
        let (boot, cause) = (boot.map(str::to_owned), None);
        AgentCommand::Probed { instance, healthy, boot, cause }
    };
    assert_eq!(run(&mut agent, probed(true, Some("boot 1"))), Ok(vec![]));
    assert_eq!(run(&mut agent, probed(false, None)).map(|events| events.len()), Ok(1));
    assert_eq!(connected(&run(&mut agent, connect(9, "one", 1)).unwrap()), (1, instance, 1));
    assert_eq!(run(&mut agent, probed(false, None)).map(|events| events.len()), Ok(1), "it was well again");
}

#[test]
fn only_a_peer_connects_within_bounds_and_its_servers_are_not_added_by_hand() {
    let mut called = agent(RuntimeKind::Penguin);
    assert!(matches!(run(&mut called, connect(1, "one", 1)), Err(Rejection::Forbidden(_))));
    let mut peer = agent(RuntimeKind::Peer);
    for slots in [0, 65, u32::MAX] {
        assert!(matches!(run(&mut peer, connect(1, "one", slots)), Err(Rejection::Invalid { path: "capacity", .. })));
    }
    for id in 0..INSTANCES_MAX as u128 {
        run(&mut peer, connect(id + 1, &format!("n{id}"), 1)).unwrap();
    }
    assert!(matches!(run(&mut peer, connect(999, "one more", 1)), Err(Rejection::Invalid { path: "instances", .. })));
    assert!(run(&mut peer, connect(999, "n0", 1)).is_ok(), "a known one comes back");
}
