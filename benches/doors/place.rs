//! Where the calls go: people with a workspace, a project for each caller, and one with a board.

use reqwest::Client;
use serde_json::{Value, json};

/// Cards of the board that is read.
const CARDS: usize = 100;

/// What is called.
#[derive(Clone, Copy)]
pub enum What {
    Create,
    Board,
}

impl What {
    pub fn operation(self) -> &'static str {
        match self {
            Self::Create => "tasks.create",
            Self::Board => "projects.board",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Create => "`tasks.create`, a project per caller",
            Self::Board => "`projects.board`, 100 cards",
        }
    }
}

/// Callers that are the same person: together they may have no more than 256 calls under way.
const CALLERS_EACH: usize = 16;

/// A place on one server.
pub struct Place {
    pub url: String,
    tokens: Vec<String>,
    pub http: Client,
    projects: Vec<String>,
    board: String,
}

impl Place {
    pub async fn make(url: &str, callers: usize) -> Self {
        let http = Client::builder().no_proxy().build().expect("the defaults are fine");
        let mut place = Self { url: url.into(), tokens: vec![], http, projects: vec![], board: String::new() };
        let mut others = vec![];
        for nth in 0..callers.div_ceil(CALLERS_EACH) {
            let person =
                json!({"email": format!("bench{nth}@example.org"), "name": "Bench", "password": "correct horse"});
            let person = place.post("/auth/register", person).await;
            place.tokens.push(person["access_token"].as_str().expect("a login has a token").into());
            others.push(person["user"]["id"].clone());
        }
        let workspace = id(&place.post("/workspaces", json!({"name": "Bench"})).await);
        for other in others.split_off(1) {
            place.post(&format!("/workspaces/{workspace}/members"), json!({"user_id": other, "role": "member"})).await;
        }
        for nth in 0..=callers {
            let made = json!({"name": format!("Project {nth}"), "key": format!("P{nth}")});
            let project = place.post(&format!("/workspaces/{workspace}/projects"), made).await;
            place.projects.push(id(&project));
        }
        place.board = place.projects.pop().expect("one more than callers");
        for nth in 0..CARDS {
            let card = json!({"title": format!("Card {nth}"), "description": "as the title says"});
            place.post(&format!("/projects/{}/tasks", place.board), card).await;
        }
        place
    }

    /// The token of a caller.
    pub fn token(&self, caller: usize) -> &str {
        &self.tokens[caller / CALLERS_EACH]
    }

    /// What a caller says.
    pub fn input(&self, caller: usize, what: What) -> Value {
        match what {
            What::Create => {
                let project = &self.projects[caller];
                json!({"project_id": project, "title": "Weigh the anchor", "description": "as the title says"})
            }
            What::Board => json!({"project_id": self.board}),
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let owner = self.tokens.first().map(String::as_str).unwrap_or_default();
        let request = self.http.post(format!("{}/api/v1{path}", self.url)).bearer_auth(owner).json(&body);
        let answer = request.send().await.expect("it answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("it answers in JSON")
    }
}

fn id(made: &Value) -> String {
    made["id"].as_str().expect("what was made has an id").to_owned()
}
