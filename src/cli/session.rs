//! Logging in and out; the login is remembered in its context.

use std::io::Read;

use anyhow::Context as _;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::{
    Ending,
    client::{Client, no_login, token_of_the_environment},
    context::Login,
    error::Error,
    output::{self, Format, plain},
};

/// Logs in, with a password or with a token that was made before.
pub(super) async fn login(client: &Client, given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    if given.get_flag("token-stdin") {
        return with_token(client, format).await;
    }
    let input = json!({"email": text(given, "email"), "password": password(given)?});
    let answer = client.call("auth.login", input).await?.body;
    enter(client, Login::of(&answer).ok_or_else(no_login)?, format).await
}

/// Makes an account and logs it in.
pub(super) async fn register(client: &Client, given: &ArgMatches, format: Format) -> Result<Ending, Error> {
    let (email, name) = (text(given, "email"), text(given, "name"));
    let input = json!({"email": email, "name": name, "password": password(given)?});
    let answer = client.call("auth.register", input).await?.body;
    enter(client, Login::of(&answer).ok_or_else(no_login)?, format).await
}

/// Ends the login, here and at the server.
pub(super) async fn logout(client: &Client, format: Format) -> Result<Ending, Error> {
    if token_of_the_environment().is_some() {
        return Err(Error::Usage("LINK_TOKEN speaks instead of a login: unset it to log out".into()));
    }
    if let Some(login) = client.login().filter(|login| !login.refresh_token.is_empty()) {
        client.call("auth.logout", json!({"refresh_token": login.refresh_token})).await?;
    }
    client.leave().await?;
    told(client, None, format)
}

/// Keeps a token, an API key for example, once the server has said whose it is.
async fn with_token(client: &Client, format: Format) -> Result<Ending, Error> {
    let token = piped("token")?;
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Usage("standard input holds no token".into()));
    }
    client.speak_as(Some(Login::with_token("", token.as_str())));
    let me = client.call("auth.me", json!({})).await?.body;
    let who = ["email", "name", "id"].into_iter().find_map(|field| me[field].as_str()).ok_or_else(no_login)?;
    enter(client, Login::with_token(who, token), format).await
}

async fn enter(client: &Client, login: Login, format: Format) -> Result<Ending, Error> {
    let who = login.who.clone();
    client.enter(login).await?;
    told(client, Some(&who), format)
}

fn told(client: &Client, who: Option<&str>, format: Format) -> Result<Ending, Error> {
    let (server, context) = (client.server(), client.context());
    match (format, who) {
        (Format::Json, who) => {
            output::answer(&json!({"context": context, "server": server, "who": who}), format)?;
        }
        (Format::Table, Some(who)) => {
            output::write(&format!("logged in to {server} as {}\n", plain(&Value::from(who))))?;
        }
        (Format::Table, None) => output::write(&format!("logged out of {server}\n"))?,
    }
    Ok(Ending::Done)
}

fn text<'a>(given: &'a ArgMatches, name: &str) -> &'a str {
    given.get_one::<String>(name).map(String::as_str).unwrap_or_default()
}

fn password(given: &ArgMatches) -> Result<String, Error> {
    match given.get_one::<String>("password") {
        Some(password) => Ok(password.clone()),
        None => piped("password"),
    }
}

/// Reads a secret from standard input; the end of its line is not part of it.
fn piped(what: &str) -> Result<String, Error> {
    let mut secret = String::new();
    let read = std::io::stdin().read_to_string(&mut secret);
    read.with_context(|| format!("reading the {what} from standard input"))?;
    Ok(secret.trim_end_matches(['\r', '\n']).to_owned())
}
