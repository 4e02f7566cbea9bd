//! When to retry, and after which delay: arithmetic, without a clock or a network.

mod budget;
mod stage;

use std::time::Duration;

use crate::error::Error;

pub use budget::RetryBudget;
#[cfg(feature = "http")]
pub(crate) use budget::TokenBucket;
pub(crate) use stage::{Next, Stage};

/// How many retries a failed call gets, and after which delays.
///
/// Which calls may be repeated is not a setting: [`Error::retry`] decides it from the failure, and a
/// call that may be billed is sent again only if it certainly had no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// The maximum number of attempts, including the first. 1 switches retries off.
    pub attempts: u32,
    /// The maximum delay before the second attempt; it doubles with each attempt.
    pub base: Duration,
    /// The same where the service asked for fewer calls.
    pub declined_base: Duration,
    /// The maximum delay that this client chooses by itself.
    pub cap: Duration,
    /// The longest `Retry-After` that a call waits for; after a longer one it fails.
    pub longest_retry_after: Duration,
    /// How many retries there may be over all calls.
    pub budget: RetryBudget,
}

impl Default for RetryPolicy {
    /// 3 attempts, 200 ms (1 s where refused) doubling up to 5 s, `Retry-After` up to 30 s, and the quota's
    /// own default.
    fn default() -> Self {
        Self {
            attempts: 3,
            base: Duration::from_millis(200),
            declined_base: Duration::from_secs(1),
            cap: Duration::from_secs(5),
            longest_retry_after: Duration::from_secs(30),
            budget: RetryBudget::default(),
        }
    }
}

impl RetryPolicy {
    /// No retries.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// How long to wait after the `attempt`th try (from 1) failed with `error`; `None` to give up. The
    /// quota has no say here: it depends on other calls.
    ///
    /// `jitter` is a random number from 0 to 1: waits are spread over the whole span from nothing to the
    /// backoff ("full jitter"), so that callers who failed together don't come back together.
    #[must_use]
    pub fn next_delay(&self, error: &Error, attempt: u32, jitter: f64) -> Option<Duration> {
        self.delay(error, Stage::of(error), attempt, jitter)
    }

    /// The same where the failure's stage is known better than its error tells.
    pub(crate) fn delay(
        &self,
        error: &Error,
        stage: Stage,
        attempt: u32,
        jitter: f64,
    ) -> Option<Duration> {
        let attempts = match stage.next(error.operation().call_kind()) {
            // `http/reconcile.rs` repeats these, because it reads first whether the call took effect.
            Next::GiveUp | Next::ReadBack => return None,
            Next::Repeat => self.attempts,
            Next::RepeatOnce => self.attempts.min(2),
        };
        if attempt < attempts { self.pause(error, attempt, jitter) } else { None }
    }

    /// How long to leave the service alone after the `attempt`th failure; `None` where it asks for longer
    /// than a call should take.
    pub(crate) fn pause(&self, error: &Error, attempt: u32, jitter: f64) -> Option<Duration> {
        let declined = Stage::of(error) == Stage::Declined;
        let base = if declined { self.declined_base } else { self.base };
        let backoff = base.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(self.cap);
        let wait = scaled(backoff, jitter);
        match error.retry_after() {
            Some(asked) if asked > self.longest_retry_after => None,
            Some(asked) => Some(asked.saturating_add(wait)),
            None => Some(wait),
        }
    }
}

