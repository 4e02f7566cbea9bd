//! The store of idempotency keys in memory, beside a table that knows when each entry ends.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use super::block_on;
use crate::pipeline::idempotency::{Entry, EntryState, MemoryStore, ReplayKey, ReplayStore};

/// Of all, and of one account.
const ROOM: (usize, usize) = (6, 3);
/// How long an entry may go on taking room once its time is over.
const SWEPT_AFTER: Duration = Duration::from_secs(10);

/// Three bytes a step: what to do, with which key of which account, and for how long.
pub(super) fn sequence(bytes: &[u8]) {
    block_on(async {
        let store = MemoryStore::with_room(ROOM.0, ROOM.1);
        let mut model: HashMap<(u8, u8), (Entry, Instant)> = HashMap::new();
        for (number, step) in bytes.chunks_exact(3).enumerate() {
            let names = (step[1] / 16 % 4, step[1] % 8);
            let key = ReplayKey::of(&format!("account{}", names.0), &names.1.to_string());
            let arguments = number.to_string();
            let entry = Entry { arguments, state: EntryState::Running { until_unix_ms: 0 } };
            let keep = Duration::from_secs(u64::from(step[2]));
            let now = Instant::now();
            match step[0] % 4 {
                0 => {
                    let there = model.get(&names).filter(|(_, until)| *until > now);
                    match store.claim(&key, &entry, keep).await {
                        Ok(Some(found)) => assert_eq!(Some(&found), there.map(|(entry, _)| entry)),
                        Ok(None) => {
                            assert!(there.is_none(), "a second run under {key}");
                            model.insert(names, (entry, now + keep));
                        }
                        Err(full) => {
                            assert!(there.is_none(), "{full}");
                            let taking =
                                |(_, until): &&(Entry, Instant)| *until + SWEPT_AFTER > now;
                            let all = model.values().filter(taking).count();
                            let own = model.iter().filter(|(known, _)| known.0 == names.0);
                            let own = own.map(|(_, kept)| kept).filter(taking).count();
                            assert!(all >= ROOM.0 || own >= ROOM.1, "{all} kept, {own} of one");
                        }
                    }
                }
                1 => {
                    assert!(store.replace(&key, &entry, keep).await.is_ok());
                    model.insert(names, (entry, now + keep));
                }
                2 => {
                    assert!(store.forget(&key).await.is_ok());
                    model.remove(&names);
                }
                _ => tokio::time::advance(keep).await,
            }
        }
        // In the end nothing is left of it.
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(store.is_empty());
    });
}
