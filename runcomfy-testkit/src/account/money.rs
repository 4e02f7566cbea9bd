//! The balance of an account and the prices of its instances.
//!
//! All amounts are integers, so that the result does not depend on the number of steps in which time
//! advances.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

/// A price or an amount, in millionths of a dollar.
pub(crate) type Microdollars = i64;

/// Converts dollars, rounded to the nearest millionth.
pub(crate) fn microdollars(dollars: f64) -> Microdollars {
    (dollars * 1e6).round() as Microdollars
}

/// One microdollar in the internal unit, which is a nanosecond at a price of one microdollar per hour.
const MICRODOLLAR: i128 = 3_600 * 1_000_000_000;

/// The price per hour of each SKU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prices(BTreeMap<String, Microdollars>);

impl Default for Prices {
    /// The service's documented prices, which may be out of date.
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

    /// Zero for a SKU without a price.
    pub(crate) fn of(&self, sku: &str) -> Microdollars {
        self.0.get(sku).copied().unwrap_or_default()
    }
}

/// Payments and charges. The balance can become negative, because runs in progress finish after the money is
/// used up.
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

    /// Charges for instances that ran for `nanoseconds` in total at this price per hour.
    pub(super) fn charge(&mut self, nanoseconds: u128, per_hour: Microdollars) {
        let nanoseconds = i128::try_from(nanoseconds).unwrap_or(i128::MAX);
        self.spent = self.spent.saturating_add(nanoseconds.saturating_mul(per_hour.into()));
    }

    /// Whether the balance is used up.
    pub(super) fn is_empty(&self) -> bool {
        self.spent >= self.paid_in
    }

    /// How long the balance lasts at this total price per hour: until the first nanosecond at which it is
    /// used up.
    pub(super) fn lasts(&self, per_hour: i128) -> Option<Duration> {
        if per_hour <= 0 {
            return None;
        }
        let nanoseconds = (self.paid_in - self.spent).max(0).unsigned_abs();
        let nanoseconds = nanoseconds.div_ceil(per_hour.unsigned_abs());
        u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
    }

    /// The remaining balance, rounded down so that it is never overstated.
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
