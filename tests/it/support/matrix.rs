//! Every operation, called in every wrong way: requests are made from the operation table itself.

use std::collections::{BTreeMap, BTreeSet};

use link::api::{Method, Operation, problem::CODES};
use reqwest::Client;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::person::{PATIENCE, Person, id};

/// A workspace with one of everything, so that every operation has something to work on.
pub struct World {
    pub person: Person,
    things: BTreeMap<&'static str, String>,
}

impl World {
    pub async fn build(url: &str, name: &str) -> Self {
        let person = Person::register(url, name).await;
        let other = Person::register(url, "Other").await;
        let workspace = person.workspace("Lab").await;
        person.invite(&workspace, &other, "member").await;
        let project = person.project(&workspace, "Moon base").await;
        let task = person.task(&project, "Write").await;
        let second = person.task(&project, "Read").await;
        let agent = person.scripted(&workspace, "Sleeper", "say Zzz; silent").await;
        let instance = person.get(&format!("/agents/{agent}")).await["instances"][0]["id"].clone();
        let delegation = person.delegate(&task, &agent).await;
        let conversations = format!("/workspaces/{workspace}/conversations");
        let conversation = id(&person.post(&conversations, json!({"type": "channel", "title": "Hall"})).await);
        let words = json!({"parts": [{"type": "text", "text": "hello"}]});
        let message = id(&person.post(&format!("/conversations/{conversation}/messages"), words.clone()).await);
        let at = json!({"at_message_id": message});
        let branch = id(&person.post(&format!("/conversations/{conversation}/branches"), at).await);
        person.post(&format!("/conversations/{branch}/messages"), words.clone()).await;
        let (webhook, delivery) = webhook(&person, &workspace).await;
        let (document, suggestion) = document(&person, &project).await;
        let roles = format!("/workspaces/{workspace}/roles");
        let role = id(&person.post(&roles, json!({"name": "Nobody", "permissions": []})).await);
        let grants = format!("/workspaces/{workspace}/grants");
        let (subject, principal) = (format!("task:{second}"), format!("user:{}", other.id));
        let grant = json!({"subject": subject, "principal": principal, "effect": "allow", "permissions": ["review"]});
        let grant = id(&person.post(&grants, grant).await);
        let services = format!("/workspaces/{workspace}/services");
        let service = id(&person.post(&services, json!({"name": "Build", "role": "member"})).await);
        let checkpoint = id(&person.post(&format!("/tasks/{task}/checkpoints"), json!({"name": "Draft"})).await);
        let (subject, rights) = (format!("task:{second}"), format!("/workspaces/{workspace}/decision_rights"));
        let right = json!({"agent_id": agent, "subject": subject, "decides": ["question"]});
        let right = id(&person.post(&rights, right).await);
        let teams = format!("/workspaces/{workspace}/teams");
        let team = json!({"name": "Kitchen", "members": [format!("user:{}", other.id), format!("agent:{agent}")]});
        let team = id(&person.post(&teams, team).await);
        let things = [
            ("team_id", team),
            ("checkpoint_id", checkpoint),
            ("right_id", right),
            ("service_id", service),
            ("role_id", role),
            ("grant_id", grant),
            ("workspace_id", workspace),
            ("project_id", project),
            ("task_id", task),
            ("depends_on", second),
            ("agent_id", agent),
            ("instance_id", instance.as_str().expect("it has one instance").to_owned()),
            ("delegation_id", delegation),
            ("conversation_id", conversation.clone()),
            ("at_message_id", message.clone()),
            ("message_id", message),
            ("document_id", document),
            ("suggestion_id", suggestion),
            ("webhook_id", webhook),
            ("delivery_id", delivery),
            ("key_id", id(&person.post("/auth/api_keys", json!({"name": "A key"})).await)),
            ("into_id", conversation.clone()),
            ("branch", branch),
            ("user_id", other.id),
            ("someone", Person::register(url, "Someone").await.id),
        ];
        Self { person, things: things.into() }
    }

    /// Returns the id of a thing, by the field that names it.
    pub fn id(&self, field: &str) -> &str {
        self.things.get(field).unwrap_or_else(|| panic!("nothing is called {field}"))
    }

    /// Returns the field that names a thing of this world, if it is one.
    pub fn names(&self, field: &str) -> bool {
        self.things.contains_key(field)
    }

