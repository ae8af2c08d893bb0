//! A webhook: an endpoint outside that hears of a workspace's events. What is sent and when is not decided here.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    event::{Event, WebhookEvent},
    ids::{SealedId, Subject, WebhookId},
    rejection::Rejection,
    text::{Text, storable},
};

/// What a webhook is for.
pub type Description = Text<0, 500>;

/// The most webhooks of one workspace.
pub const WEBHOOKS_MAX: usize = 32;
/// The most patterns of one webhook.
pub const PATTERNS_MAX: usize = 64;
/// How long a secret signs beside the one that replaced it.
pub const FORMER_SIGNS_FOR: TimeDelta = TimeDelta::hours(24);
/// The longest reason that is kept.
const REASON_LENGTH_MAX: usize = 500;

/// Which events: `*`, `noun:*` or one type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

/// The text is no pattern of events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be `*`, `noun:*` or a type as in `task:created`; nouns are {}", Event::NOUNS.join(", "))]
pub struct NoPattern;

impl Pattern {
    /// Reads a pattern.
    pub fn new(text: impl Into<String>) -> Result<Self, NoPattern> {
        let text = text.into();
        let known = |noun: &str| Event::NOUNS.contains(&noun);
        let is_word =
            |verb: &str| (1..=64).contains(&verb.len()) && verb.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let good = match text.split_once(':') {
            None => text == "*",
            Some((noun, verb)) => known(noun) && (verb == "*" || is_word(verb)),
        };
        if good { Ok(Self(text)) } else { Err(NoPattern) }
    }

    /// The pattern of all events.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Tells whether an event of this type is meant.
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => kind.starts_with(beginning),
            None => kind == self.0,
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = NoPattern;
    fn try_from(text: String) -> Result<Self, NoPattern> {
        Self::new(text)
    }
}
impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}
impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl JsonSchema for Pattern {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Pattern".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`*`, `noun:*` or one type of event.",
            "pattern": format!("^(\\*|({}):(\\*|[a-z_]{{1,64}}))$", Event::NOUNS.join("|")),
            "examples": ["task:*"]
        })
    }
}

/// The state of a webhook.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Webhook {
    /// The secret that signs; there is one as long as the webhook exists.
    secret: Option<SealedId>,
    enabled: bool,
    was: bool,
}

/// What can be asked of a webhook.
#[derive(Clone, Debug)]
pub enum WebhookCommand {
    /// Make it.
    Create {
        /// Where it is, without path and query.
        origin: String,
        /// Names the sealed address.
        url: SealedId,
        /// Names the sealed secret.
        secret: SealedId,
        /// What it is for.
        description: Description,
        /// Which events it hears of.
        events: BTreeSet<Pattern>,
    },
    /// Change fields.
    Update {
        /// The new origin and sealed address.
        address: Option<(String, SealedId)>,
        /// The new description.
        description: Option<Description>,
        /// Which events it hears of.
        events: Option<BTreeSet<Pattern>>,
        /// Whether anything is sent.
        enabled: Option<bool>,
    },
    /// Let another secret sign.
    RotateSecret(SealedId),
    /// Send nothing more.
    Disable(String),
    /// Remove it.
    Delete,
}

impl Webhook {
    /// Decides a command.
    pub fn decide(
        &self,
        id: WebhookId,
        now: DateTime<Utc>,
        command: WebhookCommand,
    ) -> Result<Vec<WebhookEvent>, Rejection> {
        use WebhookCommand as C;
        let Some(secret) = self.secret else {
            return match command {
                C::Create { .. } if self.was => Err(Rejection::Exists(Subject::Webhook(id))),
                C::Create { origin, url, secret, description, events } => {
                    must_be_bounded(&events)?;
                    Ok(vec![WebhookEvent::Created { origin, url, secret, description, events }])
                }
                _ => Err(Rejection::NotFound("webhook")),
            };
        };
        match command {
            C::Create { .. } => Err(Rejection::Exists(Subject::Webhook(id))),
            C::Update { address, description, events, enabled } => {
                events.as_ref().map_or(Ok(()), must_be_bounded)?;
                let mut decided = vec![];
                if address.is_some() || description.is_some() || events.is_some() {
                    let (origin, url) = address.unzip();
                    decided.push(WebhookEvent::Updated { origin, url, description, events });
                }
                match enabled {
                    Some(true) if !self.enabled => decided.push(WebhookEvent::Enabled {}),
                    Some(false) if self.enabled => {
                        decided.push(WebhookEvent::Disabled { reason: "switched off by a person".into() });
                    }
                    _ => {}
                }
                Ok(decided)
            }
            C::RotateSecret(next) => Ok(vec![WebhookEvent::SecretRotated {
                secret: next,
                former: secret,
                former_until: now + FORMER_SIGNS_FOR,
            }]),
            C::Disable(_) if !self.enabled => Ok(vec![]),
            C::Disable(reason) => Ok(vec![WebhookEvent::Disabled { reason: storable(&reason, REASON_LENGTH_MAX) }]),
            C::Delete => Ok(vec![WebhookEvent::Deleted {}]),
        }
    }

