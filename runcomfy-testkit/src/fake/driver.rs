//! `Driver`: executes the runs of a fake in place of the simulation.

use std::{fmt, sync::Arc};

use runcomfy_core::RequestId;

use super::{FakeRunComfy, FakeState};

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DriverCommand {
    Run(RequestId),
    Stop(RequestId),
    /// Stop the run and delete its files, because its deployment was deleted.
    Forget(RequestId),
    /// Look for runs to start, because a deployment's limits may have changed.
    Reconsider,
}

type DriverFn = dyn Fn(&FakeRunComfy, DriverCommand) + Send + Sync;

/// Receives commands in order, one at a time. The fake is locked meanwhile, so the function must not call it.
#[derive(Clone)]
pub(crate) struct Driver(pub(crate) Arc<DriverFn>);

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Driver")
    }
}

impl FakeState {
    /// Sends a command to the driver, if there is one. It is sent even if the call fails afterwards.
    pub(super) fn send_command(&self, fake: &FakeRunComfy, command: DriverCommand) {
        if let Some(driver) = &self.driver {
            (driver.0)(fake, command);
        }
    }
}
