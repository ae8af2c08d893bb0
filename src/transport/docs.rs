//! A page that reads the OpenAPI description; needs nothing from elsewhere.

use axum::response::Html;

/// Returns the page.
pub async fn page() -> Html<&'static str> {
    Html(include_str!("docs.html"))
}
