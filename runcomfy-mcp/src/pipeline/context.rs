//! One tool call under way: whom it acts for, how it reports, and what outlives its caller.

use std::{future::Future, sync::Arc, time::Duration};

use rmcp::{
    RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
    service::Peer,
};
use runcomfy_core::{Error, SharedWaits};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::Settings,
    pipeline::{
        auth::Api,
        confirmation::Consent,
        idempotency::Ledger,
        limits::{Gate, Place, Principal},
        writes::Writes,
    },
    result::Fault,
    transport::http::Visit,
    wait::Reasons,
};

/// What a tool gets besides its arguments.
pub(crate) struct Call {
    /// RunComfy, as the caller's account.
    pub(crate) api: Api,
    /// The tool's name.
    pub(crate) tool: &'static str,
    pub(crate) client: Client,
    /// Fires when the caller no longer waits for the answer.
    pub(crate) gone: CancellationToken,
    /// Fires when the one client that there is has closed the pipe.
    pub(crate) left: CancellationToken,
    pub(crate) settings: Arc<Settings>,
    /// Those who wait for the same run look at it as one.
    pub(crate) waits: SharedWaits<Principal>,
    /// Why runs stand in queue.
    pub(crate) reasons: Arc<Reasons>,
    /// Fires when the server is about to end.
    pub(crate) ending: CancellationToken,
    /// What is under way, which shutdown lets finish.
    pub(crate) work: TaskTracker,
    /// What is known of calls that change something.
    pub(crate) writes: Writes,
    pub(crate) standing: Standing,
    pub(crate) ledger: Ledger,
}

/// How the one who calls is reached.
pub(crate) struct Client {
    pub(crate) progress: Progress,
    /// How the person is asked, where they must be.
    pub(crate) consent: Consent,
    /// Whether a wait is better answered with a task: the client asks for its end by itself.
    pub(crate) tasks: bool,
}

/// Whose call it is, and what it holds of what is shared.
pub(crate) struct Standing {
    pub(crate) gate: Arc<Gate>,
    pub(crate) principal: Principal,
    /// Its place among the calls under way.
    pub(crate) place: Option<Arc<Place>>,
    /// Its place among those who wait.
    pub(crate) waits: Option<Place>,
    pub(crate) visit: Option<Visit>,
}

impl Call {
    /// Says what the call is doing, unless nobody listens any more: once a connection has closed, rmcp
    /// never gets round to notifications, and a call that waits for one to be sent is not answered.
    pub(crate) async fn say(&mut self, sentence: &str) {
        if matches!(self.client.progress, Progress::Silent) {
            return;
        }
        let (gone, ending) = (self.gone.clone(), self.ending.clone());
        let said = async {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = ending.cancelled() => {}
                () = self.client.progress.say(sentence) => {}
                () = tokio::time::sleep(PATIENCE) => tracing::debug!("the client is slow to take progress"),
            }
        };
        // Boxed: whoever waits says something now and then, and would keep the room for it all along.
        Box::pin(said).await;
    }

    /// Takes a place among those who wait: before anything is sent, as a run that nobody may wait for is
    /// better not started.
    pub(crate) fn take_seat(&mut self) -> Result<(), Fault> {
        let standing = &mut self.standing;
        standing.waits = Some(standing.gate.wait(standing.principal)?);
        Ok(())
    }

    /// From here on the call only waits: others may have its place among those under way, and the memory
    /// of its message.
    pub(crate) fn sit_down(&mut self) {
        self.standing.place = None;
        if let Some(visit) = &self.standing.visit {
            visit.load.release();
        }
    }

    /// Returns when there is no more point in waiting: the caller has gone, or the server will.
    pub(crate) async fn wait_is_pointless(&self) {
        tokio::select! {
            () = self.gone.cancelled() => {}
            () = self.ending.cancelled() => {}
        }
    }

    /// Runs a call that changes something, in a task of its own: a caller who goes away must not leave
    /// it half done, with nobody knowing whether it is billed.
    pub(crate) async fn write<T, F>(&self, write: impl FnOnce(Api) -> F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let write = write(Arc::clone(&self.api));
        let writing = self.writes.begin(self.tool, &self.ledger, None, None);
        self.to_its_end(async move {
            let answer = write.await;
            let outcome =
                answer.as_ref().map_or_else(|error| error.outcome().as_str(), |_| "applied");
            writing.ended(outcome, None);
            answer.map_err(Fault::from)
        })
        .await
    }

    /// Runs work that must not break off, whether or not anybody waits for it.
    pub(crate) async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        let place = self.standing.place.clone();
        let task = self.work.spawn(async move {
            let answer = work.await;
            drop(place); // held to the end
            answer
        });
        task.await.unwrap_or_else(|_| {
            Err(Fault::internal("the call ended unexpectedly; whether it took effect is unknown"))
        })
    }
}

/// How long a client may take to take a progress message before the call goes on without it.
const PATIENCE: Duration = Duration::from_millis(500);

/// How a call says what it is doing while it waits.
pub(crate) enum Progress {
    /// Nobody asked.
    Silent,
    /// By MCP's progress notifications.
    Peer { peer: Peer<RoleServer>, token: ProgressToken, said: u32 },
    /// On a terminal: a line each.
    Lines(fn(&str)),
}

impl Progress {
    /// Says a sentence. A client that does not take it is no reason to end the call.
    async fn say(&mut self, sentence: &str) {
        match self {
            Self::Silent => {}
            Self::Lines(print) => print(sentence),
            Self::Peer { peer, token, said } => {
                let step = ProgressNotificationParam::new(token.clone(), f64::from(*said))
                    .with_message(sentence);
                *said += 1;
                if let Err(error) = peer.notify_progress(step).await {
                    tracing::debug!(%error, "progress was not taken");
                }
            }
        }
    }
}
