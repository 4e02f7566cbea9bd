//! The WebSocket on which ComfyUI reports the progress of a job.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{
    StatusCode, Upgraded,
    header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE},
};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};

use super::{
    api::Api,
    error::{ComfyError, ComfyErrorKind},
    event::{self, JobEvent},
};

/// An open connection.
pub(super) struct Socket(WebSocketStream<Upgraded>);

impl Socket {
    /// Connects as `client_id`. ComfyUI sends a client the events of its own jobs.
    ///
    /// Uses the client of the HTTP calls, so that TLS, name resolution and timeouts are the same.
    pub(super) async fn connect(api: &Api, client_id: &str) -> Result<Self, ComfyError> {
        let mut url = api.url(&["ws"]);
        url.query_pairs_mut().append_pair("clientId", client_id);
        let key = generate_key();
        let request = api
            .http()
            .get(url)
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let limit = api.limits().message;
        let upgraded = api.in_time(api.times().connect, async {
            let failed = |error| ComfyError::of_call(api.name(), error);
            let response = request.send().await.map_err(failed)?;
            let status = response.status();
            let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT);
            if status != StatusCode::SWITCHING_PROTOCOLS
                || accept.is_none_or(|value| value != derive_accept_key(key.as_bytes()).as_str())
            {
                return Err(
                    api.error(ComfyErrorKind::Status(status.as_u16()), "no WebSocket at /ws")
                );
            }
            response.upgrade().await.map_err(failed)
        });
        let config =
            WebSocketConfig::default().max_message_size(Some(limit)).max_frame_size(Some(limit));
        Ok(Self(
            WebSocketStream::from_raw_socket(upgraded.await?, Role::Client, Some(config)).await,
        ))
    }

    /// The next event of a job. `None` once the connection is closed or a message exceeds the limit.
    pub(super) async fn next(&mut self, prompt_id: &str) -> Option<JobEvent> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => {
                    if let Some(event) = event::read(&text, prompt_id) {
                        return Some(event);
                    }
                }
                // Previews and control frames.
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Closes the connection and waits briefly.
    pub(super) async fn close(mut self) {
        let _ = timeout(Duration::from_millis(100), self.0.close(None)).await;
    }
}