/// A share of a duration. NaN counts as all of it.
fn scaled(duration: Duration, share: f64) -> Duration {
    let share = if share.is_nan() { 1.0 } else { share.clamp(0.0, 1.0) };
    Duration::try_from_secs_f64(duration.as_secs_f64() * share).unwrap_or(duration)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{ErrorKind, Operation, Outcome};

    fn error(operation: Operation, kind: ErrorKind, outcome: Outcome) -> Error {
        Error::new(operation, kind).with_outcome(outcome)
    }

    #[track_caller]
    fn check(error: &Error, attempt: u32, expected_ms: Option<u64>) {
        let delay = RetryPolicy::default().next_delay(error, attempt, 1.0);
        assert_eq!(delay, expected_ms.map(Duration::from_millis), "{error} after try {attempt}");
    }

    #[test]
    fn reads_are_tried_three_times_with_growing_waits() {
        let read =
            error(Operation::GetRequestStatus, ErrorKind::UpstreamUnavailable, Outcome::Unknown);
        check(&read, 1, Some(200));
        check(&read, 2, Some(400));
        check(&read, 3, None);
    }

    #[test]
    fn what_is_no_http_is_asked_for_once_more() {
        let not_http =
            error(Operation::GetRequestStatus, ErrorKind::UpstreamProtocol, Outcome::Unknown);
        check(&not_http, 1, Some(200));
        check(&not_http, 2, None);
    }

    #[test]
    fn a_delete_that_may_have_arrived_is_not_repeated_blindly() {
        for operation in
            [Operation::DeleteDeployment, Operation::CancelRequest, Operation::UpdateDeployment]
        {
            check(&error(operation, ErrorKind::TimedOut, Outcome::Unknown), 1, None);
            check(&error(operation, ErrorKind::TimedOut, Outcome::NotSent), 1, Some(200));
        }
    }

    #[test]
    fn a_submit_that_may_have_arrived_is_not_sent_twice() {
        for kind in
            [ErrorKind::TimedOut, ErrorKind::UpstreamUnavailable, ErrorKind::UpstreamProtocol]
        {
            check(&error(Operation::SubmitRequest, kind, Outcome::Unknown), 1, None);
        }
    }

    #[test]
    fn a_submit_that_never_left_is_sent_again() {
        check(
            &error(Operation::SubmitRequest, ErrorKind::UpstreamUnavailable, Outcome::NotSent),
            1,
            Some(200),
        );
    }

    #[test]
    fn a_refused_submit_is_sent_once_more_after_the_time_asked_for() {
        let limited = Error::new(Operation::SubmitRequest, ErrorKind::RateLimited)
            .with_retry_after(Duration::from_secs(2));
        check(&limited, 1, Some(3000));
        check(&limited, 2, None);
    }

    #[test]
    fn a_long_retry_after_is_the_callers_to_wait() {
        let limited = Error::new(Operation::ListDeployments, ErrorKind::RateLimited)
            .with_retry_after(Duration::from_secs(31));
        check(&limited, 1, None);
    }

    #[test]
    fn no_setting_and_no_answer_can_break_the_arithmetic() {
        let forever = RetryPolicy {
            attempts: u32::MAX,
            base: Duration::MAX,
            declined_base: Duration::MAX,
            cap: Duration::MAX,
            longest_retry_after: Duration::MAX,
            budget: RetryBudget::default(),
        };
        let limited = Error::new(Operation::ListDeployments, ErrorKind::RateLimited)
            .with_retry_after(Duration::MAX);
        for jitter in [f64::NAN, f64::INFINITY, -1.0, 1.0] {
            assert_eq!(forever.next_delay(&limited, u32::MAX - 1, jitter), Some(Duration::MAX));
        }
    }

    proptest! {
        #[test]
        fn a_wait_never_exceeds_the_cap_and_what_was_asked(attempt in 1u32..40, jitter in -1.0f64..2.0, asked in 0u64..60) {
            let policy = RetryPolicy { attempts: u32::MAX, ..RetryPolicy::default() };
            let error = Error::new(Operation::ListDeployments, ErrorKind::RateLimited)
                .with_retry_after(Duration::from_secs(asked));
            if let Some(wait) = policy.next_delay(&error, attempt, jitter) {
                prop_assert!(wait <= policy.cap + policy.longest_retry_after);
                prop_assert!(wait >= Duration::from_secs(asked));
            }
        }
    }
}
