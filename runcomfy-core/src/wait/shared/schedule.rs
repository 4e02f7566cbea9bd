//! When to poll a run of a deployment whose run durations are known: arithmetic.

use std::time::Duration;

use crate::wait::policy::{WaitPolicy, scaled};

/// Which share of the known durations beyond the run's age is to have passed at the next poll.
const SHARE: f64 = 1.0 / 3.0;

/// The time to the next poll a run that has worked for `age`, where others worked as long as `known` says,
/// sorted and not empty; `usual` is that time where nothing is known. Varied by `random`, a number from 0 to 1.
pub(super) fn pause(
    known: &[Duration],
    age: Duration,
    usual: Duration,
    policy: &WaitPolicy,
    random: f64,
) -> Duration {
    // One percent of the run's age is precise enough.
    let shortest = policy.shortest_when_known.max(age / 100).min(usual);
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return policy.jittered(usual, random);
    };
    let later = &known[known.partition_point(|length| *length <= age)..];
    if later.is_empty() {
        // Overdue: likely to end any moment, and the less so the longer it does not.
        let overdue = age.saturating_sub(*last) / 2;
        return policy.jittered(overdue.max(shortest * 2).min(usual), random);
    }
    let wanted = later[nth(later.len(), SHARE * policy.varied(random))] - age;
    // Runs that began together would otherwise be polled together, one known length being one moment.
    let spread = scaled(shortest, policy.varied(random) - 1.0);
    // A few lengths say little of all: the fewer, the shorter the time without a poll. And once runs have been
    // seen to end at this age, polls come no rarer than where nothing is known.
    let trusted = usual.saturating_mul(u32::try_from(known.len()).map_or(u32::MAX, |n| n + 1));
    let longest = trusted.min(first.saturating_sub(age) + usual);
    (wanted + spread).min(longest).min(policy.longest(age)).max(shortest)
}

/// The index of the first of so many that has this share of them up to itself.
fn nth(many: usize, share: f64) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there are a few, and the share is from 0 to 1"
    )]
    let rank = (share * many as f64).ceil() as usize;
    rank.clamp(1, many) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(3);

    fn next(known: &[f64], age: f64) -> f64 {
        let known: Vec<_> = known.iter().copied().map(Duration::from_secs_f64).collect();
        let age = Duration::from_secs_f64(age);
        pause(&known, age, USUAL, &WaitPolicy::default(), 0.5).as_secs_f64()
    }

    #[test]
    fn nobody_looks_while_no_run_was_ever_over() {
        let known = [8.0, 9.0, 9.5, 10.0, 11.0, 12.0];
        assert_eq!(next(&known, 2.0), 7.0);
        // Some of those that remain, again and again.
        assert_eq!([next(&known, 9.0), next(&known, 10.0), next(&known, 11.0)], [1.0, 1.0, 1.0]);
        assert_eq!(next(&known, 11.9), 0.5);
    }

    #[test]
    fn one_that_is_overdue_is_looked_at_every_second_and_then_as_usual() {
        let known = [10.0];
        let pauses = [10.0, 12.0, 14.0, 20.0].map(|age| next(&known, age));
        assert_eq!(pauses, [1.0, 1.0, 2.0, 3.0]);
        // A run that did nothing says nothing of one that does something.
        assert_eq!(next(&[0.1], 10.0), 3.0);
    }

    #[test]
    fn a_few_lengths_are_trusted_a_little() {
        assert_eq!(next(&[60.0], 3.0), 6.0);
        assert_eq!(next(&[60.0, 60.0], 3.0), 9.0);
        assert_eq!(next(&[60.0; 32], 3.0), 15.0);
        assert_eq!(next(&[60.0; 32], 50.0), 10.0);
    }

    #[test]
    fn where_ends_are_known_looks_are_no_rarer_than_elsewhere() {
        let wide: Vec<_> = (1..=32).map(|length| f64::from(length) * 3.0).collect();
        for age in [3.0, 10.0, 30.0, 60.0] {
            assert!(next(&wide, age) <= 3.0, "{age}");
        }
        assert_eq!(next(&wide, 1.0), 5.0);
    }

    #[test]
    fn looks_at_a_run_of_minutes_are_not_half_a_second_apart() {
        assert_eq!(next(&[300.0, 300.1, 300.2], 299.9), 2.999);
        assert_eq!(next(&[100.0, 100.1, 100.2], 99.9), 0.999);
    }

    #[test]
    fn runs_that_began_together_are_not_looked_at_together() {
        let policy = WaitPolicy::default();
        let known = [Duration::from_secs(10)];
        let at = |random| pause(&known, Duration::from_secs(8), USUAL, &policy, random);
        assert!(at(1.0) > at(0.7) && at(0.7) > at(0.5));
    }
}
