//! A server, and what is known of it.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::{
    comfyui::{About, Server, Trouble, TroubleKind},
    sync::lock,
};

/// Told of what the operator of an emulator should know, a line each.
pub(in crate::emulator) type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// A server, by a number that it keeps across restarts.
pub(super) struct Machine {
    pub(super) number: u64,
    pub(super) server: Server,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Since it was last asked. `None` before the first answer.
    reach: Option<Reach>,
    running: bool,
}

/// What is at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Comfyui,
    Nothing,
    /// Something that answers otherwise.
    Other,
}

impl Machine {
    pub(super) fn new(number: u64, server: Server) -> Self {
        Self { number, server, state: Mutex::default() }
    }

    /// Asks whether it is there, and reports where that is news.
    pub(super) async fn is_there(&self, report: Option<&Report>) -> bool {
        let found = self.server.check().await;
        let reach = match &found {
            Ok(_) => Reach::Comfyui,
            Err(trouble) => reach(trouble),
        };
        let before = lock(&self.state).reach.replace(reach);
        if before != Some(reach)
            && let Some(report) = report
        {
            report(&line(self.server.name(), before, &found));
        }
        reach == Reach::Comfyui
    }

    pub(super) fn runs(&self, running: bool) {
        lock(&self.state).running = running;
    }

    /// For people.
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

fn reach(trouble: &Trouble) -> Reach {
    match trouble.kind() {
        TroubleKind::TimedOut => Reach::Nothing,
        _ if trouble.is_absence() => Reach::Nothing,
        TroubleKind::Status(_)
        | TroubleKind::TooLarge
        | TroubleKind::Unreachable
        | TroubleKind::Unusable => Reach::Other,
    }
}

fn line(name: &str, before: Option<Reach>, found: &Result<About, Trouble>) -> String {
    match found {
        Ok(About { version, device }) => {
            let version = version.as_ref().map(|version| format!(" {version}"));
            let device = device.as_ref().map(|device| format!(" on {device}"));
            let (version, device) = (version.unwrap_or_default(), device.unwrap_or_default());
            let again = if before.is_some() { " now" } else { "" };
            format!("ComfyUI{version} at {name} answers{again}{device}")
        }
        Err(trouble) if reach(trouble) == Reach::Other => {
            format!("what is at {name} is no ComfyUI, so no request runs there: {trouble}")
        }
        Err(trouble) => format!("{trouble}; requests wait until it answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_answer_is_told_from_what_answers_otherwise() {
        for (kind, expected) in [
            (TroubleKind::Unreachable, Reach::Nothing),
            (TroubleKind::TimedOut, Reach::Nothing),
            (TroubleKind::Status(502), Reach::Nothing),
            (TroubleKind::Status(404), Reach::Other),
            (TroubleKind::Status(500), Reach::Other),
            (TroubleKind::Unusable, Reach::Other),
            (TroubleKind::TooLarge, Reach::Other),
        ] {
            assert_eq!(reach(&Trouble::new(kind, "http://host", "x")), expected, "{kind:?}");
        }
    }
}
