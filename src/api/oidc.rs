//! Login by another provider: a browser is sent there, comes back with a code, and gets tokens of Link's. The one who
//! comes back has to be the one who went.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{
    domain::{ids::UserId, text::Title},
    oidc::{Error, Provider, Secrets, Who},
    persistence::{
        oidc::{self, Account, Attempt},
        people::Person,
    },
};

use super::{
    Api, Caller,
    auth::{Email, ending_at},
    limits::Class,
    problem::{self, Problem},
    tokens::{random, sha256},
};

/// How long a person may take at the provider.
const ATTEMPT_LIFE: TimeDelta = TimeDelta::minutes(10);
/// How long a code can be changed into tokens.
const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);
/// Logins that may be on their way at once; more are asked to come again.
const ATTEMPTS_MAX: i64 = 100_000;
/// The longest code of a provider.
const CODE_BYTES_MAX: usize = 4_096;
/// Characters of 256 random bits.
const STATE_BYTES: usize = 43;

/// A login that has begun.
pub struct Begun {
    /// Where the browser has to go.
    pub location: String,
    /// The cookie that it has to bring back.
    pub cookie: Cookie,
}

/// A cookie that ties a login to a browser.
pub struct Cookie {
    /// Its name, another one for each login: two tabs may log in at once.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Whether it must only travel over TLS.
    pub secure: bool,
    /// How long it lives.
    pub life: TimeDelta,
}

/// What a browser brings back from the provider.
#[derive(Default)]
pub struct Returned {
    /// Which login it is.
    pub state: String,
    /// The value of the login's cookie.
    pub browser: Option<String>,
    /// What proves that the person logged in.
    pub code: Option<String>,
    /// Why they did not.
    pub error: Option<String>,
    /// Who says so.
    pub issuer: Option<String>,
}

/// How a login ends.
pub enum Finished {
    /// With tokens, as `auth.login` answers them.
    Here(Value),
    /// At the front end, which changes a code into tokens.
    Elsewhere(String),
}

impl Api {
    /// Begins a login by the provider.
    pub async fn begin_oidc(&self, caller: &Caller) -> Result<Begun, Problem> {
        let span = tracing::info_span!("api.oidc.begin", trace = %caller.trace);
        counted("begin", self.begin(caller).instrument(span).await)
    }

    /// Ends a login by the provider.
    pub async fn finish_oidc(&self, caller: Caller, returned: Returned) -> Result<Finished, Problem> {
        let span = tracing::info_span!("api.oidc.finish", trace = %caller.trace);
        counted("finish", self.finish(caller, returned).instrument(span).await)
    }

    /// Returns the cookie of a login, to be looked for and to be forgotten.
    pub fn oidc_cookie(&self, state: &str) -> Result<Cookie, Problem> {
        let provider = self.provider()?;
        let is_state = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        if state.len() != STATE_BYTES || !state.bytes().all(is_state) {
            return Err(Problem::field("state", "is not the one of a login that began here").then(ANEW));
        }
        Ok(cookie(provider, state, String::new()))
    }

    fn provider(&self) -> Result<&Provider, Problem> {
        let provider = self.services().oidc.as_ref();
        provider.ok_or_else(|| {
            let unset = Problem::new(problem::NO_SUCH_OPERATION, "no other provider of logins is set up here");
            unset.then(&["Log in with a password", "Ask whoever runs Link to set LINK_OIDC_ISSUER"])
        })
    }

    async fn begin(&self, caller: &Caller) -> Result<Begun, Problem> {
        let (provider, context) = (self.provider()?, self.services().context());
        let now = context.clock.now();
        let _pass = self.services().limits.admit_as(Class::Credentials, caller, now)?;
        let (state, browser, nonce, verifier) = (secret()?, secret()?, secret()?, secret()?);
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        let door = provider.door(&state, &nonce, &challenge, now).await.map_err(refused)?;
        let attempt = Attempt {
            state: sha256(state.as_bytes()),
            browser: sha256(browser.as_bytes()),
            nonce,
            verifier,
            expires_at: now + ATTEMPT_LIFE,
        };
        if !oidc::begin(&context.pool, &attempt, ATTEMPTS_MAX).await? {
            return Err(Problem::new(problem::UNAVAILABLE, "too many logins are on their way").then(ANEW));
        }
        Ok(Begun { location: door.into(), cookie: cookie(provider, &state, browser) })
    }

