//! What a call reports while it goes on.

use std::time::Duration;

use rmcp::{
    RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::Peer,
};

/// How long a client may take to accept a progress message before the call goes on without it.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// Where a call reports what it is doing while it waits.
pub(crate) enum Progress {
    /// Nowhere: the caller has not asked for it.
    Silent,
    /// MCP's progress notifications.
    Peer { peer: Peer<RoleServer>, token: ProgressToken, said: u32 },
    /// A line on the terminal for each message.
    Lines(fn(&str)),
}

impl Progress {
    /// Reports one sentence. A client that does not accept it is no reason to end the call.
    pub(super) async fn report(&mut self, sentence: &str) {
        match self {
            Self::Silent => {}
            Self::Lines(print) => print(sentence),
            Self::Peer { peer, token, said } => {
                let step = ProgressNotificationParam::new(token.clone(), f64::from(*said))
                    .with_message(sentence);
                *said += 1;
                if let Err(error) = peer.notify_progress(step).await {
                    tracing::debug!(%error, "the client did not accept a progress message");
                }
            }
        }
    }
}
