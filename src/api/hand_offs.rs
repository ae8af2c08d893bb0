//! `delegation`, continued: one agent hands its work to another.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    domain::{
        ids::{AgentId, DelegationId},
        permission::Permission as P,
        task::{HandOff, Reason, TaskCommand},
        text::Prose,
    },
    persistence::{queries::Scope, views::DelegationView},
};

use super::{
    call::Call,
    delegation::{Named, decide},
    problem::Problem,
    table::{Method, Operation},
};

const SCOPE: (Scope, &str) = (Scope::Delegation, "delegation_id");

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("delegation.hand_off", Method::Post, "/delegations/{delegation_id}/hand_off", hand_off)
            .needs(P::Delegate, SCOPE)
            .doc("Offers the work of the agent that is at it to another agent, which accepts or declines."),
        Operation::mutation(
            "delegation.accept_hand_off",
            Method::Post,
            "/delegations/{delegation_id}/accept_hand_off",
            |c, i: Named| answer_offer(c, i.delegation_id, HandOff::Accept(i.delegation_id)),
        )
        .needs(P::Work, SCOPE)
        .doc("Takes work that is offered to the calling agent; it goes on where the other one stopped."),
        Operation::mutation(
            "delegation.decline_hand_off",
            Method::Post,
            "/delegations/{delegation_id}/decline_hand_off",
            decline_hand_off,
        )
        .needs(P::Work, SCOPE)
        .doc("Declines work that is offered to the calling agent; the other one goes on."),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct OfferIn {
    delegation_id: DelegationId,
    /// The agent that shall go on with it.
    agent_id: AgentId,
    /// Why, and what the other agent should know.
    #[serde(default)]
    reason: Prose,
}

async fn hand_off(call: Call, input: OfferIn) -> Result<DelegationView, Problem> {
    let OfferIn { delegation_id: delegation, agent_id: to, reason } = input;
    answer_offer(call, delegation, HandOff::Offer { delegation, to, reason }).await
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeclineIn {
    delegation_id: DelegationId,
    /// Why not.
    #[serde(default)]
    reason: Reason,
}

async fn decline_hand_off(call: Call, input: DeclineIn) -> Result<DelegationView, Problem> {
    let DeclineIn { delegation_id: delegation, reason } = input;
    answer_offer(call, delegation, HandOff::Decline { delegation, reason }).await
}

async fn answer_offer(call: Call, id: DelegationId, command: HandOff) -> Result<DelegationView, Problem> {
    decide(&call, id, TaskCommand::HandOff(command)).await
}
