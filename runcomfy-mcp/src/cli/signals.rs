//! Requests to end: signals, and what a console of Windows tells its programs.
//!
//! What is under way when the first comes is finished, as it may be billed; the second ends the program at once.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use tokio_util::sync::CancellationToken;

/// What asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signal {
    name: &'static str,
    number: u8,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Signal {
    /// As shells have it.
    pub(super) fn exit_code(self) -> u8 {
        128 + self.number
    }

    /// Ends the program as the signal alone would have ended it: a shell that runs a loop goes on to the next paid
    /// call where the last one only gives a code.
    pub(super) fn die(self) -> ! {
        #[cfg(unix)]
        let _ = signal_hook::low_level::emulate_default_handler(self.number.into());
        std::process::exit(self.exit_code().into())
    }
}

/// Whether, and by what, the program was asked to end.
#[derive(Clone, Debug, Default)]
pub(super) struct Stop {
    token: CancellationToken,
    first: Arc<OnceLock<Signal>>,
}

impl Stop {
    /// Listens from the call on: call it before anybody is told that the program runs. `last` is what is done at the
    /// second signal, and does not return.
    pub(super) fn listen(last: impl FnOnce(Signal) + Send + 'static) -> Self {
        let (stop, mut signals) = (Self::default(), Signals::listen());
        let own = stop.clone();
        tokio::spawn(async move { own.follow(&mut signals, last).await });
        stop
    }

    /// The same for a command whose own thread may be held up by a terminal that takes nothing.
    ///
    /// # Errors
    /// There is no room for another thread.
    pub(super) fn listen_apart(
        last: impl FnOnce(Signal) + Send + 'static,
    ) -> std::io::Result<Self> {
        let stop = Self::default();
        let own = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = {
            let _within = runtime.enter();
            Signals::listen()
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(own.follow(&mut signals, last)))?;
        Ok(stop)
    }

    async fn follow(&self, signals: &mut Signals, last: impl FnOnce(Signal)) {
        let first = signals.next().await;
        let _ = self.first.set(first);
        self.token.cancel();
        last(signals.next().await);
    }

    /// Fires at the first signal.
    pub(super) fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The first signal, if one has come.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.first.get().copied()
    }

    /// Returns at the first signal.
    pub(super) async fn asked(&self) -> Signal {
        loop {
            self.token.cancelled().await;
            if let Some(signal) = self.signal() {
                return signal;
            }
        }
    }
}

/// Those that ask for an end; none is lost between two.
struct Signals(
    #[cfg(unix)] Vec<(Signal, tokio::signal::unix::Signal)>,
    #[cfg(windows)] windows::Events,
);

#[cfg(unix)]
impl Signals {
    fn listen() -> Self {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
        use tokio::signal::unix::{SignalKind, signal};
        const ALL: [(&str, i32); 4] =
            [("SIGHUP", SIGHUP), ("SIGINT", SIGINT), ("SIGQUIT", SIGQUIT), ("SIGTERM", SIGTERM)];
        // A file that may grow no more is an error of the write, as a full disk is; by itself it ends the program.
        let _ = signal(SignalKind::from_raw(SIGXFSZ));
        // Who starts it with `nohup` wants it to outlive the terminal.
        let wanted = ALL.iter().filter(|(_, number)| *number != SIGHUP || !is_ignored(SIGHUP));
        let all = wanted.filter_map(|&(name, number)| {
            let stream = signal(SignalKind::from_raw(number)).ok()?;
            Some((Signal { name, number: u8::try_from(number).ok()? }, stream))
        });
        Self(all.collect())
    }

    async fn next(&mut self) -> Signal {
        use std::task::Poll;
        std::future::poll_fn(|context| {
            for (signal, stream) in &mut self.0 {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Whether the signal was ignored when the program began. Only Linux tells without `unsafe`.
#[cfg(unix)]
fn is_ignored(number: i32) -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return false };
    ignores(&status, number)
}

/// The same of what Linux says of a process.
#[cfg(unix)]
fn ignores(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

#[cfg(windows)]
impl Signals {
    fn listen() -> Self {
        Self(windows::Events::listen())
    }

    async fn next(&mut self) -> Signal {
        self.0.next().await
    }
}

#[cfg(windows)]
mod windows {
    //! The events of a console. After the last three the system ends the program some seconds later, whatever it
    //! does.

    use std::{future::pending, io};

    use tokio::signal::windows::{
        CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close,
        ctrl_logoff, ctrl_shutdown,
    };

    use super::Signal;

    /// `None`: it can't be heard.
    pub(super) struct Events {
        c: Option<CtrlC>,
        pause: Option<CtrlBreak>,
        close: Option<CtrlClose>,
        logoff: Option<CtrlLogoff>,
        shutdown: Option<CtrlShutdown>,
    }

    macro_rules! heard {
        ($event:expr) => {
            async {
                match &mut $event {
                    Some(event) => event.recv().await,
                    None => pending().await,
                }
            }
        };
    }

    impl Events {
        pub(super) fn listen() -> Self {
            fn heard<T>(event: io::Result<T>) -> Option<T> {
                event.ok()
            }
            Self {
                c: heard(ctrl_c()),
                pause: heard(ctrl_break()),
                close: heard(ctrl_close()),
                logoff: heard(ctrl_logoff()),
                shutdown: heard(ctrl_shutdown()),
            }
        }

        pub(super) async fn next(&mut self) -> Signal {
            let (name, number) = tokio::select! {
                _ = heard!(self.c) => ("Ctrl-C", 2),
                _ = heard!(self.pause) => ("Ctrl-Break", 2),
                _ = heard!(self.close) => ("the console's end", 1),
                _ = heard!(self.logoff) => ("the user's logging off", 15),
                _ = heard!(self.shutdown) => ("the system's shutdown", 15),
            };
            Signal { name, number }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignores;

    #[test]
    fn what_linux_says_of_ignored_signals_is_read() {
        let status =
            |mask: &str| format!("SigBlk:\t0000000000000000\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores(&status("0000000000000001"), 1));
        assert!(ignores(&status("0000000000001001"), 13));
        assert!(!ignores(&status("0000000000001000"), 1));
        assert!(!ignores("", 1));
    }
}
