//! The process that started this one. A client that is killed closes its end of the pipe, but another of its children
//! may hold it, too: the server would stay for as long as that one does.

use tokio_util::sync::CancellationToken;

/// Fires some seconds after the parent has gone; never where that was process 1 from the start, or where the system
/// has no such thing.
pub(super) fn gone() -> CancellationToken {
    let gone = CancellationToken::new();
    #[cfg(unix)]
    {
        use std::{os::unix::process::parent_id, time::Duration};
        const EVERY: Duration = Duration::from_secs(2);
        let first = parent_id();
        if first != 1 {
            let fired = gone.clone();
            tokio::spawn(async move {
                while parent_id() == first {
                    tokio::time::sleep(EVERY).await;
                }
                tracing::info!("the process that started this one has gone");
                fired.cancel();
            });
        }
    }
    gone
}
