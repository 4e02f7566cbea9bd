//! RunComfy in memory for tests, and as an emulator over HTTP.
//!
//! [`FakeRunComfy`] is a model of the service behind [`RunComfyApi`](runcomfy_core::RunComfyApi): it has
//! deployments, a queue, instances that wake and sleep, and results with outputs. [`Emulator`] serves the
//! same model over HTTP, and `runcomfy-emulator` is that as a program.

mod account;
mod emulator;
mod fake;
mod graph;
mod ids;
mod lifecycle;
mod media;
mod outputs;
mod picture;
mod samples;
mod script;

pub use emulator::{Emulator, EmulatorBuilder};
pub use fake::{Call, FakeBuilder, FakeRunComfy};
pub use script::Script;
