//! The pipe to the client: one line at a time, and what went wrong with it.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::Mutex,
};
use tokio_util::sync::CancellationToken;

/// Takes lines.
pub(super) struct Output<W> {
    pipe: Mutex<W>,
    state: Arc<OutputState>,
}

/// What is known of it, for others than those who write.
#[derive(Default)]
pub(super) struct OutputState {
    /// Fires when it takes no more.
    closed: CancellationToken,
    failure: OnceLock<io::Error>,
}

impl OutputState {
    /// Returns when it takes no more.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Why it takes no more.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.get()
    }

    fn fail(&self, error: &io::Error) {
        let first = match error.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        };
        // What comes after it follows from it.
        let _ = self.failure.set(first);
        self.closed.cancel();
    }
}

impl<W: AsyncWrite + Unpin + Send> Output<W> {
    pub(super) fn new(pipe: W) -> Self {
        Self { pipe: Mutex::new(pipe), state: Arc::default() }
    }

    pub(super) fn state(&self) -> &Arc<OutputState> {
        &self.state
    }

    /// Writes a line that came in pieces.
    pub(super) async fn write(&self, pieces: &[Bytes]) -> io::Result<()> {
        let mut pipe = self.pipe.lock().await;
        if let Some(failure) = self.state.failure() {
            // Part of a line may be out: another would only be read as the rest of it.
            return Err(failure.kind().into());
        }
        let written = async {
            for piece in pieces {
                pipe.write_all(piece).await?;
            }
            pipe.flush().await
        };
        written.await.inspect_err(|error| self.state.fail(error))
    }

    /// Closes it, unless somebody still waits for it to take a line: that may be for ever.
    pub(super) async fn close(&self) -> io::Result<()> {
        match self.pipe.try_lock() {
            Ok(mut pipe) => pipe.shutdown().await,
            Err(_) => Ok(()),
        }
    }
}
