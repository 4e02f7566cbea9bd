//! Waits for a run: until it ends, until its state changes, or until the time is up.

mod look;
mod queue;
mod submitted;
mod watch;

pub(crate) use self::{
    look::{LookArgs, until_changed, until_result},
    queue::with_reason,
    submitted::{Submitted, until_finished},
    watch::Submit,
};
