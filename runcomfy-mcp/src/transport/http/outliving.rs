//! Work that goes on when nobody waits for it any more.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Runs where it is polled for as long as somebody does, and then in a task of its own: a task from the start would
/// cost every call what only those need whose caller hangs up.
pub(super) struct Outliving<F: Future<Output: Send> + Send + 'static> {
    work: Option<Pin<Box<F>>>,
    gone: CancellationToken,
}

impl<F: Future<Output: Send> + Send + 'static> Outliving<F> {
    /// `gone` fires once nobody waits any more.
    pub(super) fn new(work: F, gone: CancellationToken) -> Self {
        Self { work: Some(Box::pin(work)), gone }
    }
}

impl<F: Future<Output: Send> + Send + 'static> Future for Outliving<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out: work that panics must not be gone on with.
        let Some(mut work) = self.work.take() else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<F: Future<Output: Send> + Send + 'static> Drop for Outliving<F> {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.gone.cancel();
        // Without a runtime the process is at its end.
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
    async fn work_that_is_waited_for_gives_its_answer_and_nobody_is_called_gone() {
        let gone = CancellationToken::new();
        assert_eq!(Outliving::new(async { 7 }, gone.clone()).await, 7);
        assert!(!gone.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_waits_for_goes_on_and_hears_of_it() {
        let (gone, (tell, told)) = (CancellationToken::new(), oneshot::channel());
        let heard = gone.clone();
        let work = async move {
            heard.cancelled().await;
            tell.send("done").unwrap();
        };
        drop(Outliving::new(work, gone));
        assert_eq!(timeout(Duration::from_secs(1), told).await, Ok(Ok("done")));
    }
}
