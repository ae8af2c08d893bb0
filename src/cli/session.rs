//! Logging in and out; the login is remembered for its server.

use std::io::Read;

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{Ending, client::Client, context::Login, error::Error, output};

/// Logs in.
pub(super) async fn login(client: &Client, given: &ArgMatches) -> Result<Ending, Error> {
    let input = json!({"email": text(given, "email"), "password": password(given)?});
    enter(client, "auth.login", input).await
}

/// Makes an account and logs it in.
pub(super) async fn register(client: &Client, given: &ArgMatches) -> Result<Ending, Error> {
    let (email, name) = (text(given, "email"), text(given, "name"));
    let input = json!({"email": email, "name": name, "password": password(given)?});
    enter(client, "auth.register", input).await
}

/// Ends the login, here and at the server.
pub(super) async fn logout(client: &Client) -> Result<Ending, Error> {
    if let Some(login) = client.login().filter(|login| !login.refresh_token.is_empty()) {
        client.call("auth.logout", json!({"refresh_token": login.refresh_token})).await?;
    }
    client.adopt(None)?;
    output::write(&format!("logged out of {}\n", client.server()))?;
    Ok(Ending::Done)
}

async fn enter(client: &Client, operation: &str, input: Value) -> Result<Ending, Error> {
    let answer = client.call(operation, input).await?.body;
    let login = Login::of(&answer).context("the server's answer holds no login")?;
    let email = login.email.clone();
    client.adopt(Some(login))?;
    output::write(&format!("logged in to {} as {}\n", client.server(), output::plain(&json!(email))))?;
    Ok(Ending::Done)
}

fn text<'a>(given: &'a ArgMatches, name: &str) -> &'a str {
    given.get_one::<String>(name).map(String::as_str).unwrap_or_default()
}

fn password(given: &ArgMatches) -> Result<String, Error> {
    if let Some(password) = given.get_one::<String>("password") {
        return Ok(password.clone());
    }
    let mut password = String::new();
    std::io::stdin().read_to_string(&mut password).context("reading the password from standard input")?;
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}
