//! Responses that refuse a request, as JSON: `{"ok": false, "error": "…"}`.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
};
use serde_json::json;

/// A response with this status and error message, which no cache may keep.
#[must_use]
pub fn refusal(status: StatusCode, message: &str) -> Response {
    let body = Json(json!({"ok": false, "error": message}));
    (status, [(CACHE_CONTROL, "no-store")], body).into_response()
}

/// The same with a `Retry-After` header, for a refusal that is temporary.
#[must_use]
pub fn retry_later(status: StatusCode, message: &str, delay: Duration) -> Response {
    let mut response = refusal(status, message);
    // Rounded up and at least 1, because a client retries at once after `Retry-After: 0`.
    let seconds = delay.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_in_whole_seconds_and_never_zero() {
        for (milliseconds, header) in [(0, "1"), (400, "1"), (1000, "1"), (1001, "2")] {
            let delay = Duration::from_millis(milliseconds);
            let response = retry_later(StatusCode::TOO_MANY_REQUESTS, "slow down", delay);
            assert_eq!(response.headers()[RETRY_AFTER], header, "{milliseconds} ms");
        }
    }
}
