//! A stub of `notifier` for builds without the feature `webhooks`.

use super::accounts::Accounts;
use crate::fake::FakeRunComfy;

pub(super) use self::NoNotifier as Notifier;

/// Cannot be constructed.
#[derive(Clone)]
pub(super) enum NoNotifier {}

impl NoNotifier {
    pub(super) fn begin(_: &Accounts, _: u32) -> Option<Self> {
        None
    }

    pub(super) fn watch(&self, _: &FakeRunComfy) {
        match *self {}
    }

    pub(super) fn delivered(&self) -> u64 {
        match *self {}
    }

    pub(super) fn end(&self) {
        match *self {}
    }

    pub(super) async fn stop(&self) {
        match *self {}
    }
}
