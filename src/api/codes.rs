//! Every error code, in one table: what it means, why it happens, what it does to anything, and what to do next.

/// One kind of error.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// Its stable name.
    pub name: &'static str,
    /// Its HTTP status.
    pub status: u16,
    /// What it is, in a few words.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What did or did not happen to anything.
    pub effect: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What to do about it.
    pub next_actions: &'static [&'static str],
}

macro_rules! codes {
    ($($const:ident = $name:literal $status:literal $retryable:literal $title:literal
        because $cause:literal then $effect:literal do [$($next:literal),* $(,)?];)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $title)]
            pub const $const: Code = Code {
                name: $name,
                status: $status,
                title: $title,
                cause: $cause,
                effect: $effect,
                retryable: $retryable,
                next_actions: &[$($next),*],
            };
        )+
        /// Every code there is.
        pub const CODES: &[Code] = &[$($const),+];
    };
}

codes! {
    INVALID_INPUT = "invalid_input" 400 false "The input is wrong"
        because "A field is missing, unknown, of another type, out of its bounds, or contradicts another one. `errors` names each such field."
        then "Nothing changed."
        do ["Correct the fields named in `errors`"];
    MALFORMED = "malformed" 400 false "The request cannot be read"
        because "The body is no JSON, is nested too deep, or holds U+0000 or invalid UTF-8; or the address holds a broken escape; or the body did not arrive whole and in time."
        then "Nothing changed; the request was not looked at further."
        do ["Send valid UTF-8 JSON, nested at most 64 deep"];
    TOO_LARGE = "too_large" 413 false "The request is too large"
        because "The body has more than 1 MiB; or, with the status 414 or 431, the line and the headers have more than 64 KiB or there are more than 100 headers."
        then "Nothing changed; the body was not kept."
        do ["Send less than 1 MiB; pass large content by reference"];
    UNSUPPORTED_MEDIA = "unsupported_media_type" 415 false "The body is not JSON"
        because "There is a body whose `content-type` is not `application/json`."
        then "Nothing changed."
        do ["Send `content-type: application/json`"];
    UNAUTHENTICATED = "unauthenticated" 401 false "No valid token"
        because "The token is missing, expired, revoked, or none of this server's. At `auth.refresh`: the refresh token was spent before, has expired or was revoked."
        then "Nothing changed; but a refresh token that is shown a second time ends its whole login, since someone may have copied it."
        do ["Log in and send `Authorization: Bearer …`", "Refresh the token if it has expired"];
    BAD_CREDENTIALS = "bad_credentials" 401 false "Address or password is wrong"
        because "No account has this address and this password. Which of the two is wrong is not said."
        then "Nobody was logged in; tokens given before stay good."
        do ["Check both and try again"];
    FORBIDDEN = "forbidden" 403 false "Not allowed"
        because "You are a member of the workspace, but your role, or your part in the thing, does not allow this."
        then "Nothing changed."
        do ["Ask an admin of the workspace"];
    NOT_FOUND = "not_found" 404 false "It does not exist"
        because "The id names nothing, or something in a workspace that you are no member of: the two look alike on purpose."
        then "Nothing changed."
        do ["Check the id, and that you are a member of its workspace"];
    NO_SUCH_OPERATION = "no_such_operation" 404 false "There is no such operation"
        because "No operation has this path or this name."
        then "Nothing happened."
        do ["See /docs or /api/v1/openapi.json"];
    METHOD_NOT_ALLOWED = "method_not_allowed" 405 false "The path exists, the method does not"
        because "The path has operations, none of them with this HTTP method."
        then "Nothing happened."
        do ["See the `allow` header"];
    ALREADY_EXISTS = "already_exists" 409 false "It exists already"
        because "What should be made is there already."
        then "Nothing changed; what exists is untouched."
        do ["Read it, or choose another id"];
    NAME_TAKEN = "name_taken" 409 false "The name is in use"
        because "A name, key or address that has to be unique belongs to something else."
        then "Nothing changed."
        do ["Choose another one"];
    INVALID_TRANSITION = "invalid_transition" 409 false "The state does not allow this step"
        because "The thing is in a state from which this step does not lead on; perhaps someone moved it in the meantime."
        then "Nothing changed; the state is the one that `detail` names."
        do ["Read the current state and choose a step that it allows"];
    VERSION_CONFLICT = "version_conflict" 409 false "Someone else was faster"
        because "`expected_version` is not the current version: the thing was changed after you read it."
        then "Nothing changed; the other change stands."
        do ["Read it anew, apply your change again, and send the new `expected_version`"];
    DEPENDENCY_CYCLE = "dependency_cycle" 409 false "The dependency would close a cycle"
        because "The other task waits, directly or through others, for this one; both would wait for ever."
        then "Nothing changed; no dependency was added."
        do ["Remove another dependency first"];
    BUSY = "busy" 409 false "The current state forbids it"
        because "Something else has to happen first: open work, an open question, or a rule such as that a workspace keeps an owner."
        then "Nothing changed."
        do ["Do what `detail` says first"];
    FENCED = "fenced" 409 false "The attempt no longer holds the delegation"
        because "The work was given to a newer attempt, or has ended; a report of the older one comes too late."
        then "The report was ignored; the newer attempt goes on undisturbed."
        do ["Stop working on it"];
    NO_SLOT = "no_slot" 409 true "No instance has a free slot"
        because "Every server of the agent has as many attempts as it may have, or does not answer."
        then "Nothing changed; the delegation stays in the queue and starts by itself when a slot is free."
        do ["Wait until one is free"];
    KEY_REUSED = "idempotency_key_reused" 409 false "The key was used for another request"
        because "The idempotency key came before with another operation or another input."
        then "Nothing changed; the first request stands."
        do ["Use a new key for a new request"];
    TOO_MANY = "too_many_requests" 429 true "Too much at once"
        because "More requests wait than the server, the workspace or the connection takes."
        then "Nothing changed; the request was not begun."
        do ["Wait as long as `retry-after` says and send it again with the same key"];
    UNAVAILABLE = "unavailable" 503 true "Not available right now"
        because "The database does not answer, the workspace is moving to another node, or the node stops."
        then "For a read: nothing. For a change it is not known whether it was made; with the same idempotency key it is made once, however often it is sent."
        do ["Send it again with the same idempotency key"];
    INTERNAL = "internal" 500 false "A bug in Link"
        because "The request ran into a mistake of ours."
        then "A change was made wholly or not at all; the log decides. Reading tells which."
        do ["Report it with the `trace_id`"];
}

