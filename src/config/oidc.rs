//! The settings of the login by another provider. None of them means that there is no such login; half of them is an
//! error.

use std::{fmt, net::IpAddr};

use reqwest::Url;

use super::Error;

/// A provider of OpenID Connect that people may log in by.
#[derive(Clone, PartialEq, Eq)]
pub struct Oidc {
    /// The provider, exactly as it calls itself: `LINK_OIDC_ISSUER`.
    pub issuer: String,
    /// What the provider calls Link: `LINK_OIDC_CLIENT_ID`.
    pub client_id: String,
    /// What Link proves itself with; a public client has nothing: `LINK_OIDC_CLIENT_SECRET`.
    pub client_secret: Option<String>,
    /// Where the provider sends people back to: `LINK_OIDC_REDIRECT_URL`.
    pub redirect_url: Url,
    /// Domains of the addresses that may log in; any when empty: `LINK_OIDC_ALLOWED_DOMAINS`.
    pub allowed_domains: Vec<String>,
    /// The front end that changes a code into tokens: `LINK_OIDC_RETURN_URL`.
    pub return_url: Option<Url>,
}

/// Secrets are masked: what is printed may end up anywhere.
impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Oidc")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret.as_ref().map(|_| "(set)"))
            .field("redirect_url", &self.redirect_url.as_str())
            .field("allowed_domains", &self.allowed_domains)
            .field("return_url", &self.return_url.as_ref().map(Url::as_str))
            .finish()
    }
}

/// The settings as they were given: each with the name that it is complained about by.
pub(super) struct Given {
    pub issuer: (&'static str, Option<String>),
    pub client_id: (&'static str, Option<String>),
    pub client_secret: (&'static str, Option<String>),
    pub redirect_url: (&'static str, Option<String>),
    pub return_url: (&'static str, Option<String>),
    pub allowed_domains: Vec<String>,
}

impl Given {
    pub(super) fn read(self) -> Result<Option<Oidc>, Error> {
        let Self { issuer, client_id, client_secret, redirect_url, return_url, allowed_domains } = self;
        let texts = [&issuer, &client_id, &client_secret, &redirect_url, &return_url];
        if texts.iter().all(|(_, text)| text.is_none()) && allowed_domains.is_empty() {
            return Ok(None);
        }
        let needed = |(name, text): (&'static str, Option<String>)| text.ok_or(Error::Missing { name });
        let (issuer_name, redirect_name, return_name) = (issuer.0, redirect_url.0, return_url.0);
        let issuer = needed(issuer)?;
        address(issuer_name, &issuer)?;
        Ok(Some(Oidc {
            issuer,
            client_id: needed(client_id)?,
            client_secret: client_secret.1,
            redirect_url: address(redirect_name, &needed(redirect_url)?)?,
            allowed_domains,
            return_url: return_url.1.map(|text| address(return_name, &text)).transpose()?,
        }))
    }
}

fn address(name: &'static str, text: &str) -> Result<Url, Error> {
    web_address(text).map_err(|cause| Error::Value { name, value: text.to_owned(), cause: cause.to_owned() })
}

/// Reads an address that codes and tokens may travel to: over TLS, or without leaving this machine.
pub fn web_address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "write an address, as in https://login.example.org")?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_here = host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    match (url.scheme(), is_plain) {
        (_, false) => Err("leave out the user, the password and what follows a #"),
        ("https", true) => Ok(url),
        ("http", true) if is_here => Ok(url),
        _ => Err("must begin with https://; only on this machine http:// will do"),
    }
}

/// Reads a domain of addresses.
pub(super) fn domain(text: &str) -> Result<String, String> {
    let domain = text.trim_start_matches('@');
    match !domain.is_empty() && domain.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) {
        true => Ok(domain.to_ascii_lowercase()),
        false => Err("write a domain, as in example.org".into()),
    }
}
