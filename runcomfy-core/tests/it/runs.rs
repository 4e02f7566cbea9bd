//! Runs that end at exact times, each waited for by itself, over a mock and a paused clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::DateTime;
use futures_util::{StreamExt as _, future::join_all};
use runcomfy_core::{
    MockRunComfyApi, RequestId, Wait, WaitEnd,
    request::{RequestResult, RequestStatus},
    wait::{SharedWaits, WaitEvent, WaitPolicy},
};
use tokio::time::{Instant, sleep_until};

use crate::wait::d1;

/// A run, from its submit on.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) queued: Duration,
    pub(crate) works: Duration,
    /// In the service's word.
    pub(crate) end: &'static str,
}

impl Run {
    pub(crate) fn takes(works: Duration) -> Self {
        Self { queued: Duration::ZERO, works, end: "succeeded" }
    }
}

/// What a wait for a run came to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Waited {
    /// How long after the run's end it was known.
    pub(crate) delay: Duration,
    pub(crate) looks: u32,
}

/// One deployment.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) api: Arc<MockRunComfyApi>,
    runs: Arc<Mutex<HashMap<RequestId, (Instant, Run)>>>,
}

impl Service {
    /// Whose results tell when runs were submitted and ended, or do not.
    pub(crate) fn new(tells_times: bool) -> Self {
        let mut api = MockRunComfyApi::new();
        let runs = Arc::<Mutex<HashMap<RequestId, (Instant, Run)>>>::default();
        let (known, epoch) = (Arc::clone(&runs), Instant::now());
        api.expect_get_request_status().returning(move |_, id| {
            let (submitted, run) = known.lock().unwrap()[id];
            let word = match submitted.elapsed() {
                age if age < run.queued => "in_queue",
                age if age < run.queued + run.works => "in_progress",
                _ => "completed",
            };
            Ok(RequestStatus::new(id.clone(), word))
        });
        let known = Arc::clone(&runs);
        api.expect_get_request_result().returning(move |_, id| {
            let (submitted, run) = known.lock().unwrap()[id];
            let mut result = RequestResult::new(id.clone(), run.end);
            if tells_times {
                let stamp = |time: Instant| {
                    let millis = i64::try_from((time - epoch).as_millis()).unwrap();
                    Some(DateTime::from_timestamp_millis(millis).unwrap().to_rfc3339())
                };
                result.created_at = stamp(submitted);
                result.finished_at = stamp(submitted + run.queued + run.works);
            }
            Ok(result)
        });
        Self { api: Arc::new(api), runs }
    }

    pub(crate) fn submit(&self, run: Run) -> RequestId {
        let mut runs = self.runs.lock().unwrap();
        let id = RequestId::new(format!("r{}", runs.len())).unwrap();
        runs.insert(id.clone(), (Instant::now(), run));
        id
    }

    /// Submits the run and waits for it as `caller`.
    pub(crate) async fn run(&self, waits: &SharedWaits<u8>, caller: u8, run: Run) -> Waited {
        let submitted = Instant::now();
        let wait = Wait::new(Arc::clone(&self.api), d1(), self.submit(run)).just_submitted();
        let mut policy = WaitPolicy::default();
        policy.timeout = None;
        let mut events = std::pin::pin!(waits.events(caller, wait.policy(policy)));
        loop {
            let event = events.next().await.unwrap().unwrap();
            let WaitEvent::Ended(WaitEnd::Finished(finished)) = event else { continue };
            assert_eq!(finished.result.unwrap().status.as_deref(), Some(run.end));
            let delay = submitted.elapsed() - run.queued - run.works;
            return Waited { delay, looks: finished.polls };
        }
    }

    /// Submits all of them at once and waits for each.
    pub(crate) async fn run_all(
        &self,
        waits: &SharedWaits<u8>,
        runs: impl IntoIterator<Item = Run>,
    ) -> Figures {
        Figures::of(join_all(runs.into_iter().map(|run| self.run(waits, 1, run))).await)
    }

    /// Submits them one shortly after the other, as so many callers in turn, and waits for each.
    pub(crate) async fn run_all_of(
        &self,
        callers: u8,
        waits: &SharedWaits<u8>,
        runs: impl IntoIterator<Item = Run>,
    ) -> Figures {
        let all = runs.into_iter().zip((0..callers).cycle()).zip(0..);
        let all = all.map(|((run, caller), number)| async move {
            sleep_until(Instant::now() + Duration::from_millis(2) * number).await;
            self.run(waits, caller, run).await
        });
        Figures::of(join_all(all).await)
    }
}

/// What many waits came to.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Half of the ends were known after so many milliseconds.
    pub(crate) p50: u128,
    /// Ninety-nine of a hundred were.
    pub(crate) p99: u128,
    /// How often each was looked at.
    pub(crate) looks: f64,
}

impl Figures {
    pub(crate) fn of(mut all: Vec<Waited>) -> Self {
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() - 1) * percent / 100].delay.as_millis();
        let looks: u32 = all.iter().map(|waited| waited.looks).sum();
        let looks = f64::from(looks) / f64::from(u32::try_from(all.len()).unwrap());
        Self { p50: at(50), p99: at(99), looks }
    }

    pub(crate) fn mean(all: &[Self]) -> Self {
        let many = u32::try_from(all.len()).unwrap();
        let p50 = all.iter().map(|one| one.p50).sum::<u128>() / u128::from(many);
        let p99 = all.iter().map(|one| one.p99).sum::<u128>() / u128::from(many);
        Self { p50, p99, looks: all.iter().map(|one| one.looks).sum::<f64>() / f64::from(many) }
    }
}

/// What looking every three seconds would have come to, from the submit on.
pub(crate) fn every_three_seconds(works: Duration) -> Waited {
    let looks = works.as_nanos().div_ceil(Duration::from_secs(3).as_nanos());
    let delay = Duration::from_secs(3) * u32::try_from(looks).unwrap() - works;
    Waited { delay, looks: u32::try_from(looks).unwrap() + 1 }
}
