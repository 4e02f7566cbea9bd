//! Deletes the output folders of requests that are gone or expired.

use std::{fs, path::Path, time::Duration};

use runcomfy_core::RequestId;
use tokio::task::JoinHandle;

use super::Pool;
use crate::sync::lock;

/// Files are kept for days, so an hour is often enough.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(60 * 60);

impl Pool {
    /// Sweeps now and then at intervals.
    pub(super) async fn sweep_periodically(&self) {
        loop {
            self.sweep().await;
            tokio::time::sleep(BETWEEN_SWEEPS).await;
        }
    }

    /// Deletes the folders of deleted requests and of those whose files have expired.
    pub(super) async fn sweep(&self) {
        let outputs = self.outputs.clone();
        let listed = tokio::task::spawn_blocking(move || requests_in(&outputs)).await;
        for request_id in listed.unwrap_or_default() {
            let accounts: Vec<_> = lock(&self.accounts).values().cloned().collect();
            if !accounts.iter().any(|fake| fake.keeps_files(&request_id)) {
                drop(self.remove(&request_id).await);
            }
        }
    }

    /// Deletes the request's folder on a blocking thread. The next sweep retries a failed deletion.
    pub(super) fn remove(&self, request_id: &RequestId) -> JoinHandle<()> {
        let folder = self.folder(request_id);
        tokio::task::spawn_blocking(move || drop(fs::remove_dir_all(folder)))
    }
}

/// The requests that have a folder. Other entries are left alone.
fn requests_in(outputs: &Path) -> Vec<RequestId> {
    let entries = fs::read_dir(outputs).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| RequestId::new(entry.file_name().to_str()?).ok()).collect()
}
