//! Outcomes in this process's memory: gone when it ends.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::store::{Entry, ReplayKey, ReplayStore, StoreUnavailable};

/// A [`ReplayStore`] in memory. A full one refuses new keys rather than forget one before its time: a
/// forgotten key would let a second run pass.
#[derive(Debug)]
pub struct MemoryStore {
    kept: Mutex<StoredEntry>,
    most: usize,
    most_each: usize,
}

/// More than a caller may submit in the hour for which outcomes are kept.
const MOST_EACH: usize = 4_000;
/// Each takes about half a kilobyte.
const MOST: usize = 50_000;

#[derive(Debug, Default)]
struct StoredEntry {
    entries: HashMap<ReplayKey, (Entry, Instant)>,
    each: HashMap<String, usize>,
    /// When the next one may be due: it is not worth looking before.
    next_sweep: Option<Instant>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_room(MOST, MOST_EACH)
    }
}

impl MemoryStore {
    /// A store for at most `most` outcomes, `most_each` of one account.
    #[must_use]
    pub fn with_room(most: usize, most_each: usize) -> Self {
        Self { kept: Mutex::default(), most, most_each }
    }

    fn with<T>(&self, work: impl FnOnce(&mut StoredEntry) -> T) -> T {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.sweep();
        work(&mut kept)
    }

    /// How many outcomes are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|kept| kept.entries.len())
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How often at most everything is looked through for what is past its time.
const SWEEP_EVERY: Duration = Duration::from_secs(10);

impl StoredEntry {
    fn sweep(&mut self) {
        let now = Instant::now();
        if self.next_sweep.is_some_and(|next| now < next) {
            return;
        }
        self.next_sweep = Some(now + SWEEP_EVERY);
        let Self { entries, each, .. } = self;
        entries.retain(|key, (_, until)| {
            let stays = *until > now;
            if !stays {
                less(each, key.account());
            }
            stays
        });
    }

    fn remove(&mut self, key: &ReplayKey) {
        if self.entries.remove(key).is_some() {
            less(&mut self.each, key.account());
        }
    }

    fn put(&mut self, key: &ReplayKey, entry: &Entry, keep: Duration) {
        let until = Instant::now() + keep;
        if self.entries.insert(key.clone(), (entry.clone(), until)).is_none() {
            *self.each.entry(key.account().to_owned()).or_default() += 1;
        }
    }
}

fn less(each: &mut HashMap<String, usize>, account: &str) {
    if let Some(count) = each.get_mut(account) {
        *count -= 1;
        if *count == 0 {
            each.remove(account);
        }
    }
}

#[async_trait]
impl ReplayStore for MemoryStore {
    async fn claim(
        &self,
        key: &ReplayKey,
        entry: &Entry,
        keep: Duration,
    ) -> Result<Option<Entry>, StoreUnavailable> {
        self.with(|kept| {
            match kept.entries.get(key) {
                Some((found, until)) if *until > Instant::now() => {
                    return Ok(Some(found.clone()));
                }
                Some(_) => kept.remove(key),
                None => {}
            }
            let own = kept.each.get(key.account()).copied().unwrap_or_default();
            if kept.entries.len() >= self.most || own >= self.most_each {
                return Err(StoreUnavailable("it is full".to_owned()));
            }
            kept.put(key, entry, keep);
            Ok(None)
        })
    }

    async fn replace(
        &self,
        key: &ReplayKey,
        entry: &Entry,
        keep: Duration,
    ) -> Result<(), StoreUnavailable> {
        self.with(|kept| kept.put(key, entry, keep));
        Ok(())
    }

    async fn forget(&self, key: &ReplayKey) -> Result<(), StoreUnavailable> {
        self.with(|kept| kept.remove(key));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::{super::store::EntryState, *};

    fn entry(number: u8) -> Entry {
        Entry { arguments: number.to_string(), state: EntryState::Unknown }
    }

    /// Never waits, as the trait's futures here have nothing to wait for.
    fn now<T>(future: impl Future<Output = T>) -> T {
        future.now_or_never().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_refuses_and_forgets_nothing() {
        let store = MemoryStore::with_room(3, 2);
        let minute = Duration::from_secs(60);
        let claim =
            |account, name| now(store.claim(&ReplayKey::of(account, name), &entry(0), minute));
        assert!(matches!(claim("a", "1"), Ok(None)));
        assert!(matches!(claim("a", "2"), Ok(None)));
        assert!(claim("a", "3").is_err(), "one account's share");
        assert!(matches!(claim("b", "1"), Ok(None)));
        assert!(claim("c", "1").is_err(), "everyone's");
        assert!(matches!(claim("a", "1"), Ok(Some(_))), "what is there is still found");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(matches!(claim("a", "3"), Ok(None)), "their time is over");
        assert_eq!(store.len(), 1);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Claim(u8, u8, u64),
        Replace(u8, u8, u64),
        Forget(u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..4_u8, any::<u8>(), 1..50_u64)
                .prop_map(|(key, what, keep)| Step::Claim(key, what, keep)),
            (0..4_u8, any::<u8>(), 1..50_u64)
                .prop_map(|(key, what, keep)| Step::Replace(key, what, keep)),
            (0..4_u8).prop_map(Step::Forget),
            (0..30_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Beside a table that knows when each entry ends.
        #[test]
        fn a_key_is_given_to_one_until_its_time_is_over(steps in prop::collection::vec(step(), 0..60)) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            let _inside = runtime.enter();
            let store = MemoryStore::with_room(100, 100);
            let mut model: BTreeMap<u8, (Entry, u64)> = BTreeMap::new();
            let mut clock = 0;
            let key = |number: u8| ReplayKey::of("a", &number.to_string());
            for step in steps {
                match step {
                    Step::Claim(number, what, keep) => {
                        let found = now(store.claim(&key(number), &entry(what), Duration::from_secs(keep))).unwrap();
                        let expected = model.get(&number).filter(|(_, until)| *until > clock);
                        prop_assert_eq!(found.as_ref(), expected.map(|(entry, _)| entry));
                        if found.is_none() {
                            model.insert(number, (entry(what), clock + keep));
                        }
                    }
                    Step::Replace(number, what, keep) => {
                        now(store.replace(&key(number), &entry(what), Duration::from_secs(keep))).unwrap();
                        model.insert(number, (entry(what), clock + keep));
                    }
                    Step::Forget(number) => {
                        now(store.forget(&key(number))).unwrap();
                        model.remove(&number);
                    }
                    Step::Wait(seconds) => {
                        runtime.block_on(tokio::time::advance(Duration::from_secs(seconds)));
                        clock += seconds;
                    }
                }
            }
        }
    }
}
