//! Whether a failed call may be sent again: a table of how far it got and what repeating it may cost.

use crate::error::{CallKind, Error, ErrorKind, Outcome, Retry};

/// How far a failed attempt got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing left this machine, and the next attempt may succeed.
    NotSent,
    /// The service received it and declined it for now.
    Declined,
    /// It may have arrived and taken effect: no response, an incomplete one, or a server error. Also a
    /// success whose body can't be decoded, because what it did is unknown.
    Ambiguous,
    /// Like `Ambiguous`, and what came back was not HTTP.
    NotHttp,
    /// Like `Ambiguous`, and another attempt would get the same response: a redirect, or one that is too large.
    Permanent,
    /// A response that another attempt would get again.
    Final,
}

/// What to do after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GiveUp,
    /// Read what the service has now; only if the call shows no effect, send it again.
    ReadBack,
    /// Send it again, as often as the policy allows.
    Repeat,
    /// Send it again, but not a third time.
    RepeatOnce,
}

impl Stage {
    /// How far an attempt got that failed with `error`.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ProxyUnavailable
            | ErrorKind::RateLimited
            | ErrorKind::TimedOut
            | ErrorKind::UpstreamProtocol
            | ErrorKind::UpstreamUnavailable => {}
            // A wrong certificate or password is still wrong in the next attempt.
            ErrorKind::Conflict
            | ErrorKind::DeploymentDisabled
            | ErrorKind::InsufficientFunds
            | ErrorKind::InvalidArgument
            | ErrorKind::InvalidRequest
            | ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::ProxyUnusable
            | ErrorKind::Refused
            | ErrorKind::Unauthenticated
            | ErrorKind::UpstreamTls => return Self::Final,
        }
        match (error.outcome(), error.kind(), error.status_code()) {
            (Outcome::Applied, ..) => Self::Final,
            (Outcome::NotSent, ..) => Self::NotSent,
            (Outcome::Rejected, ..) => Self::Declined,
            (Outcome::Unknown, _, Some(300..=399)) => Self::Permanent,
            (Outcome::Unknown, ErrorKind::UpstreamProtocol, None) => Self::NotHttp,
            (Outcome::Unknown, ..) => Self::Ambiguous,
        }
    }

    /// The one place that decides what may be sent again.
    pub(crate) fn next(self, kind: CallKind) -> Next {
        match (self, kind) {
            (Self::NotSent, _) => Next::Repeat,
            (Self::Declined, CallKind::Read | CallKind::Idempotent) => Next::Repeat,
            // A second refusal is taken as final, because each attempt may be billed.
            (Self::Declined, CallKind::Paid) => Next::RepeatOnce,
            (Self::Ambiguous, CallKind::Read) => Next::Repeat,
            (Self::NotHttp, CallKind::Read) => Next::RepeatOnce,
            (Self::Permanent, CallKind::Read) => Next::GiveUp,
            (Self::Ambiguous | Self::NotHttp | Self::Permanent, CallKind::Idempotent) => {
                Next::ReadBack
            }
            // A second call could be billed a second time.
            (Self::Ambiguous | Self::NotHttp | Self::Permanent, CallKind::Paid) => Next::GiveUp,
            (Self::Final, _) => Next::GiveUp,
        }
    }
}

impl Error {
    /// Whether doing the same again can help, and at what risk.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match Stage::of(self) {
            Stage::NotSent | Stage::Declined => Retry::Safe,
            Stage::Ambiguous | Stage::NotHttp => Retry::IfIdempotent,
            Stage::Permanent | Stage::Final => Retry::Never,
        }
    }

    /// Whether the caller may repeat this very call without the risk of a second effect.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.retry() {
            Retry::Safe => true,
            Retry::IfIdempotent => self.operation().call_kind() != CallKind::Paid,
            Retry::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Operation;

    const KINDS: [CallKind; 3] = [CallKind::Read, CallKind::Idempotent, CallKind::Paid];

    #[test]
    fn the_table_reads_as_it_is_meant() {
        use Next::*;
        let check = |stage: Stage, expected: [Next; 3]| {
            assert_eq!(KINDS.map(|kind| stage.next(kind)), expected, "{stage:?}");
        };
        check(Stage::NotSent, [Repeat, Repeat, Repeat]);
        check(Stage::Declined, [Repeat, Repeat, RepeatOnce]);
        check(Stage::Ambiguous, [Repeat, ReadBack, GiveUp]);
        check(Stage::NotHttp, [RepeatOnce, ReadBack, GiveUp]);
        check(Stage::Permanent, [GiveUp, ReadBack, GiveUp]);
        check(Stage::Final, [GiveUp, GiveUp, GiveUp]);
    }

    #[test]
    fn a_failure_says_how_far_it_got() {
        let check = |kind, outcome, status: Option<u16>, expected| {
            let error = Error::new(Operation::GetDeployment, kind).with_outcome(outcome);
            let error = match status {
                Some(status) => error.with_status_code(status),
                None => error,
            };
            assert_eq!(Stage::of(&error), expected, "{error}");
        };
        use {ErrorKind::*, Outcome::*};
        check(UpstreamUnavailable, NotSent, None, Stage::NotSent);
        check(TimedOut, NotSent, None, Stage::NotSent);
        check(UpstreamTls, NotSent, None, Stage::Final);
        check(ProxyUnavailable, NotSent, None, Stage::NotSent);
        check(ProxyUnusable, NotSent, None, Stage::Final);
        check(RateLimited, Rejected, Some(429), Stage::Declined);
        check(UpstreamUnavailable, Rejected, Some(503), Stage::Declined);
        check(UpstreamUnavailable, Unknown, Some(503), Stage::Ambiguous);
        check(UpstreamUnavailable, Unknown, None, Stage::Ambiguous);
        check(TimedOut, Unknown, None, Stage::Ambiguous);
        check(UpstreamProtocol, Unknown, Some(200), Stage::Ambiguous);
        check(UpstreamProtocol, Unknown, None, Stage::NotHttp);
        check(UpstreamProtocol, Unknown, Some(307), Stage::Permanent);
        check(UpstreamProtocol, Applied, Some(200), Stage::Final);
        check(NotFound, Rejected, Some(404), Stage::Final);
        check(Refused, Unknown, Some(200), Stage::Final);
    }
}
