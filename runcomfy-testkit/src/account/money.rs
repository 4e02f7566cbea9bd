//! What an account has and what its instances cost.
//!
//! Kept in whole numbers, so that it makes no difference in how many steps time passes.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// A price or an amount, in millionths of a dollar.
pub(crate) type Microdollars = i64;

/// Converts dollars, rounded to the nearest millionth.
pub(crate) fn microdollars(dollars: f64) -> Microdollars {
    (dollars * 1e6).round() as Microdollars
}

/// What a millionth of a dollar is, in the unit that everything is counted in: as many nanoseconds as an
/// hour has, each at a millionth of a dollar per hour.
const MICRODOLLAR: i128 = 3_600 * 1_000_000_000;

/// What an instance costs per hour, by SKU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prices(BTreeMap<String, Microdollars>);

impl Default for Prices {
    /// The service's own, as of its documentation. They may be stale.
    fn default() -> Self {
        let prices = [
            ("TURING_16", 990_000),
            ("AMPERE_24", 1_750_000),
            ("AMPERE_48", 2_500_000),
            ("ADA_48_PLUS", 2_990_000),
            ("AMPERE_80", 4_990_000),
            ("ADA_80_PLUS", 7_490_000),
            ("HOPPER_141", 8_750_000),
        ];
        Self(prices.into_iter().map(|(sku, price)| (sku.to_owned(), price)).collect())
    }
}

impl Prices {
    pub(crate) fn set(&mut self, sku: &str, per_hour: Microdollars) {
        self.0.insert(sku.to_owned(), per_hour);
    }

    /// Nothing where nobody said.
    pub(crate) fn of(&self, sku: &str) -> Microdollars {
        self.0.get(sku).copied().unwrap_or_default()
    }
}

/// What was paid in and what was used up. What is left may fall below nothing: what is under way when the
/// money ends is finished, and paid for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Funds {
    paid_in: i128,
    spent: i128,
}

impl Funds {
    pub(super) fn new(balance: Microdollars) -> Self {
        Self { paid_in: i128::from(balance) * MICRODOLLAR, spent: 0 }
    }

    pub(super) fn pay_in(&mut self, amount: Microdollars) {
        self.paid_in += i128::from(amount) * MICRODOLLAR;
    }

    /// Instances that were up for so many nanoseconds in all, at this price per hour.
    pub(super) fn charge(&mut self, nanoseconds: u128, per_hour: Microdollars) {
        let nanoseconds = i128::try_from(nanoseconds).unwrap_or(i128::MAX);
        self.spent = self.spent.saturating_add(nanoseconds.saturating_mul(per_hour.into()));
    }

    /// Whether there is nothing left.
    pub(super) fn is_empty(&self) -> bool {
        self.spent >= self.paid_in
    }

    /// How long the rest lasts at this price per hour in all: the first nanosecond at which nothing is left.
    pub(super) fn lasts(&self, per_hour: i128) -> Option<Duration> {
        if per_hour <= 0 {
            return None;
        }
        let nanoseconds = (self.paid_in - self.spent).max(0).unsigned_abs();
        let nanoseconds = nanoseconds.div_ceil(per_hour.unsigned_abs());
        u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
    }

    /// What is left, rounded down: nobody is told of money that is not there.
    pub(super) fn balance(&self) -> Microdollars {
        whole(self.paid_in - self.spent)
    }

    pub(super) fn spent(&self) -> Microdollars {
        whole(self.spent)
    }
}

fn whole(amount: i128) -> Microdollars {
    let amount = amount.div_euclid(MICRODOLLAR);
    Microdollars::try_from(amount).unwrap_or(if amount < 0 {
        Microdollars::MIN
    } else {
        Microdollars::MAX
    })
}
