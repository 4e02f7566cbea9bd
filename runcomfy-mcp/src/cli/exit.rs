//! Exit codes: those of `sysexits.h`, as RunComfy's own CLI uses them.

use std::{io::ErrorKind, process::ExitCode};

use super::signals::Signal;

/// It did not work, or the run failed or was cancelled.
pub(super) const FAILURE: u8 = 1;
/// The command line or an argument is wrong.
pub(super) const USAGE: u8 = 64;
/// RunComfy refused what was asked.
const REFUSED: u8 = 65;
/// RunComfy, or the proxy on the way there, fails or can't be reached.
const UNAVAILABLE: u8 = 69;
/// An answer could not be written, or nobody knows what became of a call that changes something.
pub(super) const IO: u8 = 74;
/// A fault of this program's.
const INTERNAL: u8 = 70;
/// It may work later.
pub(super) const LATER: u8 = 75;
/// The token is missing or not accepted, or a setting forbids it.
const DENIED: u8 = 77;

/// The code for a kind of error.
pub(super) fn code(kind: &str) -> u8 {
    match kind {
        "invalid_argument" => USAGE,
        "internal" => INTERNAL,
        "overloaded" | "rate_limited" | "shutting_down" | "timed_out" => LATER,
        "permission_denied" | "policy_denied" | "unauthenticated" => DENIED,
        "proxy_unavailable"
        | "proxy_unusable"
        | "upstream_protocol"
        | "upstream_tls"
        | "upstream_unavailable" => UNAVAILABLE,
        _ => REFUSED,
    }
}

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Code(u8),
    /// As a signal ends a program that knows of none.
    Signal(Signal),
}

impl From<u8> for End {
    fn from(code: u8) -> Self {
        Self::Code(code)
    }
}

/// Ends after a command line that could not be read, or that asked for help.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    match printed {
        _ if error.use_stderr() => USAGE.into(),
        Err(error) if error.kind() != ErrorKind::BrokenPipe => IO.into(),
        _ => ExitCode::SUCCESS,
    }
}
