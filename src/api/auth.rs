//! `auth`: people, their passwords and tokens.

use chrono::{DateTime, TimeDelta, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        ids::{LoginId, UserId},
        permission::Permission as P,
        text::{Text, Title},
    },
    persistence::{
        logins::{self, Ending, NewToken, Shown},
        oidc,
        people::{self, Person},
        revocations::Revoked,
    },
};

use super::{
    call::Call,
    identity::{Credential, unauthenticated},
    problem::{self, Problem},
    signing::ACCESS_LIFE,
    table::{Method, Operation},
    tokens::{self, REFRESH_LIFE, REFRESH_OVERLAP},
};

/// How far the clocks of two nodes may differ.
pub(super) const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("auth.register", Method::Post, "/auth/register", register)
            .needs(P::Public, None)
            .creates()
            .refuses(&[problem::NAME_TAKEN])
            .doc("Makes an account and logs it in."),
        Operation::mutation("auth.login", Method::Post, "/auth/login", login)
            .needs(P::Public, None)
            .refuses(&[problem::BAD_CREDENTIALS])
            .doc("Gives tokens for an address and a password."),
        Operation::mutation("auth.exchange_code", Method::Post, "/auth/exchange_code", exchange_code)
            .needs(P::Public, None)
            .refuses(&[problem::UNAUTHENTICATED])
            .doc("Gives tokens for the code that a login by another provider brought to the front end, once."),
        Operation::mutation("auth.refresh", Method::Post, "/auth/refresh", refresh)
            .needs(P::Public, None)
            .refuses(&[problem::UNAUTHENTICATED])
            .doc("Gives new tokens for a refresh token, which is spent. Showing a spent one again ends the login."),
        Operation::mutation("auth.logout", Method::Post, "/auth/logout", logout)
            .needs(P::Public, None)
            .doc("Ends the login that a refresh token belongs to, and with it its access tokens."),
        Operation::mutation("auth.logout_everywhere", Method::Post, "/auth/logout_everywhere", logout_everywhere)
            .needs(P::LoggedIn, None)
            .doc("Ends all logins of the caller, this one too. API keys stay: revoke them one by one."),
        Operation::mutation("auth.change_password", Method::Post, "/auth/change_password", change_password)
            .needs(P::LoggedIn, None)
            .refuses(&[problem::BAD_CREDENTIALS])
            .doc("Changes the caller's password and ends all their other logins."),
        Operation::query("auth.me", "/auth/me", me).needs(P::Signed, None).doc("Says whose token it is."),
    ]
}

/// An address, as far as its form can tell.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Email(pub(super) String);

impl JsonSchema for Email {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Email".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "format": "email", "minLength": 3, "maxLength": 254})
    }
}

impl TryFrom<String> for Email {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim().to_owned();
        let parts = text.split_once('@').filter(|(name, host)| !name.is_empty() && !host.is_empty());
        let well_formed = parts.is_some_and(|(_, host)| !host.contains('@'))
            && text.len() <= 254
            && !text.contains(char::is_whitespace)
            && !text.contains(char::is_control);
        if well_formed { Ok(Self(text)) } else { Err("is no e-mail address") }
    }
}

type Password = Text<8, 256>;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Register {
    /// An address; one account each.
    email: Email,
    /// What others see.
    name: Title,
    /// At least 8 characters.
    password: Password,
}

/// A person, as they see themselves.
#[derive(Serialize, JsonSchema)]
struct UserView {
    id: UserId,
    email: String,
    name: String,
    created_at: chrono::DateTime<chrono::Utc>,
}

impl From<Person> for UserView {
    fn from(person: Person) -> Self {
        Self { id: person.id, email: person.email, name: person.name, created_at: person.created_at }
    }
}

/// A person with fresh tokens.
#[derive(Serialize, JsonSchema)]
struct LoggedIn {
    user: UserView,
    /// Send as `Authorization: Bearer …`.
    access_token: String,
    /// Show at `auth.refresh`, once.
    refresh_token: String,
    /// Always `Bearer`.
    token_type: String,
    /// Seconds until the access token ends.
    expires_in: i64,
}

async fn register(call: Call, input: Register) -> Result<LoggedIn, Problem> {
    let password_hash = Some(hashed(&call, &input.password).await?);
    let person = Person {
        id: call.clock().id(),
        email: input.email.0,
        name: input.name.to_string(),
        password_hash,
        created_at: call.clock().now(),
    };
    if !people::add(call.pool(), &person).await? {
        return Err(Problem::new(problem::NAME_TAKEN, "an account with this address exists already"));
    }
    log_in(&call, person).await
}

async fn hashed(call: &Call, password: &Password) -> Result<String, Problem> {
    let hash = call.services.passwords.hash(password.to_string()).await;
    hash.ok_or_else(|| Problem::new(problem::INTERNAL, "the password could not be hashed"))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    email: Email,
    password: Text<1, 256>,
}