    /// Returns a good value for a field.
    pub fn good(&self, operation: &str, field: &str) -> Value {
        match field {
            _ if self.names(field) => json!(self.id(field)),
            "status" => json!("online"),
            "topic" => json!(format!("task:{}", self.id("task_id"))),
            "on" => json!(true),
            "email" => json!("nobody@example.org"),
            "password" | "new_password" => json!("correct horse"),
            "refresh_token" => json!("link_rt_none"),
            "code" => json!("link_lc_none"),
            "name" | "title" => json!("A name"),
            "role" => json!("member"),
            "permissions" => json!(["read"]),
            "effect" => json!("allow"),
            "subject" => json!(format!("project:{}", self.id("project_id"))),
            "principal" => json!(format!("user:{}", self.id("user_id"))),
            "decides" => json!(["question"]),
            "decision" => json!({"review": {"verdict": "approve"}}),
            "approvers" => json!([format!("user:{}", self.id("user_id"))]),
            "members" => json!([format!("user:{}", self.person.id)]),
            "to" => json!("backlog"),
            "q" => json!("write"),
            "changes" => json!([{"kind": "append", "text": "More."}]),
            "accept" => json!(true),
            "answer" => json!("green"),
            "verdict" => json!("approve"),
            "type" => json!("channel"),
            "participant" => json!(format!("user:{}", self.id("user_id"))),
            "parts" if operation == "delegation.fan_out" => {
                json!([{"title": "Half", "instructions": "Do half of it."}])
            }
            "parts" => json!([{"type": "text", "text": "hello"}]),
            "emoji" => json!("+1"),
            "seq" => json!(1),
            "runtime" => json!("scripted"),
            "url" if operation.starts_with("webhooks.") => json!("https://hooks.invalid/link"),
            "url" => json!("script:say Hello."),
            _ => panic!("say what a good {field} is"),
        }
    }

    /// Returns a good input of an operation: what is required, and no more.
    pub fn input(&self, operation: &Operation) -> Map<String, Value> {
        let shape = Shape::of(operation);
        let mut input: Map<_, _> =
            shape.required.iter().map(|field| (field.clone(), self.good(operation.name, field))).collect();
        if operation.name == "delegation.fan_out" {
            // The first task has an agent at work, which would be stopped.
            input.insert("task_id".into(), self.good(operation.name, "depends_on"));
        }
        if operation.name == "workspaces.add_member" {
            input.insert("user_id".into(), self.good(operation.name, "user_id"));
        }
        if operation.name == "conversations.merge" {
            input.insert("conversation_id".into(), self.good(operation.name, "branch"));
        }
        if operation.name == "penguin.reconcile" {
            input.insert("delegation_id".into(), self.good(operation.name, "delegation_id"));
        }
        input
    }
}

/// A webhook that heard of its own change, and the delivery of that.
/// A document with some text and a proposal.
async fn document(person: &Person, project: &str) -> (String, String) {
    let document = id(&person.post(&format!("/projects/{project}/documents"), json!({"title": "Menu"})).await);
    let changes = json!({"changes": [{"kind": "append", "text": "Soup"}]});
    person.post(&format!("/documents/{document}/edit"), changes.clone()).await;
    let suggestion = id(&person.post(&format!("/documents/{document}/suggestions"), changes).await);
    (document, suggestion)
}

async fn webhook(person: &Person, workspace: &str) -> (String, String) {
    let body = json!({"url": "https://hooks.invalid/link", "events": ["webhook:*"]});
    let webhook = id(&person.post(&format!("/workspaces/{workspace}/webhooks"), body).await);
    let change = json!({"description": "for tests"});
    person.send(reqwest::Method::PATCH, &format!("/webhooks/{webhook}"), Some(&change), None).await.ok();
    let path = format!("/webhooks/{webhook}/deliveries");
    let seen = person.until(&path, "the change was taken up", |seen| seen["items"][0].is_object()).await;
    (webhook, id(&seen["items"][0]))
}

/// The input of an operation, as its schema describes it.
pub struct Shape {
    pub fields: Map<String, Value>,
    pub required: BTreeSet<String>,
    definitions: Map<String, Value>,
}

impl Shape {
    pub fn of(operation: &Operation) -> Self {
        let mut schemas = SchemaGenerator::default();
        let schema = (operation.input)(&mut schemas).to_value();
        let definitions = schemas.definitions().clone();
        let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()).expect("inputs are named");
        let schema = &definitions[name];
        let fields = schema["properties"].as_object().cloned().unwrap_or_default();
        let required = schema["required"].as_array().into_iter().flatten().filter_map(|name| name.as_str());
        Self { fields, required: required.map(str::to_owned).collect(), definitions }
    }

    /// Tells whether a field may hold a value of this kind at all.
    pub fn admits(&self, field: &str, value: &Value) -> bool {
        self.fields.get(field).is_some_and(|schema| self.allows(schema, value))
    }

    fn allows(&self, schema: &Value, value: &Value) -> bool {
        if let Some(path) = schema["$ref"].as_str() {
            return self.allows(&self.definitions[path.rsplit('/').next().unwrap_or_default()], value);
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                return choices.iter().any(|choice| self.allows(choice, value));
            }
        }
        let named = |kind: &Value| match kind.as_str() {
            Some("string") => value.is_string(),
            Some("integer") => value.is_u64() || value.is_i64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            Some("null") => value.is_null(),
            _ => true,
        };
        match &schema["type"] {
            Value::Array(kinds) => kinds.iter().any(named),
            Value::Null if schema.get("const").is_some() => schema["const"] == *value,
            Value::Null if schema.get("enum").is_some() => value.is_string(),
            kind => named(kind),
        }
    }
}

