//! The client's side of OpenID Connect: the authorization code flow with PKCE, with one provider. What is kept between
//! its two halves, and whose account it is, is not known here.

mod call;
mod id_token;
mod keys;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};

use crate::config::{Oidc, web_address};

use id_token::Expected;
use keys::Keys;

/// How long what the provider says of itself is believed.
const DESCRIPTION_LIFE: TimeDelta = TimeDelta::hours(1);
/// How long a login waits for another one that asks the provider the same.
const TURN_WAIT: Duration = Duration::from_secs(10);
/// What Link wants to know of a person.
const SCOPE: &str = "openid email profile";

/// Why nobody is known to have logged in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider did not answer, or not as a provider does: another try may succeed.
    #[error("the provider {0}")]
    Unavailable(&'static str),
    /// The provider does not take Link for its client: somebody has to look at the settings.
    #[error("the provider does not accept Link's client id and secret")]
    Misconfigured,
    /// The provider did not take the code.
    #[error("the provider does not accept the code")]
    Refused,
    /// The ID token proves nothing.
    #[error("the provider's ID token {0}")]
    Token(&'static str),
}

/// Who has logged in at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Their name for the provider, which is never given to somebody else.
    pub subject: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether the provider has made sure that the address is theirs.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<String>,
}

/// What ties the two halves of one login together.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// The ID token repeats it.
    pub nonce: &'a str,
    /// What the challenge was made of.
    pub verifier: &'a str,
}

/// What the provider says of itself.
#[derive(Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// A provider of logins.
pub struct Provider {
    http: Client,
    settings: Oidc,
    description: Mutex<Option<(DateTime<Utc>, Arc<Description>)>>,
    keys: Keys,
}

impl Provider {
    /// Makes one that is asked when somebody logs in, not before.
    pub fn new(http: Client, settings: Oidc) -> Self {
        Self { http, settings, description: Mutex::default(), keys: Keys::default() }
    }

    /// Returns how the provider calls itself.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Tells whether browsers come back over TLS.
    pub fn is_secure(&self) -> bool {
        self.settings.redirect_url.scheme() == "https"
    }

    /// Returns where a front end takes up a code, if there is one.
    pub fn return_url(&self, code: &str) -> Option<Url> {
        let mut url = self.settings.return_url.clone()?;
        url.query_pairs_mut().append_pair("code", code);
        Some(url)
    }

    /// Tells whether people with this address may log in. Where only some domains may, the address has to be verified.
    pub fn admits(&self, email: &str, verified: bool) -> bool {
        let domains = &self.settings.allowed_domains;
        let domain = email.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        domains.is_empty() || verified && domain.is_some_and(|domain| domains.contains(&domain))
    }

    /// Returns where a browser has to go to log in.
    pub async fn door(&self, state: &str, nonce: &str, challenge: &str, now: DateTime<Utc>) -> Result<Url, Error> {
        let description = self.description(now).await?;
        let mut url = endpoint(&description.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", self.settings.redirect_url.as_str())
            .append_pair("scope", SCOPE)
            .append_pair("state", state)
            .append_pair("nonce", nonce)
            .append_pair("code_challenge", challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(url)
    }

    /// Changes a code into the person who has logged in.
    pub async fn redeem(&self, code: &str, secrets: Secrets<'_>, now: DateTime<Utc>) -> Result<Who, Error> {
        let description = self.description(now).await?;
        let token = self.exchange(&description, code, secrets.verifier).await?;
        let header = id_token::header(&token)?;
        let key = self.keys.find(&self.http, endpoint(&description.jwks_uri)?, &header, now).await?;
        let settings = &self.settings;
        let expected = Expected { issuer: &settings.issuer, client_id: &settings.client_id, nonce: secrets.nonce };
        id_token::read(&token, header.alg, &key, expected, now)
    }

    async fn description(&self, now: DateTime<Utc>) -> Result<Arc<Description>, Error> {
        let mut known = turn(&self.description).await?;
        if let Some((since, description)) = &*known
            && is_fresh(*since, now, DESCRIPTION_LIFE)
        {
            return Ok(description.clone());
        }
        let issuer = &self.settings.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let description: Description = call::document("discovery", self.http.get(address)).await?;
        if description.issuer != *issuer {
            return Err(Error::Unavailable("calls itself by another name than LINK_OIDC_ISSUER"));
        }
        let description = Arc::new(description);
        *known = Some((now, description.clone()));
        Ok(description)
    }

    async fn exchange(&self, description: &Description, code: &str, verifier: &str) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        #[derive(Deserialize)]
        struct Refusal {
            error: String,
        }
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.settings.redirect_url.as_str()),
            ("code_verifier", verifier),
        ];
        let request = self.http.post(endpoint(&description.token_endpoint)?);
        let (status, body) = call::answer("token", self.proven(request, description, &form)).await?;
        if status.is_success() {
            let tokens: Tokens = serde_json::from_slice(&body).map_err(|_| Error::Unavailable("gave no ID token"))?;
            return Ok(tokens.id_token);
        }
        let refusal = serde_json::from_slice::<Refusal>(&body).map(|refusal| refusal.error).unwrap_or_default();
        Err(match (status, refusal.as_str()) {
            (_, "invalid_client" | "unauthorized_client") | (StatusCode::UNAUTHORIZED, _) => Error::Misconfigured,
            (StatusCode::BAD_REQUEST, _) => Error::Refused,
            _ => Error::Unavailable("does not answer as it should"),
        })
    }

    /// Says in the way that the provider understands who asks.
    fn proven(&self, request: RequestBuilder, description: &Description, form: &[(&str, &str)]) -> RequestBuilder {
        let (id, mut form) = (self.settings.client_id.as_str(), form.to_vec());
        let methods = &description.token_endpoint_auth_methods_supported;
        let by_header = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        let request = match &self.settings.client_secret {
            Some(secret) if by_header => request.basic_auth(escaped(id), Some(escaped(secret))),
            Some(secret) => {
                form.extend([("client_id", id), ("client_secret", secret)]);
                request
            }
            None => {
                form.push(("client_id", id));
                request
            }
        };
        let content_type = reqwest::header::CONTENT_TYPE;
        request.header(content_type, "application/x-www-form-urlencoded").body(encoded(&form))
    }
}

/// Takes a turn at asking the provider: the others wait, and not for long.
async fn turn<T>(known: &Mutex<T>) -> Result<MutexGuard<'_, T>, Error> {
    tokio::time::timeout(TURN_WAIT, known.lock()).await.map_err(|_| Error::Unavailable("does not answer in time"))
}

fn is_fresh(since: DateTime<Utc>, now: DateTime<Utc>, life: TimeDelta) -> bool {
    (now - since).abs() < life
}

fn endpoint(address: &str) -> Result<Url, Error> {
    web_address(address).map_err(|_| Error::Unavailable("names an address without https://"))
}

/// Returns fields as a form has them.
fn encoded(fields: &[(&str, &str)]) -> String {
    // Any base does: only the query's encoding is wanted.
    let url = Url::parse_with_params("http://form", fields);
    url.ok().and_then(|url| url.query().map(str::to_owned)).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    encoded(&[("", text)]).trim_start_matches('=').to_owned()
}
