//! The people, the project and the agents of the demo.

use std::sync::Arc;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::api::{Table, problem};

use super::super::{client::Client, context::Login, error::Error, output::plain};

/// Ada's address.
pub(super) const ADA: &str = "ada@demo.example";
/// Ben's address.
pub(super) const BEN: &str = "ben@demo.example";
/// Both people's password: everything in a demo is public.
pub(super) const PASSWORD: &str = "link-demo-password";

/// What the first agent does: it works, asks a person and hands in a file.
const WRITER: &str = r"
wait 200ms
say I was given: {title}. Let me read what has changed since the last release.
progress 10 reading the history
tool shell git log --oneline v1.3..HEAD
wait 300ms
progress 30 drafting
say Three things stand out: search is twice as fast, boards update live, and two bugs are gone.
usage 1800 240 0.0094
ask Shall the notes name the people who reported the two bugs?
progress 60 writing docs/release-1.4.md
write docs/release-1.4.md # Release 1.4\n\n- Search is twice as fast.\n- Boards update live.\n- Two bugs are gone, thanks to those who reported them.\n
tool shell markdownlint docs/release-1.4.md: no complaints
progress 100 done
usage 4200 910 0.0263
say The notes are in docs/release-1.4.md and follow the house style.
";

/// What the second agent does: it needs what the first one made.
const PUBLISHER: &str = r"
wait 200ms
say Publishing what was approved.
progress 20 building the site
tool shell zola build: 42 pages
wait 300ms
progress 70 testing every link
tool shell lychee: 311 links, none broken
write public/release-1.4/index.html <h1>Release 1.4</h1>
usage 900 150 0.0041
progress 100 done
say The page is built and every link in it works.
";

/// Everything that the story needs to know.
pub(super) struct Scene {
    /// She delegates.
    pub ada: Client,
    /// He answers and reviews.
    pub ben: Client,
    /// Where it happens.
    pub workspace: String,
    /// What it is for.
    pub project: String,
    /// The first task.
    pub notes: String,
    /// It waits for the first one.
    pub page: String,
    /// Writes the notes.
    pub writer: String,
    /// Publishes the page.
    pub publisher: String,
}

/// Makes everything, through the same calls that a person would make.
pub(super) async fn seed(table: Arc<Table>, server: &str) -> Result<Scene, Error> {
    let ada = person(&table, server, "Ada", ADA).await?;
    let ben = person(&table, server, "Ben", BEN).await?;
    let made = async |operation: &str, input: Value| -> Result<String, Error> {
        Ok(plain(&ada.call(operation, input).await?.body["id"]))
    };
    let workspace = made("workspaces.create", json!({"name": "Lighthouse"})).await?;
    let member = json!({"workspace_id": workspace, "email": BEN, "role": "member"});
    ada.call("workspaces.add_member", member).await?;
    let project = json!({"workspace_id": workspace, "name": "Release 1.4", "key": "REL"});
    let project = made("projects.create", project).await?;
    let agent = |name: &str, script: &str| {
        let url = format!("script:{script}");
        json!({"workspace_id": workspace, "name": name, "runtime": "scripted", "instances": [{"url": url}]})
    };
    let writer = made("agents.register", agent("Quill", WRITER)).await?;
    let publisher = made("agents.register", agent("Press", PUBLISHER)).await?;
    let notes = json!({
        "project_id": project, "title": "Write the release notes",
        "description": "What changed since 1.3, in words that users understand.", "priority": "high",
    });
    let notes = made("tasks.create", notes).await?;
    let page = json!({
        "project_id": project, "title": "Publish the release page",
        "description": "Build the site with the approved notes and check every link.", "depends_on": [notes],
    });
    let page = made("tasks.create", page).await?;
    Ok(Scene { ada, ben, workspace, project, notes, page, writer, publisher })
}

async fn person(table: &Arc<Table>, server: &str, name: &str, email: &str) -> Result<Client, Error> {
    let client = Client::new(table.clone(), server.to_owned())?;
    let input = json!({"email": email, "name": name, "password": PASSWORD});
    let answer = match client.call("auth.register", input).await {
        // The data directory is kept: the person is there from an earlier demo.
        Err(Error::Problem(known)) if known.code == problem::NAME_TAKEN.name => {
            client.call("auth.login", json!({"email": email, "password": PASSWORD})).await?
        }
        answer => answer?,
    };
    let login = Login::of(&answer.body).context("the answer holds no login")?;
    client.speak_as(Some(login));
    Ok(client)
}

#[cfg(test)]
mod tests {
    use crate::agents::scripted::script;

    #[test]
    fn the_scripts_can_be_read() {
        for own in [super::WRITER, super::PUBLISHER] {
            script::parse(own, "a title").unwrap();
        }
    }
}
