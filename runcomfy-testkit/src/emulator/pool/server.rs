//! `PoolServer`: a ComfyUI server and its state.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::{
    comfyui::{About, ComfyError, ComfyErrorKind, Server},
    sync::lock,
};

/// Called with one line for the operator of the emulator.
pub(in crate::emulator) type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// A server, with a number that stays the same across restarts.
pub(super) struct PoolServer {
    pub(super) number: u64,
    pub(super) server: Server,
    state: Mutex<ServerState>,
}

#[derive(Default)]
struct ServerState {
    /// The result of the last check. `None` before the first.
    reach: Option<Reach>,
    running: bool,
}

/// What answers at the server's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Comfyui,
    Nothing,
    /// Something that is not ComfyUI.
    Other,
}

impl PoolServer {
    pub(super) fn new(number: u64, server: Server) -> Self {
        Self { number, server, state: Mutex::default() }
    }

    /// Checks whether the server answers, and reports changes.
    pub(super) async fn check(&self, report: Option<&Report>) -> bool {
        let found = self.server.check().await;
        let reach = match &found {
            Ok(_) => Reach::Comfyui,
            Err(error) => reach(error),
        };
        let before = lock(&self.state).reach.replace(reach);
        if before != Some(reach)
            && let Some(report) = report
        {
            report(&line(self.server.name(), before, &found));
        }
        reach == Reach::Comfyui
    }

    pub(super) fn set_running(&self, running: bool) {
        lock(&self.state).running = running;
    }

    /// The server's URL and state for the overview.
    pub(super) fn overview(&self) -> Value {
        let state = lock(&self.state);
        let word = match (state.running, state.reach) {
            (true, _) => "running",
            (false, Some(Reach::Comfyui) | None) => "idle",
            (false, Some(Reach::Nothing)) => "unreachable",
            (false, Some(Reach::Other)) => "not_comfyui",
        };
        json!({"url": self.server.name(), "state": word})
    }
}

fn reach(error: &ComfyError) -> Reach {
    match error.kind() {
        ComfyErrorKind::TimedOut => Reach::Nothing,
        _ if error.is_absence() => Reach::Nothing,
        ComfyErrorKind::Status(_)
        | ComfyErrorKind::TooLarge
        | ComfyErrorKind::Unreachable
        | ComfyErrorKind::Unusable => Reach::Other,
    }
}

fn line(name: &str, before: Option<Reach>, found: &Result<About, ComfyError>) -> String {
    match found {
        Ok(About { version, device }) => {
            let version = version.as_ref().map(|version| format!(" {version}"));
            let device = device.as_ref().map(|device| format!(" on {device}"));
            let (version, device) = (version.unwrap_or_default(), device.unwrap_or_default());
            let again = if before.is_some() { " now" } else { "" };
            format!("ComfyUI{version} at {name} answers{again}{device}")
        }
        Err(error) if reach(error) == Reach::Other => {
            format!("{name} is not a ComfyUI server, so no request runs there: {error}")
        }
        Err(error) => format!("{error}; requests wait until it answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_answer_is_told_from_what_answers_otherwise() {
        for (kind, expected) in [
            (ComfyErrorKind::Unreachable, Reach::Nothing),
            (ComfyErrorKind::TimedOut, Reach::Nothing),
            (ComfyErrorKind::Status(502), Reach::Nothing),
            (ComfyErrorKind::Status(404), Reach::Other),
            (ComfyErrorKind::Status(500), Reach::Other),
            (ComfyErrorKind::Unusable, Reach::Other),
            (ComfyErrorKind::TooLarge, Reach::Other),
        ] {
            assert_eq!(reach(&ComfyError::new(kind, "http://host", "x")), expected, "{kind:?}");
        }
    }
}
