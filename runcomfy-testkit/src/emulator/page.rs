//! The emulator's web page: its files and their security headers.

use axum::{
    Router,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
    response::IntoResponse as _,
    routing::get,
};

/// Path, content type and text.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("page/page.html")),
    ("/_emulator/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/_emulator/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/_emulator/draw.js", "text/javascript; charset=utf-8", include_str!("page/draw.js")),
    ("/_emulator/request.js", "text/javascript; charset=utf-8", include_str!("page/request.js")),
    ("/_emulator/dom.js", "text/javascript; charset=utf-8", include_str!("page/dom.js")),
    ("/_emulator/clock.js", "text/javascript; charset=utf-8", include_str!("page/clock.js")),
    ("/_emulator/page.svg", "image/svg+xml", include_str!("page/page.svg")),
];

/// Allows the emulator's own files only, because the page shows data that anybody can write.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// These routes need no token, because a browser has none.
pub(super) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, content_type, text)| {
        let headers = [
            (CONTENT_TYPE, content_type),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            // Another version of the emulator may use this address next.
            (CACHE_CONTROL, "no-cache"),
        ];
        router.route(path, get(async move || (headers, text).into_response()))
    })
}
