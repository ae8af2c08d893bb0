//! A person who uses Link over HTTP, as anybody would.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

static COUNT: AtomicU32 = AtomicU32::new(0);
/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client as any program would make one.
pub fn http() -> Client {
    Client::builder().no_proxy().build().expect("the defaults are fine")
}

/// A logged-in person.
#[derive(Clone)]
pub struct Person {
    pub url: String,
    pub token: String,
    pub refresh_token: String,
    pub email: String,
    pub id: String,
    pub http: Client,
}

/// An answer of the server.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// Returns the body of a success.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{}: {:#}", self.status, self.body);
        self.body
    }

    /// Checks that it is a problem with this code, and returns it.
    #[track_caller]
    pub fn problem(self, code: &str) -> Value {
        assert_eq!(self.body["code"], code, "{}: {:#}", self.status, self.body);
        assert!(self.body["next_actions"].as_array().is_some_and(|actions| !actions.is_empty()));
        assert!(self.body["trace_id"].as_str().is_some_and(|trace| trace.len() == 32), "{:#}", self.body);
        self.body
    }
}

impl Person {
    /// Registers a new person.
    pub async fn register(url: &str, name: &str) -> Self {
        let http = http();
        let email = format!("{}{}@example.org", name.to_lowercase(), COUNT.fetch_add(1, Ordering::Relaxed));
        let body = json!({"email": email, "name": name, "password": "correct horse"});
        let answer = http.post(format!("{url}/api/v1/auth/register")).json(&body).send().await.expect("it answers");
        let body: Value = answer.json().await.expect("it answers in JSON");
        Self::logged_in(url, &body)
    }

    /// Logs the same person in once more.
    pub async fn login(&self) -> Self {
        let body = json!({"email": self.email, "password": "correct horse"});
        Self::logged_in(&self.url, &self.post("/auth/login", body).await)
    }

    /// Takes the tokens of an answer.
    pub fn logged_in(url: &str, body: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{body:#}")).to_owned();
        Self {
            url: url.to_owned(),
            token: text(&body["access_token"]),
            refresh_token: text(&body["refresh_token"]),
            email: text(&body["user"]["email"]),
            id: text(&body["user"]["id"]),
            http: http(),
        }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>, key: Option<&str>) -> Answer {
        self.try_send(method, path, body, key).await.expect("the server answers")
    }

    /// The same, where the server may be dead.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}/api/v1{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.timeout(PATIENCE).send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None, None).await.ok()
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, Some(&body), None).await.ok()
    }

    pub async fn try_post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(&body), None).await
    }

    /// Makes a workspace and returns its id.
    pub async fn workspace(&self, name: &str) -> String {
        id(&self.post("/workspaces", json!({"name": name})).await)
    }

    /// Makes a project and returns its id.
    pub async fn project(&self, workspace: &str, name: &str) -> String {
        id(&self.post(&format!("/workspaces/{workspace}/projects"), json!({"name": name})).await)
    }

    /// Makes a ready task and returns its id.
    pub async fn task(&self, project: &str, title: &str) -> String {
        let body = json!({"title": title, "description": "as the title says"});
        id(&self.post(&format!("/projects/{project}/tasks"), body).await)
    }

    /// Lets another person in.
    pub async fn invite(&self, workspace: &str, other: &Person, role: &str) {
        self.post(&format!("/workspaces/{workspace}/members"), json!({"user_id": other.id, "role": role})).await;
    }

    /// Registers an agent that follows a script, and returns its id.
    pub async fn scripted(&self, workspace: &str, name: &str, script: &str) -> String {
        let instances = json!([{"url": format!("script:{script}")}]);
        let body = json!({"name": name, "runtime": "scripted", "instances": instances});
        id(&self.post(&format!("/workspaces/{workspace}/agents"), body).await)
    }

    /// Delegates a task and returns the delegation's id.
    pub async fn delegate(&self, task: &str, agent: &str) -> String {
        id(&self.post(&format!("/tasks/{task}/delegations"), json!({"agent_id": agent})).await)
    }

    /// Waits until something is as it should be.
    pub async fn until(&self, path: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(answer) = self.try_send(Method::GET, path, None, None).await {
                last = answer.body;
                if test(&last) {
                    return last;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("not within {PATIENCE:?}: {what}; last seen {last:#}");
    }

    /// Waits until a delegation is in one of these states.
    pub async fn until_delegation(&self, id: &str, states: &[&str]) -> Value {
        let wanted = |seen: &Value| seen["status"].as_str().is_some_and(|status| states.contains(&status));
        self.until(&format!("/delegations/{id}"), &format!("{states:?}"), wanted).await
    }

    /// Reads the whole log.
    pub async fn log(&self, workspace: &str) -> Vec<Value> {
        let mut events = vec![];
        loop {
            let page = self.get(&format!("/workspaces/{workspace}/events?limit=200&after={}", events.len())).await;
            let page = page["events"].as_array().expect("a page has events").clone();
            if page.is_empty() {
                return events;
            }
            events.extend(page);
        }
    }
}

/// Returns the id of an answer.
#[track_caller]
pub fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("no id in {body:#}")).to_owned()
}
