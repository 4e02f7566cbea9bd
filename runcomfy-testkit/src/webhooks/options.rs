//! `WebhookOptions`: timeouts, retries and allowed receivers.

use std::time::Duration;

/// How webhooks are delivered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebhookOptions {
    /// How long a receiver may take to respond.
    pub(crate) acknowledged_within: Duration,
    /// The delay after the first failed attempt. Doubles with each.
    pub(crate) first_delay: Duration,
    pub(crate) longest_delay: Duration,
    /// No attempt starts later than this after the first.
    pub(crate) gives_up_after: Duration,
    /// How many times each delivery is sent, to test whether the receiver recognizes duplicates. Only the
    /// first is retried.
    pub(crate) copies: u32,
    /// How many receivers are called at the same time.
    pub(crate) at_once: usize,
    /// Whether receivers may be called without TLS.
    pub(crate) allow_http: bool,
    /// Whether receivers may be on this machine or in its network.
    pub(crate) allow_private: bool,
}

impl Default for WebhookOptions {
    /// The values that the service documents: 10 s to respond, attempts over 24 h. All receivers are allowed,
    /// because a receiver under development is usually local.
    fn default() -> Self {
        Self {
            acknowledged_within: Duration::from_secs(10),
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_secs(60),
            gives_up_after: Duration::from_secs(24 * 60 * 60),
            copies: 1,
            at_once: 64,
            allow_http: true,
            allow_private: true,
        }
    }
}

impl WebhookOptions {
    /// Shortens the waits by `scale`. The receiver keeps at least a second to respond, because it does not
    /// run faster.
    pub(crate) fn scaled(mut self, scale: f64) -> Self {
        const FOR_A_RECEIVER: Duration = Duration::from_secs(1);
        let scaled = |time: Duration| {
            Duration::try_from_secs_f64(time.as_secs_f64() / scale).unwrap_or(Duration::MAX)
        };
        let least = self.acknowledged_within.min(FOR_A_RECEIVER);
        self.acknowledged_within = scaled(self.acknowledged_within).max(least);
        self.first_delay = scaled(self.first_delay);
        self.longest_delay = scaled(self.longest_delay);
        self.gives_up_after = scaled(self.gives_up_after);
        self
    }

    /// The delay after this many failed attempts, the first of which started `elapsed` ago. `None` if the
    /// delivery is given up.
    pub(super) fn delay_after(&self, failures: u32, elapsed: Duration) -> Option<Duration> {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        let delay = self.first_delay.saturating_mul(factor).min(self.longest_delay);
        (elapsed.saturating_add(delay) <= self.gives_up_after).then_some(delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn delays_double_up_to_the_longest_until_a_day_is_over() {
        let delay =
            |failures, elapsed| WebhookOptions::default().delay_after(failures, secs(elapsed));
        let delays: Vec<_> = (1..=8).filter_map(|failures| delay(failures, 0)).collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60].map(secs));
        assert_eq!(delay(u32::MAX, 86_340), Some(secs(60)));
        assert_eq!(delay(u32::MAX, 86_341), None);
    }

    #[test]
    fn a_scale_shortens_every_wait_but_leaves_a_receiver_its_second() {
        let scaled = WebhookOptions::default().scaled(50.0);
        assert_eq!(scaled.acknowledged_within, secs(1));
        assert_eq!(scaled.first_delay, secs(1) / 50);
        assert_eq!(scaled.longest_delay, secs(60) / 50);
        assert_eq!(scaled.gives_up_after, secs(24 * 60 * 60) / 50);
        assert_eq!(WebhookOptions::default().scaled(2.0).acknowledged_within, secs(5));
        assert_eq!(WebhookOptions::default().scaled(1.0), WebhookOptions::default());
    }
}
