//! A browser on its way through a login by another provider.

use reqwest::{Client, StatusCode, header, redirect};

use super::person::PATIENCE;

/// Where the provider sends it back to: nobody listens there, and the tests bring it to Link themselves.
pub const REDIRECT: &str = "http://127.0.0.1:1/auth/oidc/callback";

/// A browser that follows nothing by itself.
pub fn browser() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .expect("it is well formed")
}

/// A login on its way.
pub struct Trip {
    /// At the provider.
    pub location: String,
    /// As the browser got it.
    pub cookie: String,
}

impl Trip {
    pub async fn begin(url: &str) -> Self {
        let answer = browser().get(format!("{url}/auth/oidc/start")).send().await.expect("it answers");
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let text = |name| answer.headers()[name].to_str().expect("it is well formed").to_owned();
        Self { location: text(header::LOCATION), cookie: text(header::SET_COOKIE) }
    }

    /// What the browser sends back of its cookie.
    pub fn shown(&self) -> &str {
        self.cookie.split(';').next().expect("it is well formed")
    }

    /// Logs in at the provider; returns the query that it sends the browser back with.
    pub async fn agree(&self) -> String {
        let answer = browser().get(&self.location).send().await.expect("it answers");
        let location = answer.headers()[header::LOCATION].to_str().expect("it is well formed").to_owned();
        location.strip_prefix(&format!("{REDIRECT}?")).expect("it is the redirect URL").to_owned()
    }
}

/// Comes back to Link.
pub async fn land(url: &str, query: &str, cookie: &str) -> reqwest::Response {
    let request = browser().get(format!("{url}/auth/oidc/callback?{query}"));
    request.header(header::COOKIE, format!("theme=dark; {cookie}")).send().await.expect("it answers")
}
