//! Integration tests of the fake and the emulator, through the public API and over sockets.
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where")]

#[cfg(all(unix, feature = "program"))]
mod binary;
mod broken_services;
#[cfg(feature = "program")]
mod comfyui;
mod conformance;
mod conformance_http;
#[cfg(all(unix, feature = "program"))]
mod documented;
mod emulator;
mod fake;
mod faults;
mod graphs;
mod http;
mod load;
#[cfg(all(unix, feature = "program"))]
mod needs;
mod overview;
#[cfg(feature = "program")]
mod program;
mod quickstart;
#[cfg(feature = "program")]
mod state;
#[cfg(feature = "program")]
mod webhooks;
mod wire;
