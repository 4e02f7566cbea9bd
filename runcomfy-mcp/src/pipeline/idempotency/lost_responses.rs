//! A call without a key, whose answer may be lost on the way to the caller.
//!
//! Known to this process only: where several servers share the work, a client that comes back may come to
//! another, and only a key helps.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use runcomfy_http_edge::{DeliveryOutcome, DeliveryReceipt};
use tokio::{sync::watch, time::Instant};

use super::{effect::Effect, fingerprint::Fingerprint};

/// How long an outcome waits for the caller who lost it.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// A client that lost its connection may be back before this end knows of the loss: so long an identical
/// call waits for that news. Two that are meant to be two are held up by as much, and no more.
const GRACE: Duration = Duration::from_millis(250);

/// Calls of one account in the same words that may be open, or lost, at a time. The oldest go first.
const MOST_ALIKE: usize = 100;
/// Of everybody's, in all words.
const MOST: usize = 10_000;

/// The calls whose answers are not known to have arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct LostResponses(Arc<Mutex<OpenAttempts>>);

#[derive(Debug, Default)]
struct OpenAttempts {
    attempts: HashMap<Same, Vec<Attempt>>,
    count: usize,
    next: u64,
}

/// Who asked for what.
pub(super) type Same = (Arc<str>, &'static str, Fingerprint);

#[derive(Debug)]
struct Attempt {
    number: u64,
    /// When its answer was found to be lost.
    lost: Option<Instant>,
    outcome: watch::Receiver<KnownEffect>,
    /// Wakes those who wait for news of it, once there are any: hardly any call has an identical one.
    news: Option<watch::Sender<()>>,
}

impl Attempt {
    fn wake(&self) {
        if let Some(news) = &self.news {
            news.send_replace(());
        }
    }
}

/// What a call did, once it has ended. A call that ends without a word leaves it unknown.
pub(super) type KnownEffect = Option<Effect>;

impl LostResponses {
    /// What comes of an identical call whose answer was lost; whoever gets it has it alone. Where one is
    /// open that may yet turn out to be lost, waits for a moment.
    pub(super) async fn lost(&self, asked: &Same) -> Option<watch::Receiver<KnownEffect>> {
        let patience = Instant::now() + GRACE;
        loop {
            let mut news = {
                let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                open.expire(asked);
                let alike = open.attempts.get_mut(asked)?;
                if let Some(place) = alike.iter().position(|one| one.lost.is_some()) {
                    let number = alike[place].number;
                    let outcome = alike[place].outcome.clone();
                    open.close(asked, number);
                    return Some(outcome);
                }
                alike.last_mut()?.news.get_or_insert_default().subscribe()
            };
            tokio::time::timeout_at(patience, news.changed()).await.ok()?.ok();
        }
    }

    /// Opens an attempt, until its answer is delivered; where that is lost, it stays for a while.
    pub(super) fn follow(
        &self,
        asked: &Same,
        outcome: watch::Receiver<KnownEffect>,
        receipt: &DeliveryReceipt,
    ) {
        let number = self.open(asked, outcome, None);
        let (own, asked) = (self.clone(), asked.clone());
        receipt.on_settled(move |arrival| {
            own.ended(&asked, number, arrival == DeliveryOutcome::Delivered);
        });
    }

    pub(super) fn open(
        &self,
        asked: &Same,
        outcome: watch::Receiver<KnownEffect>,
        lost: Option<Instant>,
    ) -> u64 {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.count >= MOST {
            open.sweep();
        }
        let number = open.next;
        open.next += 1;
        let attempt = Attempt { number, lost, outcome, news: None };
        let alike = open.attempts.entry(asked.clone()).or_insert_with(|| Vec::with_capacity(1));
        alike.push(attempt);
        let too_many = alike.len() > MOST_ALIKE;
        let oldest = alike.first().map(|oldest| oldest.number);
        open.count += 1;
        if let Some(oldest) = oldest.filter(|_| too_many) {
            open.close(asked, oldest);
        }
        number
    }

    /// Drops what came of this account's calls where it is `done`.
    pub(super) fn forget(&self, account: &str, done: impl Fn(&serde_json::Value) -> bool) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stays = |one: &Attempt| {
            let known = one.outcome.borrow();
            !matches!(&*known, Some(Effect::Done(value)) if done(value))
        };
        let found: Vec<_> = open
            .attempts
            .iter()
            .filter(|((whose, ..), _)| **whose == *account)
            .flat_map(|(asked, alike)| alike.iter().map(move |one| (asked.clone(), one)))
            .filter(|(_, one)| !stays(one))
            .map(|(asked, one)| (asked, one.number))
            .collect();
        found.into_iter().for_each(|(asked, number)| open.close(&asked, number));
    }

    fn ended(&self, asked: &Same, number: u64, delivered: bool) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if delivered {
            open.close(asked, number);
        } else if let Some(alike) = open.attempts.get_mut(asked) {
            for one in alike {
                if one.number == number {
                    one.lost = Some(Instant::now());
                }
                one.wake();
            }
        }
    }
}

