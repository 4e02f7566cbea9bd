//! Who may do how much, now.

mod caller_table;
mod gcra;

use std::{net::IpAddr, sync::Arc, time::Duration};

use runcomfy_core::{Error, ErrorKind, Token, error::Operation};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

pub(crate) use self::caller_table::CallerId;
use self::caller_table::{CallerTable, Hasher, REMEMBERED};
use crate::{
    config::{Limits, Rate},
    result::ToolError,
};

/// A flood is this many times what a caller may call: all that a client asks beside calls fits in.
const FLOOD: u32 = 4;
/// When to come again where it depends on others.
const SOON: Duration = Duration::from_secs(1);

/// Counts what callers do and lets no one do too much.
pub(crate) struct Limiter {
    limits: Limits,
    hasher: Hasher,
    table: CallerTable,
    calls: Arc<Semaphore>,
    waits: Arc<Semaphore>,
}

/// Why somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The caller has asked too often.
    TooFast(Duration),
    /// Too much is under way, of the caller's or of everyone's.
    Overloaded(Duration),
    /// RunComfy has just refused the caller's token.
    Refused(Duration),
}

/// A place among the calls under way. Whatever goes on for the call holds it.
pub(crate) struct Permit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl From<Rejection> for ToolError {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::TooFast(wait) => {
                let error = Error::new(Operation::ListDeployments, ErrorKind::RateLimited);
                Self::from(error).retry_after("this server takes calls more slowly than that", wait)
            }
            Rejection::Overloaded(wait) => {
                Self::overloaded().retry_after("too many calls are under way", wait)
            }
            Rejection::Refused(wait) => {
                let message = "RunComfy refused this token a moment ago, and was not asked again";
                // The error that RunComfy would return, so that the hint is the same.
                let error = Error::new(Operation::ListDeployments, ErrorKind::Unauthenticated);
                Self::from(error.with_status_code(401)).retry_after(message, wait)
            }
        }
    }
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let room = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self {
            hasher: Hasher::new(),
            table: CallerTable::new(&limits),
            calls: room(limits.calls),
            waits: room(limits.waits),
            limits,
        }
    }

    /// How many calls are under way, waits aside.
    pub(crate) fn calls(&self) -> u64 {
        taken(self.limits.calls, &self.calls)
    }

    /// How many runs are waited for.
    pub(crate) fn waits(&self) -> u64 {
        taken(self.limits.waits, &self.waits)
    }

    /// Who holds this token.
    pub(crate) fn caller_id(&self, token: Option<&Token>) -> CallerId {
        token.map_or(CallerId::Shared, |token| self.hasher.caller_id(token))
    }

    /// How others than this process know the caller's account, found out with `name` where it is not known yet.
    pub(crate) fn account(&self, caller_id: CallerId, name: impl FnOnce() -> String) -> Arc<str> {
        let caller = self.table.caller(caller_id, &self.limits);
        Arc::clone(caller.account.get_or_init(|| name().into()))
    }

    /// A request of any kind, before it is read: `Err` is how long to stay away.
    pub(crate) fn check_request_rate(
        &self,
        caller_id: CallerId,
        source: Option<IpAddr>,
    ) -> Result<(), Duration> {
        let caller = self.table.caller(caller_id, &self.limits);
        let mut rates = caller.rates();
        if !rates.table
            && let Some(wait) = source.and_then(|source| self.shut_out(source))
        {
            return Err(wait);
        }
        match self.limits.rate {
            Some(Rate { per_second, burst }) => {
                let flood = Rate {
                    per_second: per_second * f64::from(FLOOD),
                    burst: burst.saturating_mul(FLOOD),
                };
                rates.requests.take(flood, Instant::now())
            }
            None => Ok(()),
        }
    }

    /// Somebody at this address came without a token, or with one that is no use. `Err`: for the last time
    /// before a pause.
    pub(crate) fn failed(&self, source: IpAddr) -> Result<(), Duration> {
        let Some(rate) = self.refusals() else { return Ok(()) };
        self.table.source(source, |bucket| bucket.take(rate, Instant::now()))
    }

    fn shut_out(&self, source: IpAddr) -> Option<Duration> {
        let rate = self.refusals()?;
        self.table.source(source, |bucket| bucket.wait(rate, Instant::now()))
    }

    fn refusals(&self) -> Option<Rate> {
        let burst = self.limits.refusals_per_minute?;
        Some(Rate { per_second: f64::from(burst) / 60.0, burst })
    }

    /// A call begins.
    pub(crate) fn call(&self, caller_id: CallerId, may_cost: bool) -> Result<Permit, Rejection> {
        let (caller, now) = (self.table.caller(caller_id, &self.limits), Instant::now());
        {
            let mut rates = caller.rates();
            let refused = rates.refused.map(|at| (at + REMEMBERED).saturating_duration_since(now));
            if let Some(wait) = refused.filter(|wait| !wait.is_zero()) {
                return Err(Rejection::Refused(wait));
            }
            // The rarer first: a call that has to wait for it must not use up the other.
            let paid = self.limits.paid_rate.filter(|_| may_cost);
            if let Some(wait) = paid.and_then(|rate| rates.paid.wait(rate, now)) {
                return Err(Rejection::TooFast(wait));
            }
            if let Some(rate) = self.limits.rate {
                rates.calls.take(rate, now).map_err(Rejection::TooFast)?;
            }
            if let Some(rate) = paid {
                rates.paid.take(rate, now).map_err(Rejection::TooFast)?;
            }
        }
        place(&caller.calls, &self.calls)
    }

    /// A wait begins.
    pub(crate) fn wait(&self, caller_id: CallerId) -> Result<Permit, Rejection> {
        place(&self.table.caller(caller_id, &self.limits).waits, &self.waits)
    }

    /// RunComfy took the caller's token, or refused it. Nobody else's calls change by that, but an address
    /// that tries token after token runs out of tries.
    pub(crate) fn record_auth_result(
        &self,
        caller_id: CallerId,
        accepted: bool,
        source: Option<IpAddr>,
    ) {
        let caller = self.table.caller(caller_id, &self.limits);
        let mut rates = caller.rates();
        if accepted {
            (rates.table, rates.refused) = (true, None);
        } else {
            (rates.table, rates.refused) = (false, Some(Instant::now()));
            if let Some(source) = source {
                // Counting is all: the answer is RunComfy's.
                let _ = self.failed(source);
            }
        }
    }
}

fn taken(most: usize, room: &Semaphore) -> u64 {
    most.min(Semaphore::MAX_PERMITS).saturating_sub(room.available_permits()) as u64
}

fn place(own: &Arc<Semaphore>, all: &Arc<Semaphore>) -> Result<Permit, Rejection> {
    let take = |room: &Arc<Semaphore>| {
        Arc::clone(room).try_acquire_owned().map_err(|_| Rejection::Overloaded(SOON))
    };
    Ok(Permit { _own: take(own)?, _all: take(all)? })
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