/// Returns the page of `docs/errors.md`.
pub fn page() -> String {
    let mut page = "# Errors\n\nFrom the table in `src/api/codes.rs`; after a change: `link openapi --errors > docs/errors.md`.\n\n\
        An error is an RFC 9457 problem, `application/problem+json`, on every door. `code` is one of these and stable; \
        `detail` says what happened here, `errors` which field is wrong, and `trace_id` finds the request in the logs. \
        A retryable one may succeed when the same request is sent again; its answer has `Retry-After`.\n"
        .to_owned();
    for code in CODES {
        let again = if code.retryable { ", retryable" } else { "" };
        page += &format!("\n## {}\n\n{}. Status {}{again}.\n\n", code.name, code.title, code.status);
        page += &format!(
            "- **Cause:** {}\n- **Effect:** {}\n- **Next:** {}.\n",
            code.cause,
            code.effect,
            code.next_actions.join(". ")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own_a_cause_an_effect_and_a_next_step() {
        let names: std::collections::BTreeSet<_> = CODES.iter().map(|code| code.name).collect();
        assert_eq!(names.len(), CODES.len());
        for code in CODES {
            assert!((400..600).contains(&code.status) && !code.next_actions.is_empty(), "{}", code.name);
            assert!(code.cause.len() > 20 && code.cause.ends_with('.'), "{} has no cause", code.name);
            assert!(code.effect.len() > 10 && code.effect.ends_with('.'), "{} has no effect", code.name);
        }
    }
}
