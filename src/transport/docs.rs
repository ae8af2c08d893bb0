//! A page that reads the OpenAPI description; needs nothing from elsewhere.

use axum::{
    http::header,
    response::{Html, IntoResponse},
};

/// The page's own style and script, and the description that they show.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Returns the page.
pub async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(include_str!("docs.html")))
}
