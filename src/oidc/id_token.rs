//! An ID token: read only when its provider signed it, for this client, for this login, just now.

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, jwk::Jwk};
use serde::Deserialize;
use serde_json::Value;

use super::{Error, Who};

/// A token by any other algorithm counts for nothing, most of all one by none, or by a secret that is public.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// How far the provider's clock may be from ours.
const CLOCKS_DIFFER_SECS: i64 = 60;
/// A token is made when its code is exchanged: an older one comes from somewhere else.
const AGE_MAX_SECS: i64 = 600;
/// The longest name of a person for a provider, as the standard has it.
const SUBJECT_BYTES_MAX: usize = 255;

/// What a token has to say.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    /// Some providers write it as a text.
    email_verified: Option<Value>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(client) => std::slice::from_ref(client),
            Self::Many(clients) => clients,
        }
    }
}

/// Reads how a token is signed.
pub(super) fn header(token: &str) -> Result<Header, Error> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| Error::Token("cannot be read"))?;
    // Whoever does not understand what is critical must not read on.
    let is_safe = ALGORITHMS.contains(&header.alg) && header.crit.is_none();
    if is_safe { Ok(header) } else { Err(Error::Token("is signed in a way that is not safe")) }
}

/// Reads a token and checks all that it says.
pub(super) fn read(
    token: &str,
    algorithm: Algorithm,
    key: &Jwk,
    expected: Expected<'_>,
    now: DateTime<Utc>,
) -> Result<Who, Error> {
    let mut signed = Validation::new(algorithm);
    // What the claims say is checked below, by the clock that everyone else uses.
    (signed.validate_exp, signed.validate_aud) = (false, false);
    signed.required_spec_claims.clear();
    let key = DecodingKey::from_jwk(key).map_err(|_| Error::Token("is signed by a key that cannot be used"))?;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &signed);
    let claims = claims.map_err(|_| Error::Token("is not signed by the provider, or lacks a claim"))?.claims;
    claims.check(expected, now.timestamp())?;
    Ok(Who {
        subject: claims.sub,
        email: claims.email,
        email_verified: claims.email_verified.is_some_and(|value| value == true || value == "true"),
        name: claims.name,
    })
}

impl Claims {
    fn check(&self, expected: Expected<'_>, now: i64) -> Result<(), Error> {
        let (soon, lately) = (now + CLOCKS_DIFFER_SECS, now - CLOCKS_DIFFER_SECS);
        let clients = self.aud.all();
        // Made for several clients, it must name the one that asked for it.
        let asked_by = self.azp.as_deref().or(clients.first().filter(|_| clients.len() == 1).map(String::as_str));
        let rules = [
            (self.iss == expected.issuer, "comes from another issuer"),
            (clients.iter().any(|client| client == expected.client_id), "is meant for another client"),
            (asked_by == Some(expected.client_id), "was asked for by another client"),
            (self.exp > lately, "has expired"),
            (self.iat <= soon && self.nbf.is_none_or(|begin| begin <= soon), "comes from the future"),
            (self.iat > lately - AGE_MAX_SECS, "is too old"),
            (self.nonce.as_deref() == Some(expected.nonce), "belongs to another login"),
            ((1..=SUBJECT_BYTES_MAX).contains(&self.sub.len()) && !self.sub.contains('\0'), "names nobody"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, why)) => Err(Error::Token(why)),
            None => Ok(()),
        }
    }
}
