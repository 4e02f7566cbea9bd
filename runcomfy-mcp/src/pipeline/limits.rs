//! Who may do how much, now.

mod bucket;
mod callers;

use std::{net::IpAddr, sync::Arc, time::Duration};

use runcomfy_core::Token;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

pub(crate) use self::callers::Principal;
use self::callers::{Hasher, Known, REMEMBERED};
use crate::config::{Limits, Rate};

/// A flood is this many times what a caller may call: all that a client asks beside calls fits in.
const FLOOD: u32 = 4;
/// When to come again where it depends on others.
const SOON: Duration = Duration::from_secs(1);

/// Counts what callers do and lets no one do too much.
pub(crate) struct Gate {
    limits: Limits,
    hasher: Hasher,
    known: Known,
    calls: Arc<Semaphore>,
    waits: Arc<Semaphore>,
}

/// Why somebody has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Busy {
    /// The caller has asked too often.
    TooFast(Duration),
    /// Too much is under way, of the caller's or of everyone's.
    Overloaded(Duration),
    /// RunComfy has just refused the caller's token.
    Refused(Duration),
}

/// A place among the calls under way. Whatever goes on for the call holds it.
pub(crate) struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Gate {
    pub(crate) fn new(limits: Limits) -> Self {
        let room = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self {
            hasher: Hasher::new(),
            known: Known::new(&limits),
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
    pub(crate) fn principal(&self, token: Option<&Token>) -> Principal {
        token.map_or(Principal::Everyone, |token| self.hasher.principal(token))
    }

    /// How others than this process know the caller's account, found out with `name` where it is not known yet.
    pub(crate) fn account(&self, principal: Principal, name: impl FnOnce() -> String) -> Arc<str> {
        let caller = self.known.caller(principal, &self.limits);
        Arc::clone(caller.account.get_or_init(|| name().into()))
    }

    /// A request of any kind, before it is read: `Err` is how long to stay away.
    pub(crate) fn knock(
        &self,
        principal: Principal,
        source: Option<IpAddr>,
    ) -> Result<(), Duration> {
        let caller = self.known.caller(principal, &self.limits);
        let mut pace = caller.pace();
        if !pace.known
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
                pace.requests.take(flood, Instant::now())
            }
            None => Ok(()),
        }
    }

    /// Somebody at this address came without a token, or with one that is no use. `Err`: for the last time
    /// before a pause.
    pub(crate) fn failed(&self, source: IpAddr) -> Result<(), Duration> {
        let Some(rate) = self.refusals() else { return Ok(()) };
        self.known.source(source, |bucket| bucket.take(rate, Instant::now()))
    }

    fn shut_out(&self, source: IpAddr) -> Option<Duration> {
        let rate = self.refusals()?;
        self.known.source(source, |bucket| bucket.wait(rate, Instant::now()))
    }

    fn refusals(&self) -> Option<Rate> {
        let burst = self.limits.refusals_per_minute?;
        Some(Rate { per_second: f64::from(burst) / 60.0, burst })
    }

    /// A call begins.
    pub(crate) fn call(&self, principal: Principal, may_cost: bool) -> Result<Place, Busy> {
        let (caller, now) = (self.known.caller(principal, &self.limits), Instant::now());
        {
            let mut pace = caller.pace();
            let refused = pace.refused.map(|at| (at + REMEMBERED).saturating_duration_since(now));
            if let Some(wait) = refused.filter(|wait| !wait.is_zero()) {
                return Err(Busy::Refused(wait));
            }
            // The rarer first: a call that has to wait for it must not use up the other.
            let paid = self.limits.paid_rate.filter(|_| may_cost);
            if let Some(wait) = paid.and_then(|rate| pace.paid.wait(rate, now)) {
                return Err(Busy::TooFast(wait));
            }
            if let Some(rate) = self.limits.rate {
                pace.calls.take(rate, now).map_err(Busy::TooFast)?;
            }
            if let Some(rate) = paid {
                pace.paid.take(rate, now).map_err(Busy::TooFast)?;
            }
        }
        place(&caller.calls, &self.calls)
    }

    /// A wait begins.
    pub(crate) fn wait(&self, principal: Principal) -> Result<Place, Busy> {
        place(&self.known.caller(principal, &self.limits).waits, &self.waits)
    }

    /// RunComfy took the caller's token, or refused it. Nobody else's calls change by that, but an address
    /// that tries token after token runs out of tries.
    pub(crate) fn judged(&self, principal: Principal, accepted: bool, source: Option<IpAddr>) {
        let caller = self.known.caller(principal, &self.limits);
        let mut pace = caller.pace();
        if accepted {
            (pace.known, pace.refused) = (true, None);
        } else {
            (pace.known, pace.refused) = (false, Some(Instant::now()));
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

fn place(own: &Arc<Semaphore>, all: &Arc<Semaphore>) -> Result<Place, Busy> {
    let take = |room: &Arc<Semaphore>| {
        Arc::clone(room).try_acquire_owned().map_err(|_| Busy::Overloaded(SOON))
    };
    Ok(Place { _own: take(own)?, _all: take(all)? })
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
