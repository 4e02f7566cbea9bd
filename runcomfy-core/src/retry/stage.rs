//! Whether a failed call may be sent again: how far it got, and what repeating it may cost. A table.

use crate::error::{CallKind, Error, ErrorKind, Outcome, Retry};

/// How far a failed try got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing left this machine, and the way may be open the next time.
    NotSent,
    /// The service had it and declined it for now.
    Declined,
    /// It may have arrived and taken effect: no answer, half of one, or a server's error. A good status
    /// whose body is of no use is one of these too: what was done is done, but nobody knows what.
    Ambiguous,
    /// The same, and what came back was no HTTP.
    NotHttp,
    /// The same, and another try would bring the same answer: a redirect, or more than is read.
    Permanent,
    /// It was answered, and the answer would be the same again.
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
    /// How far the try got that failed so.
    pub(crate) fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ProxyUnavailable
            | ErrorKind::RateLimited
            | ErrorKind::TimedOut
            | ErrorKind::UpstreamProtocol
            | ErrorKind::UpstreamUnavailable => {}
            // A certificate or a password stays wrong although nothing was sent.
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
            // A service that refuses twice means it.
            (Self::Declined, CallKind::Paid) => Next::RepeatOnce,
            (Self::Ambiguous, CallKind::Read) => Next::Repeat,
            (Self::NotHttp, CallKind::Read) => Next::RepeatOnce,
            (Self::Permanent, CallKind::Read) => Next::GiveUp,
            (Self::Ambiguous | Self::NotHttp | Self::Permanent, CallKind::Idempotent) => {
                Next::ReadBack
            }
            // A second one could be a second bill.
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
