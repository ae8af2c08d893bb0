//! Agents that connect: whose key it is, and whether its holder may take work.

use tokio::sync::mpsc;

use crate::{
    actors::peers::{Connected, Hello, Told},
    domain::{ids::AgentId, permission::Permission, principal::Principal},
    persistence::queries::{self, Scope},
};

use super::{
    Api, Caller, Identity,
    limits::Class,
    problem::{self, Problem},
};

impl Api {
    /// Lets one of an agent's servers in that has connected with a key of the agent's.
    #[tracing::instrument(name = "api.connect_peer", skip_all, fields(who = %identity.principal))]
    pub async fn connect_peer(
        &self,
        identity: &Identity,
        hello: Hello,
    ) -> Result<(AgentId, Connected, mpsc::Receiver<Told>), Problem> {
        let forbidden = |why: &str| Problem::new(problem::FORBIDDEN, why);
        let Principal::Agent(agent) = identity.principal else {
            return Err(forbidden("only an agent can connect here: use a key of the agent's"));
        };
        let services = self.services();
        let context = services.context();
        let caller = Caller { identity: Some(identity.clone()), ..Caller::default() };
        let _pass = services.limits.admit_as(Class::Write, &caller, context.clock.now())?;
        let found = queries::access(&context.pool, Scope::Agent, agent.0, identity.viewer()).await?;
        let access =
            found.ok_or_else(|| forbidden("the agent is retired, or the key is not good for its workspace"))?;
        if !access.decision().may.contains(Permission::Work) {
            return Err(forbidden("the key is not good for `work`"));
        }
        let workspace = services.directory.workspace(access.workspace).await?;
        let (connected, frames) = workspace.connect(agent, hello).await?;
        Ok((agent, connected, frames))
    }
}
