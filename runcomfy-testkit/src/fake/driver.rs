//! Who runs requests, if a fake does not by itself: told of each that is taken on or no longer wanted.

use std::{fmt, sync::Arc};

use runcomfy_core::RequestId;

use super::{FakeRunComfy, FakeState};

/// What is to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriverCommand {
    Run(RequestId),
    Stop(RequestId),
    /// Stop it, and keep nothing of it: its deployment is gone.
    Forget(RequestId),
    /// None in particular: there may be room for more at once.
    Reconsider,
}

type DriverFn = dyn Fn(&FakeRunComfy, DriverCommand) + Send + Sync;

/// Hears wishes in the order in which they come, one by one, while the fake is locked: it must not ask the
/// fake anything meanwhile.
#[derive(Clone)]
pub(crate) struct Driver(pub(crate) Arc<DriverFn>);

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

impl FakeState {
    /// Tells who drives this fake, if anybody does. Whatever then becomes of the call, it is known.
    pub(super) fn send_command(&self, fake: &FakeRunComfy, wish: DriverCommand) {
        if let Some(driver) = &self.driver {
            (driver.0)(fake, wish);
        }
    }
}
