//! `ComfyOptions`: size limits and timeouts for ComfyUI servers.

use std::time::Duration;

const MIB: u64 = 1024 * 1024;

/// All options.
#[derive(Clone, Debug, Default)]
pub(crate) struct ComfyOptions {
    /// Hosts, as `name` or `name:port`, from which inputs are downloaded although their addresses are not
    /// public. Other hosts must be public, so that a caller cannot reach into the emulator's network.
    pub(crate) allow: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) times: Times,
}

/// Size limits.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The size of a JSON response in bytes. The stock `object_info` has 1.6 MB and grows with custom nodes.
    pub(crate) json: u64,
    /// The size of a WebSocket message in bytes.
    pub(crate) message: usize,
    /// The number of files of one run.
    pub(crate) files: usize,
    /// The size of an output file in bytes.
    pub(crate) file: u64,
    /// The size of all files of one run in bytes.
    pub(crate) all_files: u64,
    /// The number of inputs of one run that are URLs or data URIs.
    pub(crate) inputs: usize,
    /// The size of such an input in bytes. ComfyUI accepts requests of 100 MiB.
    pub(crate) input: u64,
    /// The size of all such inputs of one run in bytes.
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

/// Timeouts and polling intervals.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// Timeout for a connection, including the WebSocket handshake.
    pub(crate) connect: Duration,
    /// Timeout for a call with its response.
    pub(crate) call: Duration,
    /// Timeout for the next part of a file.
    pub(crate) idle: Duration,
    /// Timeout for the download and for the upload of an input.
    pub(crate) input: Duration,
    /// Polling interval while the WebSocket is open, for missed messages.
    pub(crate) recheck: Duration,
    /// Polling and reconnect interval while it is closed.
    pub(crate) poll: Duration,
    /// Interval between interrupts. They are repeated, because one that arrives while a run starts is lost.
    pub(crate) interrupt: Duration,
    /// How long to wait for a server that refuses connections. A restarted server has lost its runs.
    pub(crate) gone: Duration,
    /// How long to wait for a server that accepts connections but does not respond, for example while it
    /// loads a large model.
    pub(crate) stalled: Duration,
    /// The longest run, including the time in the server's queue.
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