    async fn finish(&self, caller: Caller, returned: Returned) -> Result<Finished, Problem> {
        let (provider, context) = (self.provider()?, self.services().context());
        let now = context.clock.now();
        let _pass = self.services().limits.admit_as(Class::Credentials, &caller, now)?;
        let (state, browser) = (sha256(returned.state.as_bytes()), returned.browser.unwrap_or_default());
        let attempt = oidc::take(&context.pool, &state, &sha256(browser.as_bytes()), now).await?;
        let (nonce, verifier) = attempt.ok_or_else(|| {
            let detail = "this login did not begin in this browser, took too long, or has ended already";
            Problem::field("state", detail).then(ANEW)
        })?;
        if returned.issuer.is_some_and(|issuer| issuer != provider.issuer()) {
            return Err(no_login("the answer comes from another provider"));
        }
        if let Some(error) = returned.error {
            return Err(no_login(&format!("the provider refused: {}", reason(&error))));
        }
        let code = returned.code.filter(|code| (1..=CODE_BYTES_MAX).contains(&code.len()));
        let code = code.ok_or_else(|| Problem::field("code", "is missing or too long").then(ANEW))?;
        let secrets = Secrets { nonce: &nonce, verifier: &verifier };
        let who = provider.redeem(&code, secrets, now).await.map_err(refused)?;
        let user = self.account_of(provider, who).await?;
        let code = format!("link_lc_{}", secret()?);
        oidc::keep_code(&context.pool, &sha256(code.as_bytes()), user, now + CODE_LIFE).await?;
        match provider.return_url(&code) {
            Some(url) => Ok(Finished::Elsewhere(url.into())),
            // The one way in which a code becomes tokens.
            None => Ok(Finished::Here(self.call("auth.exchange_code", caller, json!({"code": code})).await?.body)),
        }
    }

    async fn account_of(&self, provider: &Provider, who: Who) -> Result<UserId, Problem> {
        let context = self.services().context();
        let email = who.email.and_then(|text| Email::try_from(text).ok());
        let Email(email) = email.ok_or_else(|| no_login("the provider does not tell a usable address"))?;
        if !provider.admits(&email, who.email_verified) {
            let detail = "only verified addresses of certain domains may log in here";
            return Err(Problem::new(problem::FORBIDDEN, detail).then(&["Log in with another account of the provider"]));
        }
        let name = who.name.filter(|name| !name.trim().is_empty());
        let name = name.as_deref().or(email.split('@').next()).unwrap_or_default();
        let person = Person {
            id: context.clock.id(),
            name: Title::fitted(name).to_string(),
            email,
            password_hash: None,
            created_at: context.clock.now(),
        };
        let ending = ending_at(context.clock.now());
        let (issuer, verified) = (provider.issuer(), who.email_verified);
        match oidc::account(&context.pool, issuer, &who.subject, &person, verified, ending).await? {
            Account::Known(user) => Ok(user),
            Account::Linked(user, revoked) => {
                tracing::info!(%user, ended = revoked.len(), "an account is linked to the provider of logins");
                self.services().revocations.add(revoked, ending.at);
                Ok(user)
            }
            Account::Made(user) => {
                tracing::info!(%user, "an account was made for somebody of the provider of logins");
                Ok(user)
            }
            Account::Taken => {
                let detail = "an account with this address exists, and the provider has not verified the address";
                Err(Problem::new(problem::NAME_TAKEN, detail)
                    .then(&["Log in with the password", "Have the provider verify the address, and log in again"]))
            }
        }
    }
}

/// What to do when a login came to nothing.
const ANEW: &[&str] = &["Begin the login anew at /auth/oidc/start"];

fn cookie(provider: &Provider, state: &str, value: String) -> Cookie {
    let secure = provider.is_secure();
    // With this beginning a browser takes it from this host alone, not from one that shares its domain.
    let beginning = if secure { "__Host-" } else { "" };
    Cookie { name: format!("{beginning}link_oidc_{}", &state[..8]), value, secure, life: ATTEMPT_LIFE }
}

fn secret() -> Result<String, Problem> {
    let bits = random().ok_or_else(|| Problem::new(problem::INTERNAL, "no random numbers could be had"))?;
    Ok(URL_SAFE_NO_PAD.encode(bits))
}

/// Anybody can write the reason into the address: only a word of the standard's form is repeated.
fn reason(error: &str) -> &str {
    let is_word = error.len() <= 64 && error.bytes().all(|b| b == b'_' || b.is_ascii_lowercase());
    if is_word && !error.is_empty() { error } else { "it does not say why" }
}

fn no_login(detail: &str) -> Problem {
    Problem::new(problem::UNAUTHENTICATED, detail).then(ANEW)
}

fn refused(error: Error) -> Problem {
    match error {
        Error::Unavailable(_) => {
            tracing::warn!(%error, "a login by another provider failed");
            let next = &["Begin the login anew at /auth/oidc/start in a moment", "Log in with a password meanwhile"];
            Problem::new(problem::UNAVAILABLE, error.to_string()).then(next)
        }
        Error::Misconfigured => {
            tracing::error!(%error, "no login by another provider can succeed");
            let next = &["Ask whoever runs Link to check LINK_OIDC_CLIENT_ID and LINK_OIDC_CLIENT_SECRET"];
            Problem::new(problem::UNAVAILABLE, error.to_string()).then(next)
        }
        Error::Refused | Error::Token(_) => {
            tracing::warn!(%error, "a login by another provider was refused");
            no_login(&error.to_string())
        }
    }
}

fn counted<T>(step: &'static str, result: Result<T, Problem>) -> Result<T, Problem> {
    let outcome = result.as_ref().map_or_else(|problem| problem.code.clone(), |_| "ok".to_owned());
    metrics::counter!("link_oidc_logins_total", "step" => step, "outcome" => outcome).increment(1);
    result
}
