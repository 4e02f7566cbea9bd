//! The `Retry-After` header.

use std::time::Duration;

/// The longest delay that is believed: a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the service asked to be left alone. `value` is seconds or a date; a date counts from `date`,
/// when the service says that it answered, so that a wrong clock here does not matter. Anything else is
/// `None`.
pub(super) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too many digits can fail here.
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(date?.trim()).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    #[track_caller]
    fn check(value: &str, date: Option<&str>, seconds: Option<u64>) {
        assert_eq!(retry_after(value, date), seconds.map(Duration::from_secs), "{value:?}");
    }

    #[test]
    fn seconds_are_taken_and_bounded() {
        check("0", None, Some(0));
        check(" 2 ", None, Some(2));
        check("999999", None, Some(86_400));
        check("99999999999999999999999999", None, Some(86_400));
    }

    #[test]
    fn a_date_counts_from_the_answers_own_date() {
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some(DATE), Some(10));
        check("Sun, 06 Nov 1994 08:49:07 GMT", Some(DATE), Some(0));
        check("Sun, 06 Nov 2044 08:49:37 GMT", Some(DATE), Some(86_400));
        check("Sun, 06 Nov 1994 08:49:47 GMT", None, None);
        check("Sun, 06 Nov 1994 08:49:47 GMT", Some("yesterday"), None);
    }

    #[test]
    fn anything_else_is_ignored() {
        for value in ["", " ", "-1", "+1", "1.5", "abc", "2, 5", "2s", "٢"] {
            check(value, Some(DATE), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_bounded_delay_or_none(value in ".{0,40}", date in ".{0,40}") {
            prop_assert!(retry_after(&value, Some(&date)).unwrap_or_default() <= LONGEST);
        }
    }
}
