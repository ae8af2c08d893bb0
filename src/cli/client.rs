//! Calls operations over REST. A call that changes something carries an idempotency key, so that sending it again
//! after a hiccup does nothing twice; an access token that has ended is replaced once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{
    api::{
        Kind, Method, Operation, Table,
        problem::{self, Problem},
    },
    clock::Clock,
};

use super::{
    context::{Context, Login, Store, Wanted},
    error::Error,
};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Pauses before a call that may succeed later is sent again.
const PAUSES_MS: [u64; 3] = [200, 800, 2_000];
/// How often one call may get a new access token: what another process got may have ended meanwhile too.
pub(super) const REFRESHES_MAX: u8 = 2;

/// A server and who speaks to it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    table: Arc<Table>,
    http: reqwest::Client,
    server: String,
    login: Arc<Mutex<Option<Login>>>,
    /// The workspace that is meant when none is named.
    workspace: Option<String>,
    /// Where a new login is remembered, and under which name.
    home: Option<(Store, String)>,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    /// What was asked for.
    pub body: Value,
    /// Where the change is in the log.
    pub offset: Option<u64>,
}

impl Client {
    /// Makes the client of the context that is wanted. A token of the environment speaks instead of its login.
    pub fn of(table: Arc<Table>, wanted: &Wanted) -> Result<Self, Error> {
        let store = Store::open()?;
        let (name, context) = store.load()?.find(wanted)?;
        Self::at_home(table, store, name, context)
    }

    /// The same for whoever comes to log in: what is wanted may be new.
    pub fn newcomer(table: Arc<Table>, wanted: &Wanted) -> Result<Self, Error> {
        let store = Store::open()?;
        let (name, context) = store.load()?.find_or_make(wanted);
        Self::at_home(table, store, name, context)
    }

    fn at_home(table: Arc<Table>, store: Store, name: String, context: Context) -> Result<Self, Error> {
        let mut client = Self::new(table, context.server)?;
        let login = token_of_the_environment().map(|token| Login::with_token("", token)).or(context.login);
        client.login = Arc::new(Mutex::new(login));
        client.workspace = context.workspace;
        client.home = Some((store, name));
        Ok(client)
    }

