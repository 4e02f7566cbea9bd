//! Taking connections, and letting go of them.

use std::{io, sync::Arc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connection::{self, Ends, Peer},
    site::Site,
};
use crate::ConnectionSettings;

/// Those who are connected.
pub(super) struct Connections {
    app: Site,
    settings: ConnectionSettings,
    room: Arc<Semaphore>,
    served: TaskTracker,
    ends: Ends,
}

/// The first and the longest pause after a failure to accept, as when the process is out of descriptors:
/// without one it would spin until somebody hangs up.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// When the system asks a silent peer whether it is still there.
const ASK_AFTER: Duration = Duration::from_secs(30);

impl Connections {
    pub(super) fn new(app: Site, settings: ConnectionSettings) -> Self {
        let room = Arc::new(Semaphore::new(settings.most.min(Semaphore::MAX_PERMITS)));
        let ends = Ends { softly: CancellationToken::new(), hard: CancellationToken::new() };
        Self { app, settings, room, served: TaskTracker::new(), ends }
    }

    /// How many of the places are taken.
    pub(super) fn places(&self) -> Places {
        Places { room: Arc::clone(&self.room), most: self.settings.most }
    }

    /// Takes connections until `stop` completes.
    pub(super) async fn accept(&self, listener: TcpListener, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut pause = FIRST_PAUSE;
        let mut full = false;
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    pause = FIRST_PAUSE;
                    let taken = self.take(stream, Peer(address));
                    if !taken && !full {
                        tracing::warn!(
                            "{} connections are open: more are closed",
                            self.settings.most
                        );
                    }
                    full = !taken;
                }
                // The peer's own failure.
                Err(error) if is_the_peers(&error) => {}
                Err(error) => {
                    if pause == FIRST_PAUSE {
                        tracing::warn!(%error, "could not accept a connection; trying again");
                    }
                    tokio::select! {
                        () = &mut stop => return,
                        () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                    }
                }
            }
        }
    }

    /// Serves the connection, unless there are too many.
    fn take(&self, stream: TcpStream, peer: Peer) -> bool {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else { return false };
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, "could not set a connection's options");
        }
        let serving = connection::serve(
            stream,
            peer,
            self.app.clone(),
            self.settings.clone(),
            self.ends.clone(),
        );
        self.served.spawn(async move {
            serving.await;
            drop(room);
        });
        true
    }

    /// Lets answers under way finish for as long as `patience`, then closes what is left.
    pub(super) async fn end(&self, patience: Duration) {
        self.ends.softly.cancel();
        self.served.close();
        if tokio::time::timeout(patience, self.served.wait()).await.is_err() {
            let left = self.served.len();
            tracing::warn!("closed {left} connection(s) that were still busy after {patience:?}");
            self.ends.hard.cancel();
        }
    }
}

/// The places for connections.
pub(super) struct Places {
    room: Arc<Semaphore>,
    most: usize,
}

impl Places {
    pub(super) fn taken(&self) -> u64 {
        self.most.min(Semaphore::MAX_PERMITS).saturating_sub(self.room.available_permits()) as u64
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Without it every streamed answer waits 40 ms for an acknowledgement.
    stream.set_nodelay(true)?;
    // A peer that is gone without a word, cable pulled, is found out while a call waits.
    let ask = TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_AFTER / 3);
    SockRef::from(stream).set_tcp_keepalive(&ask)
}

fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
