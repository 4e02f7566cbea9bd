//! When a run was in progress, as far as polls and its result tell.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use tokio::time::Instant;

use crate::request::{RequestResult, RequestState};

/// What is known of when a run was in progress.
#[derive(Debug)]
pub(super) struct Timeline {
    submitted: Option<Instant>,
    /// When it was last seen in queue.
    queued: Option<Instant>,
    began: Option<Instant>,
    /// By how much it may have begun later than was seen.
    vague: Duration,
    /// When it was last seen not to be over.
    going: Option<Instant>,
}

impl Timeline {
    /// Of a run that was submitted then, where that is known.
    pub(super) fn new(submitted: Option<Instant>) -> Self {
        Self { submitted, queued: None, began: None, vague: Duration::ZERO, going: submitted }
    }

    /// Takes in that it was seen in this state, which is not the end.
    pub(super) fn record(&mut self, state: RequestState, at: Instant) {
        self.going = Some(at);
        match state {
            RequestState::InQueue => (self.queued, self.began) = (Some(at), None),
            RequestState::InProgress if self.began.is_none() => {
                // One that was never seen in queue can hardly have been there for long.
                self.began = self.queued.map(|queued| between(queued, at)).or(self.submitted);
                self.vague = self.queued.map_or(Duration::ZERO, |queued| at - queued);
            }
            _ => {}
        }
    }

    /// How long it has worked by `now`; `None` where nobody saw it begin.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.began.map(|began| now.saturating_duration_since(began))
    }

    /// How long it worked that was seen to be over at `over`; `None` where that is anybody's guess.
    pub(super) fn length(&self, over: Instant, result: &RequestResult) -> Option<Duration> {
        let unseen = self.submitted.filter(|_| self.queued.is_none());
        let began = self.began.or(unseen)?;
        let going = self.going?.max(began);
        let ended = self
            .submitted
            .and_then(|submitted| submitted.checked_add(span(result)?))
            // Whatever the service's clock says, the end lies between two polls.
            .map_or_else(|| between(going, over), |ended| ended.max(going).min(over));
        let length = ended.saturating_duration_since(began);
        (self.vague <= length / 4).then_some(length)
    }
}

/// The moment halfway.
fn between(earlier: Instant, later: Instant) -> Instant {
    earlier + later.saturating_duration_since(earlier) / 2
}

/// From the submit to the end, as the service's own clock has it; `None` where it does not say so readably.
fn span(result: &RequestResult) -> Option<Duration> {
    let (created, finished) = (result.created_at.as_deref()?, result.finished_at.as_deref()?);
    (time(finished)? - time(created)?).to_std().ok()
}

/// A time as the service writes it: with an offset from UTC, or without, which is taken for UTC.
fn time(text: &str) -> Option<NaiveDateTime> {
    let with_offset = DateTime::parse_from_rfc3339(text).map(|time| time.naive_utc());
    with_offset.or_else(|_| text.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestId;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn result(created: &str, finished: &str) -> RequestResult {
        let mut result = RequestResult::new(RequestId::new("r").unwrap(), "succeeded");
        (result.created_at, result.finished_at) = (Some(created.into()), Some(finished.into()));
        result
    }

    #[test]
    fn a_span_is_read_in_any_spelling_of_times_and_in_no_other() {
        let day = "2026-11-23T";
        for (created, finished, expected) in [
            ("10:00:00Z", "10:00:09.250Z", Some(9.25)),
            ("10:00:00.000001Z", "10:00:09.000002Z", Some(9.000_001)),
            ("10:00:00+00:00", "12:00:09+02:00", Some(9.0)),
            ("10:00:00.5", "10:00:10", Some(9.5)),
            ("10:00:09Z", "10:00:00Z", None),
            ("10:00:00Z", "soon", None),
            ("", "10:00:00Z", None),
        ] {
            let told = result(&format!("{day}{created}"), &format!("{day}{finished}"));
            assert_eq!(
                span(&told).map(|span| span.as_secs_f64()),
                expected,
                "{created} {finished}"
            );
        }
        let untold = RequestResult::new(RequestId::new("r").unwrap(), "succeeded");
        assert_eq!(span(&untold), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_length_counts_from_the_submit_or_from_the_queue() {
        let (start, untold) = (Instant::now(), result("", ""));
        let mut timeline = Timeline::new(Some(start));
        assert_eq!(timeline.length(start + secs(4.0), &untold), Some(secs(2.0)));
        timeline.record(RequestState::InProgress, start + secs(3.0));
        assert_eq!(timeline.age(start + secs(5.0)), Some(secs(5.0)));
        assert_eq!(timeline.length(start + secs(7.0), &untold), Some(secs(5.0)));

        let mut timeline = Timeline::new(Some(start));
        timeline.record(RequestState::InQueue, start + secs(2.0));
        assert_eq!(timeline.length(start + secs(4.0), &untold), None);
        timeline.record(RequestState::InProgress, start + secs(4.0));
        timeline.record(RequestState::InProgress, start + secs(10.0));
        assert_eq!(timeline.age(start + secs(5.0)), Some(secs(2.0)));
        assert_eq!(timeline.length(start + secs(14.0), &untold), Some(secs(9.0)));

        let mut timeline = Timeline::new(Some(start));
        timeline.record(RequestState::InQueue, start);
        timeline.record(RequestState::InProgress, start + secs(4.0));
        assert_eq!(timeline.length(start + secs(14.0), &untold), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_service_says_narrows_an_end_to_between_two_looks() {
        let start = Instant::now();
        let mut timeline = Timeline::new(Some(start));
        timeline.record(RequestState::InProgress, start + secs(6.0));
        let length = |finished: &str| {
            let told = result("2026-11-23T10:00:00Z", &format!("2026-11-23T10:00:{finished}Z"));
            timeline.length(start + secs(10.0), &told).unwrap().as_secs_f64()
        };
        assert_eq!([length("07.5"), length("02"), length("59")], [7.5, 6.0, 10.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_nobody_saw_begin_has_no_age_and_no_length() {
        let start = Instant::now();
        let mut timeline = Timeline::new(None);
        timeline.record(RequestState::InProgress, start);
        assert_eq!(timeline.age(start + secs(5.0)), None);
        let told = result("2026-11-23T10:00:00Z", "2026-11-23T10:00:09Z");
        assert_eq!(timeline.length(start + secs(7.0), &told), None);
    }
}