    /// Changes the state.
    pub fn apply(&mut self, event: &WebhookEvent) {
        match event {
            WebhookEvent::Created { secret, .. } => {
                *self = Self { secret: Some(*secret), enabled: true, was: true };
            }
            WebhookEvent::Updated { .. } => {}
            WebhookEvent::SecretRotated { secret, .. } => self.secret = Some(*secret),
            WebhookEvent::Disabled { .. } => self.enabled = false,
            WebhookEvent::Enabled {} => self.enabled = true,
            WebhookEvent::Deleted {} => self.secret = None,
        }
    }
}

fn must_be_bounded(events: &BTreeSet<Pattern>) -> Result<(), Rejection> {
    if (1..=PATTERNS_MAX).contains(&events.len()) {
        return Ok(());
    }
    Err(Rejection::Invalid { path: "events", message: format!("must be 1 to {PATTERNS_MAX} patterns") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn sealed(n: u128) -> SealedId {
        SealedId(Uuid::from_u128(n))
    }

    fn webhook(events: &[WebhookEvent]) -> Webhook {
        let mut state = Webhook::default();
        events.iter().for_each(|event| state.apply(event));
        state
    }

    fn created() -> WebhookEvent {
        let (origin, events) = ("https://example.org".into(), [Pattern::any()].into());
        WebhookEvent::Created { origin, url: sealed(1), secret: sealed(2), description: Description::default(), events }
    }

    fn decide(state: &Webhook, command: WebhookCommand) -> Result<Vec<WebhookEvent>, Rejection> {
        state.decide(WebhookId(Uuid::from_u128(9)), NOW, command)
    }

    fn switch(enabled: bool) -> WebhookCommand {
        WebhookCommand::Update { address: None, description: None, events: None, enabled: Some(enabled) }
    }

    #[test]
    fn a_pattern_means_all_a_noun_or_one_type() {
        for good in ["*", "task:*", "task:created", "conversation:participant_added", "webhook:disabled"] {
            assert!(Pattern::new(good).is_ok(), "{good}");
        }
        for bad in ["", "**", "task", "task:", "task:**", "ghost:*", ":*", "task:Created", "*:created", "task:a b"] {
            assert_eq!(Pattern::new(bad), Err(NoPattern), "{bad}");
        }
        let matches = |pattern: &str, kind| Pattern::new(pattern).unwrap().matches(kind);
        assert!(matches("*", "task:created") && matches("task:*", "task:created"));
        assert!(matches("task:created", "task:created"));
        assert!(!matches("task:*", "team:formed") && !matches("task:created", "task:created_again"));
    }

    #[test]
    fn the_former_secret_signs_for_a_day() {
        let state = webhook(&[created()]);
        let rotated = decide(&state, WebhookCommand::RotateSecret(sealed(3))).unwrap();
        let former_until = NOW + TimeDelta::hours(24);
        assert_eq!(rotated, [WebhookEvent::SecretRotated { secret: sealed(3), former: sealed(2), former_until }]);
        let again = decide(&webhook(&[created(), rotated[0].clone()]), WebhookCommand::RotateSecret(sealed(4)));
        assert!(matches!(&again.unwrap()[0], WebhookEvent::SecretRotated { former, .. } if *former == sealed(3)));
    }

    #[test]
    fn switching_says_something_only_when_it_changes_something() {
        let on = webhook(&[created()]);
        assert_eq!(decide(&on, switch(true)), Ok(vec![]));
        let off = decide(&on, switch(false)).unwrap();
        assert!(matches!(&off[..], [WebhookEvent::Disabled { .. }]));
        let off = webhook(&[created(), off[0].clone()]);
        assert_eq!(decide(&off, WebhookCommand::Disable("again".into())), Ok(vec![]));
        assert_eq!(decide(&off, switch(true)), Ok(vec![WebhookEvent::Enabled {}]));
    }

    #[test]
    fn what_was_deleted_is_gone_for_good() {
        let gone = webhook(&[created(), WebhookEvent::Deleted {}]);
        assert_eq!(decide(&gone, WebhookCommand::Delete), Err(Rejection::NotFound("webhook")));
        assert_eq!(decide(&gone, switch(true)), Err(Rejection::NotFound("webhook")));
        let WebhookEvent::Created { origin, url, secret, description, events } = created() else { unreachable!() };
        let create = WebhookCommand::Create { origin, url, secret, description, events };
        assert!(matches!(decide(&gone, create.clone()), Err(Rejection::Exists(_))));
        assert!(matches!(decide(&webhook(&[created()]), create), Err(Rejection::Exists(_))));
    }

    #[test]
    fn a_webhook_hears_of_something() {
        let none = WebhookCommand::Update { address: None, description: None, events: Some([].into()), enabled: None };
        assert!(matches!(decide(&webhook(&[created()]), none), Err(Rejection::Invalid { path: "events", .. })));
    }
}