async fn login(call: Call, input: Login) -> Result<LoggedIn, Problem> {
    let mut attempt = call.services.limits.login(&input.email.0, call.address, call.clock().now())?;
    let person = people::by_email(call.pool(), &input.email.0).await?;
    let hash = person.as_ref().and_then(|person| person.password_hash.clone());
    let right = call.services.passwords.check(input.password.to_string(), hash).await;
    match person.filter(|_| right) {
        Some(person) => {
            attempt.forgive();
            log_in(&call, person).await
        }
        None => Err(Problem::new(problem::BAD_CREDENTIALS, "no account has this address and this password")),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExchangeCode {
    /// As it came to the front end; it is good for a minute.
    code: Text<1, 256>,
}

async fn exchange_code(call: Call, input: ExchangeCode) -> Result<LoggedIn, Problem> {
    let hash = tokens::sha256(input.code.as_bytes());
    let user = oidc::spend_code(call.pool(), &hash, call.clock().now()).await?;
    let person = match user {
        Some(user) => people::by_id(call.pool(), user).await?,
        None => None,
    };
    let person = person.ok_or_else(|| unauthenticated("this code is not, or no longer, good: log in again"))?;
    log_in(&call, person).await
}

/// Begins a login of a person who has shown who they are.
async fn log_in(call: &Call, person: Person) -> Result<LoggedIn, Problem> {
    let (refresh_token, token) = fresh_token(call)?;
    let login = call.clock().id();
    logins::begin(call.pool(), login, person.id, &token).await?;
    logged_in(call, person, login, refresh_token)
}

fn fresh_token(call: &Call) -> Result<(String, NewToken), Problem> {
    let issued_at = call.clock().now();
    let made = tokens::refresh_token();
    let (token, hash) = made.ok_or_else(|| Problem::new(problem::INTERNAL, "no token could be made"))?;
    Ok((token, NewToken { hash, issued_at, expires_at: issued_at + REFRESH_LIFE }))
}

fn logged_in(call: &Call, person: Person, login: LoginId, refresh_token: String) -> Result<LoggedIn, Problem> {
    let signed = call.services.keys.access(person.id, login, call.clock().id(), call.clock().now());
    let access_token = signed.map_err(|_| Problem::new(problem::INTERNAL, "no token could be made"))?;
    Ok(LoggedIn {
        user: person.into(),
        access_token,
        refresh_token,
        token_type: "Bearer".into(),
        expires_in: ACCESS_LIFE.num_seconds(),
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Refresh {
    refresh_token: Text<1, 256>,
}

async fn refresh(call: Call, input: Refresh) -> Result<LoggedIn, Problem> {
    let hash = tokens::sha256(input.refresh_token.as_bytes());
    let (refresh_token, next) = fresh_token(&call)?;
    let refused = |detail| Err(Problem::new(problem::UNAUTHENTICATED, detail));
    match logins::rotate(call.pool(), &hash, &next, REFRESH_OVERLAP, ending(&call)).await? {
        Shown::Good { user, login } => match people::by_id(call.pool(), user).await? {
            Some(person) => logged_in(&call, person, login, refresh_token),
            None => refused("the account is gone"),
        },
        Shown::Reused(login) => {
            tracing::warn!(%login, "a spent refresh token was shown again: the login has ended");
            ended(&call, [login]);
            refused("this refresh token was used before: the login has ended, log in again")
        }
        Shown::Worthless => refused("this refresh token is not, or no longer, good: log in again"),
    }
}

/// Ends a login now; its last access token may have been made just now.
fn ending(call: &Call) -> Ending {
    ending_at(call.clock().now())
}

pub(super) fn ending_at(at: DateTime<Utc>) -> Ending {
    Ending { at, until: at + ACCESS_LIFE + CLOCKS_DIFFER }
}

/// Has this node know at once what the others hear of within a second.
fn ended(call: &Call, logins: impl IntoIterator<Item = LoginId>) {
    let ending = ending(call);
    let revoked = logins.into_iter().map(|login| Revoked { id: login.0, until: ending.until });
    call.services.revocations.add(revoked, ending.at);
}

/// Nothing more to say.
#[derive(Serialize, JsonSchema)]
struct Done {
    ok: bool,
}

async fn logout(call: Call, input: Refresh) -> Result<Done, Problem> {
    ended(&call, logins::end(call.pool(), &tokens::sha256(input.refresh_token.as_bytes()), ending(&call)).await?);
    Ok(Done { ok: true })
}

async fn logout_everywhere(call: Call, _: Nothing) -> Result<Done, Problem> {
    ended(&call, logins::end_all(call.pool(), call.user()?, None, ending(&call)).await?);
    Ok(Done { ok: true })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangePassword {
    /// The one that is good until now.
    password: Text<1, 256>,
    /// At least 8 characters.
    new_password: Password,
}

async fn change_password(call: Call, input: ChangePassword) -> Result<Done, Problem> {
    let person = people::by_id(call.pool(), call.user()?).await?;
    let person = person.ok_or_else(|| unauthenticated("the account is gone"))?;
    let mut attempt = call.services.limits.login(&person.email, call.address, call.clock().now())?;
    if !call.services.passwords.check(input.password.to_string(), person.password_hash).await {
        return Err(Problem::new(problem::BAD_CREDENTIALS, "this is not the account's password"));
    }
    attempt.forgive();
    people::set_password(call.pool(), person.id, &hashed(&call, &input.new_password).await?).await?;
    let this = match call.identity()?.credential {
        Credential::Login(this) => Some(this),
        Credential::Key(_) => None,
    };
    ended(&call, logins::end_all(call.pool(), person.id, this, ending(&call)).await?);
    Ok(Done { ok: true })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn me(call: Call, _: Nothing) -> Result<UserView, Problem> {
    let person = people::by_id(call.pool(), call.user()?).await?;
    person.map(UserView::from).ok_or_else(|| unauthenticated("the account is gone"))
}
