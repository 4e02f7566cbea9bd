//! What is remembered of each caller and of each address, for as long as there is room.

use std::{
    hash::Hash,
    net::IpAddr,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use lru::LruCache;
use ring::hmac;
use runcomfy_core::Token;
use tokio::{sync::Semaphore, time::Instant};

use super::gcra::Gcra;
use crate::{config::Limits, entropy};

/// Who calls. Of a token only a hash is kept, under a key that this process has made for itself: nobody who
/// sees it can tell the token, or try tokens on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CallerId {
    /// Whoever connects: all act as one account.
    Shared,
    /// The holder of a token.
    Token([u8; 32]),
}

/// Hashes tokens.
pub(super) struct Hasher(hmac::Key);

impl Hasher {
    pub(super) fn new() -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &entropy::secret()))
    }

    pub(super) fn caller_id(&self, token: &Token) -> CallerId {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.0, token.expose().as_bytes()).as_ref());
        CallerId::Token(hash)
    }
}

/// What is remembered of one caller.
pub(super) struct Caller {
    pub(super) calls: Arc<Semaphore>,
    pub(super) waits: Arc<Semaphore>,
    /// How others than this process know the account.
    pub(super) account: OnceLock<Arc<str>>,
    rates: Mutex<CallerRates>,
}

#[derive(Default)]
pub(super) struct CallerRates {
    /// Requests of any kind.
    pub(super) requests: Gcra,
    pub(super) calls: Gcra,
    pub(super) paid: Gcra,
    /// When RunComfy last refused the token.
    pub(super) refused: Option<Instant>,
    /// Whether RunComfy has ever taken it.
    pub(super) table: bool,
}

impl Caller {
    fn new(limits: &Limits) -> Self {
        let room = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self {
            calls: room(limits.calls_per_caller),
            waits: room(limits.waits_per_caller),
            account: OnceLock::new(),
            rates: Mutex::default(),
        }
    }

    pub(super) fn rates(&self) -> MutexGuard<'_, CallerRates> {
        locked(&self.rates)
    }
}

/// The callers and addresses seen lately.
pub(super) struct CallerTable {
    callers: Mutex<LruCache<CallerId, Arc<Caller>>>,
    sources: Mutex<LruCache<IpAddr, Gcra>>,
}

impl CallerTable {
    pub(super) fn new(limits: &Limits) -> Self {
        let most = NonZeroUsize::new(limits.callers).unwrap_or(NonZeroUsize::MIN);
        Self { callers: Mutex::new(LruCache::new(most)), sources: Mutex::new(LruCache::new(most)) }
    }

    pub(super) fn caller(&self, caller_id: CallerId, limits: &Limits) -> Arc<Caller> {
        let mut callers = locked(&self.callers);
        Arc::clone(callers.get_or_insert(caller_id, || Arc::new(Caller::new(limits))))
    }

    /// Does it with what is remembered of an address.
    pub(super) fn source<T>(&self, source: IpAddr, act: impl FnOnce(&mut Gcra) -> T) -> T {
        act(locked(&self.sources).get_or_insert_mut(network(source), Gcra::default))
    }

    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        locked(&self.callers).len()
    }
}

/// Whoever has one address of the new kind has 2⁶⁴.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        old => old,
    }
}

/// How long a refused token is refused here, without asking again.
pub(super) const REMEMBERED: Duration = Duration::from_secs(30);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic is done under it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_as_a_hash_that_no_other_process_makes() {
        let token = Token::new("tok").unwrap();
        let (one, other) = (Hasher::new(), Hasher::new());
        assert_eq!(one.caller_id(&token), one.caller_id(&token));
        assert_ne!(one.caller_id(&token), one.caller_id(&Token::new("tol").unwrap()));
        assert_ne!(one.caller_id(&token), other.caller_id(&token));
    }

    #[test]
    fn callers_beyond_the_most_make_the_longest_away_be_forgotten() {
        let mut limits = Limits::hosted();
        limits.callers = 10;
        let (table, hasher) = (CallerTable::new(&limits), Hasher::new());
        let caller_id = |n: usize| hasher.caller_id(&Token::new(format!("t{n}")).unwrap());
        let first = table.caller(caller_id(0), &limits);
        for n in 1..1000 {
            table.caller(caller_id(n), &limits);
            // Who comes again and again stays.
            assert!(Arc::ptr_eq(&first, &table.caller(caller_id(0), &limits)));
        }
        assert_eq!(table.callers(), 10);
    }

    #[test]
    fn addresses_of_one_network_are_one_source() {
        let address = |text: &str| network(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:0:0:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