/// One request.
#[derive(Clone)]
pub struct Shot {
    pub what: String,
    pub method: reqwest::Method,
    /// Below the server's address, with the query.
    pub path: String,
    pub body: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

impl Shot {
    /// A request as the operation wants it.
    pub fn of(operation: &Operation, input: &Map<String, Value>, token: Option<&str>) -> Self {
        let mut rest = input.clone();
        let mut path = format!("/api/v1{}", operation.path);
        for field in operation.path_fields() {
            let value = rest.remove(field).unwrap_or_default();
            path = path.replace(&format!("{{{field}}}"), &escaped(&plain(&value)));
        }
        let mut shot = Self {
            what: operation.name.into(),
            method: operation.method.name().parse().expect("it is a method"),
            path,
            body: None,
            headers: token.map(|token| ("authorization", format!("Bearer {token}").into_bytes())).into_iter().collect(),
        };
        match operation.method {
            Method::Get => {
                let pairs: Vec<String> =
                    rest.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(&plain(value)))).collect();
                shot.path = format!("{}?{}", shot.path, pairs.join("&"));
            }
            Method::Post | Method::Patch | Method::Delete => shot = shot.json(Value::Object(rest).to_string()),
        }
        shot
    }

    pub fn json(self, body: impl Into<Vec<u8>>) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    pub fn query(mut self, query: &str) -> Self {
        let path = self.path.split('?').next().unwrap_or_default();
        self.path = format!("{path}?{query}");
        self
    }

    pub fn called(mut self, what: &str) -> Self {
        self.what = format!("{} with {what}", self.what);
        self
    }

    pub async fn fire(&self, http: &Client, url: &str) -> Hit {
        let mut request = http.request(self.method.clone(), format!("{url}{}", self.path)).timeout(PATIENCE);
        for (name, value) in &self.headers {
            let value = reqwest::header::HeaderValue::from_bytes(value).expect("it can be sent");
            request = request.header(*name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{}: {error:?}", self.what));
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (kind, allow) = (header("content-type").unwrap_or_default(), header("allow"));
        let (what, status) = (self.what.clone(), answer.status().as_u16());
        let bytes = answer.bytes().await.unwrap_or_default();
        Hit { what, status, kind, allow, length: bytes.len(), body: serde_json::from_slice(&bytes).unwrap_or_default() }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Escapes everything that an address may not hold as it is.
pub fn escaped(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~".contains(&byte);
    text.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// What came back.
#[derive(Debug)]
pub struct Hit {
    pub what: String,
    pub status: u16,
    pub kind: String,
    pub allow: Option<String>,
    pub length: usize,
    pub body: Value,
}

impl Hit {
    /// Checks that it is a whole problem of the caller's making, and returns its code.
    #[track_caller]
    pub fn refused(&self) -> &str {
        assert!((400..500).contains(&self.status), "{}: {} {:#}", self.what, self.status, self.body);
        assert_eq!(self.kind, "application/problem+json", "{}", self.what);
        let code = self.body["code"].as_str().unwrap_or_default();
        let known = CODES.iter().find(|known| known.name == code);
        let known = known.unwrap_or_else(|| panic!("{}: no known code in {:#}", self.what, self.body));
        assert_eq!((known.status, self.body["status"].as_u64()), (self.status, Some(self.status.into())));
        assert_eq!(self.body["title"], known.title, "{}", self.what);
        assert!(self.body["next_actions"].as_array().is_some_and(|next| !next.is_empty()), "{}", self.what);
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{}", self.what);
        let trace = self.body["trace_id"].as_str().unwrap_or_default();
        assert!(trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()), "{}: {:#}", self.what, self.body);
        assert!(self.length < 8_192, "{}: the problem repeats {} bytes", self.what, self.length);
        code
    }

    #[track_caller]
    pub fn is(&self, code: &str) {
        assert_eq!(self.refused(), code, "{}: {:#}", self.what, self.body);
    }

    /// Checks that it is a success, or a whole problem.
    #[track_caller]
    pub fn is_no_accident(&self) {
        if !(200..300).contains(&self.status) {
            self.refused();
        }
    }
}
