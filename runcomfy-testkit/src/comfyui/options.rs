//! How a ComfyUI server is dealt with: bounds, and patience.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// All that can be set.
#[derive(Clone, Debug, Default)]
pub(crate) struct ComfyOptions {
    /// Hosts, as `name` or `name:port`, from which inputs are fetched though their addresses are
    /// not public. Any other may only be in the internet at large: a caller must not reach into the
    /// network of the emulator.
    pub(crate) allow: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) times: Times,
}

/// The most that is taken of anything.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Of an answer in JSON, in bytes. The stock `object_info` is 1.6 MB and grows with every pack
    /// of nodes.
    pub(crate) json: u64,
    /// Of a message of the WebSocket, in bytes.
    pub(crate) message: usize,
    /// How many files one run may leave.
    pub(crate) files: usize,
    /// Of one such file, in bytes.
    pub(crate) file: u64,
    /// Of all of a run's, in bytes.
    pub(crate) all_files: u64,
    /// How many inputs of one run may be URLs or data URIs.
    pub(crate) inputs: usize,
    /// Of one such input, in bytes. ComfyUI takes 100 MiB with all that is around it.
    pub(crate) input: u64,
    /// Of all of a run's, in bytes.
    pub(crate) all_inputs: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json: 64 * MIB,
            message: 16 * 1024 * 1024,
            files: 1000,
            file: 1024 * MIB,
            all_files: 4096 * MIB,
            inputs: 64,
            input: 99 * MIB,
            all_inputs: 256 * MIB,
        }
    }
}

/// How long anything may take, and how often to look.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// Until a connection stands, a WebSocket's handshake included.
    pub(crate) connect: Duration,
    /// For a call and its answer.
    pub(crate) call: Duration,
    /// For a file, as long as nothing comes of it.
    pub(crate) idle: Duration,
    /// For an input to be downloaded, and for it to be uploaded.
    pub(crate) input: Duration,
    /// Between looks while the WebSocket is there: only for what it may have missed.
    pub(crate) recheck: Duration,
    /// Between looks, and tries to connect, while it is not.
    pub(crate) poll: Duration,
    /// Between interrupts. One that comes as a run starts is lost, so it is not sent only once.
    pub(crate) interrupt: Duration,
    /// How long a server that refuses connections is waited for. One that was restarted has lost
    /// its runs.
    pub(crate) gone: Duration,
    /// How long one that is there but does not answer is waited for. Loading a large model may keep
    /// it busy.
    pub(crate) stalled: Duration,
    /// For the run of a job, its time in the server's queue included.
    pub(crate) longest_run: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            input: Duration::from_secs(120),
            recheck: Duration::from_secs(5),
            poll: Duration::from_secs(1),
            interrupt: Duration::from_millis(500),
            gone: Duration::from_secs(15),
            stalled: Duration::from_secs(300),
            longest_run: Duration::from_secs(6 * 3600),
        }
    }
}
