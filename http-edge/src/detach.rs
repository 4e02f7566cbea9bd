//! Work that continues in a task of its own once its caller is gone.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Polls the work in the caller's task. If it is dropped before the work has ended, it spawns the work and
/// cancels the token. A task from the start would make every call pay for what only disconnected callers need.
pub struct Detach<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    disconnected: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> std::fmt::Debug for Detach<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detach").field("ended", &self.work.is_none()).finish_non_exhaustive()
    }
}

impl<F: Future<Output: Send> + Send + 'static> Detach<F> {
    /// `disconnected` is cancelled if the work continues without its caller, so that it can react.
    pub fn new(work: F, disconnected: CancellationToken) -> Self {
        Self { work: Some(Box::pin(work)), disconnected }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Detach<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out during the poll, because work that panicked must not be polled again.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Detach<F> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.disconnected.cancel();
        // There is no runtime when the process is about to exit.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{sync::oneshot, time::timeout};

    use super::*;

    #[tokio::test]
    async fn work_whose_caller_stays_returns_its_value_and_cancels_nothing() {
        let disconnected = CancellationToken::new();
        assert_eq!(Detach::new(async { 7 }, disconnected.clone()).await, 7);
        assert!(!disconnected.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn work_whose_caller_is_gone_continues_and_its_token_is_cancelled() {
        let (disconnected, (sender, received)) = (CancellationToken::new(), oneshot::channel());
        let seen = disconnected.clone();
        let work = async move {
            seen.cancelled().await;
            sender.send("done").unwrap();
        };
        drop(Detach::new(work, disconnected));
        assert_eq!(timeout(Duration::from_secs(1), received).await, Ok(Ok("done")));
    }
}
