//! Why an attempt failed, who is to blame, and whether trying again can help.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The class of an attempt's failure; it decides what happens next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The instance did not accept the connection.
    ConnectRefused,
    /// The instance answered with a server error.
    HttpServerError,
    /// The instance's stream broke and could not be resumed.
    StreamCut,
    /// The instance is gone: no heartbeat, or it forgot the run.
    InstanceLost,
    /// It is unknown whether the instance took the work.
    DispatchUnknown,
    /// The model's provider asked to slow down or was overloaded.
    ProviderRateLimit,
    /// The model's provider failed.
    ProviderError,
    /// The model's provider wants money.
    ProviderQuota,
    /// The model's provider, or the instance, did not accept the credentials.
    ProviderAuth,
    /// The work no longer fits the model's context.
    ContextOverflow,
    /// The instance no longer knows the session.
    SessionNotFound,
    /// The agent lives but shows no activity.
    Silent,
    /// The agent does the same thing again and again.
    LoopDetected,
    /// The agent is busy and nothing comes of it.
    NoProgress,
    /// The agent claims success and shows nothing for it.
    EvidenceMissing,
    /// The tests of the work fail.
    TestsFailed,
    /// What was handed in does not do what it should.
    VerifyFailed,
    /// Reviewers did not accept the work.
    ReviewRejected,
    /// The work does not fit together with what others changed.
    MergeConflict,
    /// Somebody else holds the paths that the work needs.
    PathClaimConflict,
    /// The task does not say what the agent has to know.
    ClarificationNeeded,
    /// The agent says that it cannot go on.
    AgentBlocked,
    /// The agent refused the work.
    Refused,
    /// A permission was denied.
    PermissionDenied,
    /// A person did not approve a step.
    ApprovalDenied,
    /// A budget of tokens, money or turns is used up.
    BudgetExhausted,
    /// The time limit passed.
    TimeLimit,
    /// The driver or its settings are wrong.
    Misconfigured,
    /// A person stopped the work at the instance.
    CancelledByUser,
    /// Nothing above fits.
    Unknown,
}

/// Whom a failure is charged to; only competence says something about an agent's skill.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// Machines and networks.
    Infrastructure,
    /// The agent.
    Competence,
    /// The task as it was written.
    Specification,
    /// A rule, a budget or a setting.
    Policy,
    /// Work of others that was in the way.
    Coordination,
    /// Somebody who wanted it so.
    Person,
    /// Not known.
    Unknown,
}

impl FailureClass {
    /// Returns whom this failure is charged to.
    pub fn blame(self) -> Blame {
        use FailureClass as F;
        match self {
            F::ConnectRefused
            | F::HttpServerError
            | F::StreamCut
            | F::InstanceLost
            | F::DispatchUnknown
            | F::ProviderRateLimit
            | F::ProviderError
            | F::ContextOverflow
            | F::SessionNotFound
            | F::Silent => Blame::Infrastructure,
            F::LoopDetected
            | F::NoProgress
            | F::EvidenceMissing
            | F::TestsFailed
            | F::VerifyFailed
            | F::ReviewRejected
            | F::Refused => Blame::Competence,
            F::AgentBlocked | F::ClarificationNeeded => Blame::Specification,
            F::MergeConflict | F::PathClaimConflict => Blame::Coordination,
            F::ProviderQuota
            | F::ProviderAuth
            | F::PermissionDenied
            | F::ApprovalDenied
            | F::BudgetExhausted
            | F::TimeLimit
            | F::Misconfigured => Blame::Policy,
            F::CancelledByUser => Blame::Person,
            F::Unknown => Blame::Unknown,
        }
    }

    /// Returns what can be tried after such a failure, in this order; behind the last of it a person decides.
    pub fn ladder(self) -> &'static [Strategy] {
        use FailureClass as F;
        use Strategy as S;
        match self {
            F::ConnectRefused | F::InstanceLost => &[S::OtherInstance, S::SameInstance, S::OtherAgent],
            F::HttpServerError | F::StreamCut | F::DispatchUnknown | F::SessionNotFound => {
                &[S::SameInstance, S::OtherInstance, S::OtherAgent]
            }
            F::ProviderRateLimit | F::ProviderError => &[S::SameInstance, S::OtherModel, S::OtherAgent],
            F::ContextOverflow => &[S::AddContext, S::OtherModel, S::SplitTask],
            F::LoopDetected | F::NoProgress => &[S::OtherAgent, S::OtherModel, S::AddContext, S::SplitTask],
            F::EvidenceMissing | F::TestsFailed | F::VerifyFailed | F::ReviewRejected => {
                &[S::AddContext, S::OtherModel, S::OtherAgent]
            }
            F::MergeConflict | F::PathClaimConflict => &[S::AddContext],
            F::Refused => &[S::OtherAgent],
            F::BudgetExhausted | F::TimeLimit => &[S::SplitTask],
            F::Unknown => &[S::SameInstance],
            F::Silent
            | F::AgentBlocked
            | F::ClarificationNeeded
            | F::ProviderQuota
            | F::ProviderAuth
            | F::PermissionDenied
            | F::ApprovalDenied
            | F::Misconfigured
            | F::CancelledByUser => &[],
        }
    }

    /// Tells whether trying again, without a person, can help.
    pub fn retryable(self) -> bool {
        self.ladder().iter().any(|strategy| !strategy.needs_a_person())
    }

    /// Tells whether nothing is known of the run's end: the agent may still be at work, and has to be told to stop.
    pub fn may_still_run(self) -> bool {
        use FailureClass as F;
        matches!(
            self,
            F::StreamCut
                | F::HttpServerError
                | F::InstanceLost
                | F::DispatchUnknown
                | F::Silent
                | F::LoopDetected
                | F::NoProgress
                | F::TimeLimit
                | F::Unknown
        )
    }
}