impl OpenAttempts {
    fn close(&mut self, asked: &Same, number: u64) {
        self.keep(asked, |one| {
            // Its end is news, too: there is one less to wait for.
            one.wake();
            one.number != number
        });
    }

    fn expire(&mut self, asked: &Same) {
        self.keep(asked, |one| one.lost.is_none_or(|at| at.elapsed() < KEPT));
    }

    fn keep(&mut self, asked: &Same, stays: impl FnMut(&Attempt) -> bool) {
        let Some(alike) = self.attempts.get_mut(asked) else { return };
        let before = alike.len();
        alike.retain(stays);
        self.count -= before - alike.len();
        if alike.is_empty() {
            self.attempts.remove(asked);
        }
    }

    /// Forgets what was lost too long ago; if that is not enough, whatever was lost.
    fn sweep(&mut self) {
        for kept in [KEPT, Duration::ZERO] {
            self.attempts.retain(|_, alike| {
                alike.retain(|one| one.lost.is_none_or(|at| at.elapsed() < kept));
                !alike.is_empty()
            });
            self.count = self.attempts.values().map(Vec::len).sum();
            if self.count < MOST {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Same {
        ("a".into(), "submit_request", Fingerprint::of().text("x").done())
    }

    #[tokio::test(start_paused = true)]
    async fn news_of_a_loss_that_comes_a_moment_late_is_in_time() {
        let undelivered = LostResponses::default();
        let (_tell, outcome) = watch::channel(Some(Effect::Unknown));
        let number = undelivered.open(&asked(), outcome, None);
        let asked = asked();
        let mut back = std::pin::pin!(undelivered.lost(&asked));
        assert!(futures_util::poll!(&mut back).is_pending());
        tokio::time::advance(Duration::from_millis(200)).await;
        undelivered.ended(&asked, number, false);
        assert!(back.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_identical_call_is_held_up_by_the_grace_and_no_longer() {
        let undelivered = LostResponses::default();
        let (_tell, outcome) = watch::channel(None);
        undelivered.open(&asked(), outcome, None);
        let begun = Instant::now();
        assert!(undelivered.lost(&asked()).await.is_none());
        // A timer may be a millisecond late.
        assert!(begun.elapsed() - GRACE <= Duration::from_millis(1), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_loss_is_kept_for_ten_minutes() {
        let undelivered = LostResponses::default();
        let (_tell, outcome) = watch::channel(Some(Effect::Unknown));
        for (minutes, found) in [(9, true), (11, false)] {
            undelivered.open(&asked(), outcome.clone(), Some(Instant::now()));
            tokio::time::advance(Duration::from_secs(60 * minutes)).await;
            assert_eq!(undelivered.lost(&asked()).await.is_some(), found, "{minutes}");
            let open = undelivered.0.lock().unwrap();
            assert_eq!((open.count, open.attempts.len()), (0, 0), "nothing is left of it");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_open_is_bounded() {
        let undelivered = LostResponses::default();
        let (_tell, outcome) = watch::channel(Some(Effect::Unknown));
        for number in 0..MOST_ALIKE * 2 {
            undelivered.open(&asked(), outcome.clone(), Some(Instant::now()));
            let other =
                ("a".into(), "submit_request", Fingerprint::of().text(&number.to_string()).done());
            undelivered.open(&other, outcome.clone(), Some(Instant::now()));
        }
        let open = undelivered.0.lock().unwrap();
        assert_eq!(open.count, MOST_ALIKE + MOST_ALIKE * 2);
        assert_eq!(open.attempts.values().map(Vec::len).sum::<usize>(), open.count);
    }
}
