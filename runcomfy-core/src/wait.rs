//! Waiting until a run has ended, with any [`RunComfyApi`](crate::api::RunComfyApi).

mod builder;
mod event;
mod policy;
mod polls;
mod shared;
mod single;
mod sleep;
mod timeline;

pub use builder::Wait;
pub use event::{FinishedRun, TimedOutWait, WaitEnd, WaitEvent};
pub use policy::WaitPolicy;
pub use shared::SharedWaits;