    /// Makes a client that knows nobody yet and remembers nothing.
    pub fn new(table: Arc<Table>, server: String) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("link-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if ["://127.", "://localhost", "://[::1]"].iter().any(|local| server.contains(local)) {
            http = http.no_proxy();
        }
        let http = http.build().context("setting up HTTP")?;
        Ok(Self { table, http, server, login: Arc::default(), workspace: None, home: None })
    }

    /// Returns where the server is.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Returns the operations.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the current login, if there is one.
    pub fn login(&self) -> Option<Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the workspace that is meant when none is named, if the context says one.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Returns the name of the context, if the client has one.
    pub fn context(&self) -> Option<&str> {
        self.home.as_ref().map(|(_, name)| name.as_str())
    }

    /// Speaks as this login from now on, without remembering it.
    pub fn speak_as(&self, login: Option<Login>) {
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = login;
    }

    /// Takes on a login and remembers it; its context becomes the current one.
    pub async fn enter(&self, login: Login) -> Result<(), Error> {
        if let Some((store, name)) = &self.home {
            let locked = store.lock().await?;
            let mut contexts = locked.load()?;
            let context = contexts.contexts.remove(name).filter(|known| known.server == self.server);
            let mut context = context.unwrap_or_else(|| Context::at(&self.server));
            context.enter(login.clone());
            contexts.contexts.insert(name.clone(), context);
            contexts.current = Some(name.clone());
            locked.save(&contexts)?;
        }
        self.speak_as(Some(login));
        Ok(())
    }

    /// Forgets the login, here and where it is remembered; the context stays.
    pub async fn leave(&self) -> Result<(), Error> {
        if let Some((store, name)) = &self.home {
            let locked = store.lock().await?;
            let mut contexts = locked.load()?;
            if let Some(context) = contexts.contexts.get_mut(name) {
                context.login = None;
            }
            locked.save(&contexts)?;
        }
        self.speak_as(None);
        Ok(())
    }

    /// Calls an operation by name.
    pub async fn call(&self, name: &str, input: Value) -> Result<Reply, Error> {
        self.call_with_key(name, input, None).await
    }

    /// Calls an operation under an idempotency key of the caller's.
    pub async fn call_with_key(&self, name: &str, input: Value, key: Option<String>) -> Result<Reply, Error> {
        let operation =
            self.table.find(name).ok_or_else(|| Error::Usage(format!("no operation is called `{name}`")))?;
        let Value::Object(input) = input else {
            return Err(Error::Usage("the input must be a JSON object".into()));
        };
        let key = key.unwrap_or_else(|| Clock::default().id::<Uuid>().to_string());
        let (mut pauses, mut refreshes) = (PAUSES_MS.into_iter(), 0);
        loop {
            match self.send(operation, input.clone(), &key).await {
                Err(Error::Problem(problem)) if problem.code == problem::UNAUTHENTICATED.name => {
                    refreshes += 1;
                    if refreshes > REFRESHES_MAX || !self.refresh().await? {
                        return Err(Error::Problem(problem));
                    }
                }
                Err(Error::Problem(problem)) if problem.retryable => match pauses.next() {
                    Some(pause_ms) => tokio::time::sleep(Duration::from_millis(pause_ms)).await,
                    None => return Err(Error::Problem(problem)),
                },
                answer => return answer,
            }
        }
    }

    /// Gets a new access token; false when there is nothing to get it with. Only one process asks for it at a time:
    /// whoever comes second takes what the first one got, since a refresh token is good only once.
    pub async fn refresh(&self) -> Result<bool, Error> {
        let Some(mine) = self.login().filter(|login| !login.refresh_token.is_empty()) else { return Ok(false) };
        let Some((store, name)) = &self.home else {
            self.speak_as(Some(self.renewed(&mine).await?));
            return Ok(true);
        };
        let locked = store.lock().await?;
        let known = locked.load()?.contexts.remove(name).filter(|context| context.server == self.server);
        let known = known.and_then(|context| context.login).filter(|known| known.who == mine.who);
        if let Some(newer) = known.clone().filter(|known| known.refresh_token != mine.refresh_token) {
            self.speak_as(Some(newer));
            return Ok(true);
        }
        let login = self.renewed(&mine).await?;
        let mut contexts = locked.load()?;
        if let Some(context) = contexts.contexts.get_mut(name).filter(|_| known.is_some()) {
            context.login = Some(login.clone());
            locked.save(&contexts)?;
        }
        self.speak_as(Some(login));
        Ok(true)
    }

    async fn renewed(&self, login: &Login) -> Result<Login, Error> {
        let operation = self.table.find("auth.refresh").context("the table has no `auth.refresh`")?;
        let Value::Object(input) = json!({"refresh_token": login.refresh_token}) else { return Err(no_login()) };
        let key = Clock::default().id::<Uuid>().to_string();
        let reply = match self.send(operation, input.clone(), &key).await {
            // The answer may be what was lost; the server takes a token that it has just seen once more.
            Err(Error::Unreachable { .. }) => self.send(operation, input, &key).await?,
            reply => reply?,
        };
        Login::of(&reply.body).ok_or_else(no_login)
    }

    async fn send(&self, operation: &Operation, mut input: Map<String, Value>, key: &str) -> Result<Reply, Error> {
        let path = path(operation, &mut input)?;
        let url = format!("{}/api/v1{path}", self.server);
        let mut request = match operation.method {
            Method::Get => self.http.get(format!("{url}?{}", query(&input))),
            Method::Post => self.http.post(url).json(&input),
            Method::Patch => self.http.patch(url).json(&input),
            Method::Delete => self.http.delete(url).json(&input),
        };
        if let Some(login) = self.login() {
            request = request.bearer_auth(login.access_token);
        }
        if operation.kind == Kind::Mutation {
            request = request.header("idempotency-key", key);
        }
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            server: self.server.clone(),
            cause: deepest(&error.without_url()),
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let offset = response.headers().get("link-offset").and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            let body = serde_json::from_slice(&body).map_err(|_| self.stranger(status))?;
            return Ok(Reply { body, offset });
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| self.stranger(status))?;
        Err(problem.into())
    }

    fn stranger(&self, status: StatusCode) -> Error {
        let cause = format!("status {status} with a body that is not Link's");
        Error::Unreachable { server: self.server.clone(), cause }
    }
}

/// Returns the token that speaks instead of any login.
pub(super) fn token_of_the_environment() -> Option<String> {
    std::env::var("LINK_TOKEN").ok().filter(|token| !token.is_empty())
}

/// What is said when an answer should hold a login and does not.
pub(super) fn no_login() -> Error {
    Error::Local(anyhow::anyhow!("the server's answer holds no login"))
}

/// Fills the path; the fields in it are taken out of the input.
fn path(operation: &Operation, input: &mut Map<String, Value>) -> Result<String, Error> {
    let mut path = operation.path.to_owned();
    for field in operation.path_fields() {
        let value = input.remove(field);
        let text = value.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty());
        let text = text.ok_or_else(|| Error::Usage(format!("{} needs the field `{field}`", operation.name)))?;
        path = path.replace(&format!("{{{field}}}"), &escaped(text));
    }
    Ok(path)
}

fn query(input: &Map<String, Value>) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let given = input.iter().filter(|(_, value)| !value.is_null());
    let pairs = given.map(|(name, value)| format!("{}={}", escaped(name), escaped(&text(value))));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn deepest(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_path_leave_the_input() {
        let table = crate::api::table();
        let operation = table.find("tasks.transition").unwrap();
        let mut input = Map::new();
        assert!(matches!(path(operation, &mut input), Err(Error::Usage(_))));
        input.insert("task_id".into(), json!("a/b?c"));
        input.insert("to".into(), json!("done"));
        assert_eq!(path(operation, &mut input).unwrap(), "/tasks/a%2Fb%3Fc/transition");
        assert_eq!(Value::Object(input), json!({"to": "done"}));
    }

    #[test]
    fn a_query_is_escaped() {
        let Value::Object(input) = json!({"q": "a b&c=ü", "limit": 5, "cursor": null}) else { panic!("an object") };
        assert_eq!(query(&input), "limit=5&q=a%20b%26c%3D%C3%BC");
    }
}
