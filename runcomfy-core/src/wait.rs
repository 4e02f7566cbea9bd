//! Waiting until a run is done, over any [`RunComfyApi`](crate::api::RunComfyApi).

mod alarm;
mod builder;
mod event;
mod looks;
mod policy;
mod shared;
mod watch;
mod work;

pub use builder::Wait;
pub use event::{Finished, TimedOut, WaitEnd, WaitEvent};
pub use policy::WaitPolicy;
pub use shared::SharedWaits;