/// What is done after a failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Once more where it was.
    SameInstance,
    /// On another instance of the same agent.
    OtherInstance,
    /// By the same agent, told what went wrong.
    AddContext,
    /// By the same agent with another model.
    OtherModel,
    /// By another agent.
    OtherAgent,
    /// In smaller pieces, which a person has to agree to.
    SplitTask,
    /// As a person decides.
    AskPerson,
}

impl Strategy {
    /// Tells whether it is for a person to go on.
    pub fn needs_a_person(self) -> bool {
        matches!(self, Self::SplitTask | Self::AskPerson)
    }

    /// Returns what it means, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::SameInstance => "once more on the same instance",
            Self::OtherInstance => "on another instance of the same agent",
            Self::AddContext => "by the same agent, told what went wrong",
            Self::OtherModel => "by the same agent with another model",
            Self::OtherAgent => "by another agent",
            Self::SplitTask => "in smaller pieces, if a person agrees",
            Self::AskPerson => "as a person decides",
        }
    }
}

/// The longest message that a fingerprint is made of, in characters.
const FINGERPRINT_LENGTH_MAX: usize = 160;
/// So many hexadecimal digits in a row are a name that a machine made.
const HEX_LENGTH_MIN: usize = 8;

/// Returns what two failures of the same kind have in common: the class, and the message without numbers, ids, paths
/// and hexadecimal digits.
pub fn fingerprint(class: FailureClass, message: &str) -> String {
    let class = serde_json::to_value(class).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
    let words: Vec<String> = message.split_whitespace().map(masked).collect();
    let words: String = words.join(" ").chars().take(FINGERPRINT_LENGTH_MAX).collect();
    format!("{class}: {words}")
}

fn masked(word: &str) -> String {
    let place = |c: char| c == '/' || c == '\\';
    if word.contains(place) && word.len() > 1 {
        return "<path>".into();
    }
    let part_of_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| part_of_id(c) != part_of_id(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        out.push_str(&if part_of_id(first) { masked_run(run) } else { run.to_lowercase() });
        rest = after;
    }
    out
}

fn masked_run(run: &str) -> String {
    let hex = run.trim_start_matches("0x");
    let digits = hex.chars().filter(char::is_ascii_hexdigit).count();
    let all_hex = hex.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if all_hex && (run.len() > hex.len() || digits >= HEX_LENGTH_MIN) && hex.chars().any(|c| c.is_ascii_digit()) {
        return "<id>".into();
    }
    // A name that a machine made often has a word before it.
    if let Some(at) = run.find(['-', '_']) {
        let (head, tail) = run.split_at(at + 1);
        return without_numbers(head) + &masked_run(tail);
    }
    without_numbers(run)
}

fn without_numbers(run: &str) -> String {
    let mut out = String::with_capacity(run.len());
    let mut in_number = false;
    for c in run.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                out.push_str("<n>");
            }
        } else {
            out.extend(c.to_lowercase());
        }
        in_number = c.is_ascii_digit();
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_fingerprint_is_what_two_failures_of_one_kind_have_in_common() {
        let [one, other] = [
            "HTTP 502 from http://10.0.0.1:8000/chat for link-0190a5d2-7f3e-7000: line 12 of src/main.rs",
            "HTTP 503 from http://10.0.0.2:9000/chat for link-0190b777-1111-7fff: line 9 of src/lib.rs",
        ]
        .map(|message| fingerprint(FailureClass::HttpServerError, message));
        assert_eq!(one, other);
        assert!(one.starts_with("http_server_error: http <n> from <path> for"), "{one}");
        assert_ne!(one, fingerprint(FailureClass::StreamCut, "HTTP 502"));
        assert_ne!(
            fingerprint(FailureClass::TestsFailed, "assertion failed in a"),
            fingerprint(FailureClass::TestsFailed, "assertion failed in b"),
        );
    }

    proptest! {
        #[test]
        fn numbers_ids_and_hex_do_not_change_a_fingerprint(a in 0u64.., b in any::<u128>(), c in 0u64.., d in any::<u128>()) {
            let shown = |n: u64, id: u128| {
                let id = uuid::Uuid::from_u128(id | 1);
                fingerprint(FailureClass::Unknown, &format!("run {id} broke at {n} (0x{n:x}1) in /tmp/{id}/a{n}.rs"))
            };
            prop_assert_eq!(shown(a, b), shown(c, d));
        }

        #[test]
        fn a_fingerprint_is_bounded_whatever_the_message(message in ".{0,400}") {
            prop_assert!(fingerprint(FailureClass::Unknown, &message).chars().count() <= FINGERPRINT_LENGTH_MAX + 9);
        }
    }

    #[test]
    fn what_a_person_has_to_mend_has_no_automatic_step() {
        for class in [FailureClass::ProviderAuth, FailureClass::ProviderQuota, FailureClass::AgentBlocked] {
            assert!(!class.retryable(), "{class:?}");
        }
        assert!(FailureClass::ProviderRateLimit.retryable());
    }
}
