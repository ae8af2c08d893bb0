//! The documentation for people: one page that reads the OpenAPI description, and needs nothing from elsewhere.

use std::fmt::Write as _;

use axum::{
    Router,
    body::Body,
    http::{HeaderName, Response, header},
    response::IntoResponse,
    routing::get,
};

use crate::api::problem::{CODES, Code};

use super::Doors;

/// The page loads its own three files and calls its own server; nothing else runs in it, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the page and its files.
pub fn routes() -> Router<Doors> {
    let page = page();
    Router::new()
        .route("/docs", get(async move || file("text/html; charset=utf-8", page.clone())))
        .route("/docs/style.css", get(async || file("text/css; charset=utf-8", include_str!("docs/style.css").into())))
        .route(
            "/docs/script.js",
            get(async || file("text/javascript; charset=utf-8", include_str!("docs/script.js").into())),
        )
}

fn file(kind: &'static str, text: String) -> Response<Body> {
    let policy: (HeaderName, &str) = (header::CONTENT_SECURITY_POLICY, POLICY);
    ([(header::CONTENT_TYPE, kind), policy], text).into_response()
}

/// The errors are in the page itself: the address in a problem leads to one of them, with JavaScript or without.
fn page() -> String {
    let errors: String = CODES.iter().map(error).collect();
    include_str!("docs/page.html").replace("<!-- errors -->", &errors)
}

fn error(code: &Code) -> String {
    let again = if code.retryable { ", retryable" } else { "" };
    let mut text = format!(
        "<article class=\"problem\" id=\"errors-{0}\"><h3><code>{0}</code> {1} <span>{2}{again}</span></h3><dl>",
        code.name,
        escaped(code.title),
        code.status,
    );
    let next = format!("{}.", code.next_actions.join(". "));
    for (name, words) in [("Cause", code.cause), ("Effect", code.effect), ("Next", &next)] {
        // Writing to a string cannot fail.
        let _ = write!(text, "<dt>{name}</dt><dd>{}</dd>", marked(words));
    }
    text + "</dl></article>\n"
}

/// Words with `code` in them, as HTML.
fn marked(words: &str) -> String {
    let parts = words.split('`').enumerate().map(|(nth, part)| match nth % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(marked("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert!(!page().contains("<!-- errors -->"));
    }
}
