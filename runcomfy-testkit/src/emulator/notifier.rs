//! `Notifier`: delivers webhook events of all accounts.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock},
};

use runcomfy_core::RequestId;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::accounts::Accounts;
use crate::{
    account::{WebhookEvent, WebhookStage},
    fake::FakeRunComfy,
    sync::lock,
    webhooks::{Delivery, OnSettled, WebhookOptions, WebhookState, Webhooks, payload},
};

#[derive(Clone)]
pub(super) struct Notifier {
    options: WebhookOptions,
    /// Created for the first delivery, because it reads certificates, which takes time and may fail.
    webhooks: Arc<OnceLock<Option<Webhooks>>>,
    /// The accounts that are watched.
    watched: Arc<Mutex<HashSet<usize>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Notifier {
    /// Delivers each event `copies` times, starting with those that were pending at the last stop.
    pub(super) fn begin(accounts: &Accounts, copies: u32) -> Option<Self> {
        let options = WebhookOptions { copies, ..WebhookOptions::default() };
        let notifier = Self {
            options: options.scaled(accounts.time_scale()),
            webhooks: Arc::default(),
            watched: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        for (_, fake) in accounts.all() {
            if fake.has_pending_webhooks() {
                notifier.watch(&fake);
            }
        }
        Some(notifier)
    }

    /// Delivers the events of this account from now on.
    pub(super) fn watch(&self, fake: &FakeRunComfy) {
        let mut watched = lock(&self.watched);
        if !watched.insert(fake.identity()) {
            return;
        }
        let (fake, this, stop) = (fake.clone(), self.clone(), self.stop.clone());
        self.tasks.spawn(stop.run_until_cancelled_owned(async move {
            let changed = fake.changed();
            loop {
                // Subscribed before the events are taken, so that no change is missed.
                let change = changed.notified();
                tokio::pin!(change);
                change.as_mut().enable();
                let (notes, next) = fake.take_webhook_events();
                // An event is delivered only once it is on disk. If it cannot be written, it is delivered
                // after a restart.
                if !notes.is_empty() && fake.recorded().await.is_err() {
                    continue;
                }
                for note in notes {
                    if let Some((webhooks, delivery)) = this.webhooks().zip(delivery(&fake, note)) {
                        webhooks.deliver(delivery);
                    }
                }
                match next {
                    Some(at) => drop(tokio::time::timeout_at(at, change).await),
                    None => change.await,
                }
            }
        }));
    }

    /// `None` if the platform's certificates cannot be read; then nothing is delivered.
    fn webhooks(&self) -> Option<&Webhooks> {
        self.webhooks.get_or_init(|| Webhooks::new(self.options.clone()).ok()).as_ref()
    }

    /// How many deliveries were acknowledged.
    pub(super) fn delivered(&self) -> u64 {
        let made = self.webhooks.get().and_then(Option::as_ref);
        made.map_or(0, |webhooks| webhooks.counts().delivered)
    }

    /// Stops delivering, without waiting.
    pub(super) fn end(&self) {
        self.stop.cancel();
    }

    /// Stops delivering and waits for the tasks.
    pub(super) async fn stop(&self) {
        self.end();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(webhooks) = self.webhooks.get().and_then(Option::as_ref) {
            webhooks.stop().await;
        }
    }
}

/// The delivery of an event. `None` if the request was deleted.
fn delivery(fake: &FakeRunComfy, note: WebhookEvent) -> Option<Delivery> {
    let WebhookEvent { deployment_id, request_id, stage } = note;
    let url = fake.webhook(&request_id)?;
    let told = |state| payload(&request_id, &deployment_id, state);
    let payload = match stage {
        WebhookStage::InQueue => told(WebhookState::InQueue),
        WebhookStage::InProgress => told(WebhookState::InProgress),
        WebhookStage::End => {
            let result = fake.result(&deployment_id, &request_id)?;
            let created_at = result.created_at.as_deref().unwrap_or_default();
            let finished_at = result.finished_at.as_deref().unwrap_or_default();
            match (&result.error, &result.outputs) {
                (Some(error), _) => told(WebhookState::Failed { created_at, finished_at, error }),
                (None, Some(outputs)) => {
                    told(WebhookState::Succeeded { created_at, finished_at, outputs })
                }
                (None, None) => told(WebhookState::Cancelled { finished_at }),
            }
        }
    };
    let settled = acknowledgement(fake.clone(), request_id.clone(), stage);
    Some(Delivery { request_id, url, payload, settled: Some(settled) })
}

/// Records the acknowledgement, so that the event is not delivered again after a restart.
fn acknowledgement(fake: FakeRunComfy, request_id: RequestId, stage: WebhookStage) -> OnSettled {
    Box::new(move || fake.webhook_delivered(&request_id, stage))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runcomfy_core::{DeploymentId, InferenceRequest, RunComfyApi as _, request::Webhook};
    use tokio::{net::TcpListener, sync::watch, time::timeout};

    use super::*;
    use crate::{emulator::accounts::AccountSource, fake::EventRecorder};

    #[tokio::test]
    async fn no_webhook_is_sent_before_its_event_is_on_disk() {
        let fake = FakeRunComfy::builder().empty().deployment("one").build();
        let disk = watch::Sender::new(false);
        let written = disk.clone();
        fake.record_with(EventRecorder(Arc::new(move |_| {
            let mut written = written.subscribe();
            Box::pin(async move {
                written.wait_for(|written| *written).await.map(drop).map_err(|e| e.to_string())
            })
        })));
        let receiver = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = receiver.local_addr().unwrap();
        let accounts = Accounts::new(
            AccountSource::Shared(fake.clone()),
            "http://127.0.0.1/".parse().unwrap(),
        );
        let notifier = Notifier::begin(&accounts, 1).unwrap();
        notifier.watch(&fake);
        let webhook = Webhook::new(format!("http://{address}/").parse().unwrap());
        let request = InferenceRequest::new(DeploymentId::new("one").unwrap())
            .webhook(webhook.intermediate_status(true));
        let submitting = tokio::spawn(async move { fake.submit_request(&request).await });
        let early = timeout(Duration::from_millis(50), receiver.accept()).await;
        assert!(early.is_err() && !submitting.is_finished());
        disk.send_replace(true);
        submitting.await.unwrap().unwrap();
        timeout(Duration::from_secs(10), receiver.accept()).await.unwrap().unwrap();
        notifier.stop().await;
    }
}
