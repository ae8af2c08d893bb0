//! `auth`: people, their passwords and tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{
        ids::UserId,
        permission::Permission as P,
        text::{Text, Title},
    },
    persistence::people::{self, NewToken, Person, Shown},
};

use super::{
    call::Call,
    problem::{self, Problem},
    table::{Method, Operation},
    tokens::{self, ACCESS_LIFE, REFRESH_LIFE, REFRESH_OVERLAP},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::mutation("auth.register", Method::Post, "/auth/register", register)
            .needs(P::Public, None)
            .creates()
            .doc("Makes an account and logs it in."),
        Operation::mutation("auth.login", Method::Post, "/auth/login", login)
            .needs(P::Public, None)
            .doc("Gives tokens for an address and a password."),
        Operation::mutation("auth.refresh", Method::Post, "/auth/refresh", refresh)
            .needs(P::Public, None)
            .doc("Gives new tokens for a refresh token, which is spent. Showing a spent one again ends the login."),
        Operation::mutation("auth.logout", Method::Post, "/auth/logout", logout)
            .needs(P::Public, None)
            .doc("Ends the login that a refresh token belongs to."),
        Operation::query("auth.me", "/auth/me", me).needs(P::Signed, None).doc("Says whose token it is."),
    ]
}

/// An address, as far as its form can tell.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Email(String);

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
    let hash = call.services.passwords.hash(input.password.to_string()).await;
    let password_hash = hash.ok_or_else(|| Problem::new(problem::INTERNAL, "the password could not be hashed"))?;
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
    logged_in(&call, person, call.clock().id()).await
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
    let hash = person.as_ref().map(|person| person.password_hash.clone());
    let right = call.services.passwords.check(input.password.to_string(), hash).await;
    match person.filter(|_| right) {
        Some(person) => {
            attempt.forgive();
            logged_in(&call, person, call.clock().id()).await
        }
        None => Err(Problem::new(problem::BAD_CREDENTIALS, "no account has this address and this password")),
    }
}

async fn logged_in(call: &Call, person: Person, family: uuid::Uuid) -> Result<LoggedIn, Problem> {
    let now = call.clock().now();
    let failed = || Problem::new(problem::INTERNAL, "no token could be made");
    let (refresh_token, hash) = tokens::refresh_token().ok_or_else(failed)?;
    let token = NewToken { hash, user: person.id, family, issued_at: now, expires_at: now + REFRESH_LIFE };
    people::issue(call.pool(), &token).await?;
    let access_token = call.services.keys.access(person.id, now).map_err(|_| failed())?;
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
    let refused = |detail| Err(Problem::new(problem::UNAUTHENTICATED, detail));
    match people::spend(call.pool(), &hash, call.clock().now(), REFRESH_OVERLAP).await? {
        Shown::Good { user, family } => match people::by_id(call.pool(), user).await? {
            Some(person) => logged_in(&call, person, family).await,
            None => refused("the account is gone"),
        },
        Shown::Reused => refused("this refresh token was used before: the login has ended, log in again"),
        Shown::Worthless => refused("this refresh token is not, or no longer, good: log in again"),
    }
}

/// Nothing more to say.
#[derive(Serialize, JsonSchema)]
struct Done {
    ok: bool,
}

async fn logout(call: Call, input: Refresh) -> Result<Done, Problem> {
    people::revoke(call.pool(), &tokens::sha256(input.refresh_token.as_bytes()), call.clock().now()).await?;
    Ok(Done { ok: true })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn me(call: Call, _: Nothing) -> Result<UserView, Problem> {
    let person = people::by_id(call.pool(), call.user()?).await?;
    person.map(UserView::from).ok_or_else(|| Problem::new(problem::UNAUTHENTICATED, "the account is gone"))
}
