//! Log lines that never hold up a call: a thread writes them, and where it can't, they are dropped.

use std::{
    io::{self, Write},
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
const LINES: usize = 8 * 1024;
/// How many of them are written at once.
const TOGETHER: usize = 256;
/// How long lines may lie before they are written, together.
const PAUSE: Duration = Duration::from_millis(5);
/// How long the end waits for the last lines.
const FAREWELL: Duration = Duration::from_millis(300);

/// Takes lines.
#[derive(Clone)]
pub(super) struct Lossy {
    /// Bounded by `waiting`: a channel with a bound of its own takes the room for all of it at once.
    queue: Sender<Item>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicU64>,
    /// Those that are told of already, too.
    dropped_in_all: Arc<AtomicU64>,
}

enum Item {
    Line(Vec<u8>),
    /// Says when all before it is written.
    Written(SyncSender<()>),
}

impl Lossy {
    /// Begins to write to `sink`. What can't be written, because nobody is there to read it, say, is gone.
    pub(super) fn begin(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, items) = channel();
        let (waiting, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let (taken, told) = (Arc::clone(&waiting), Arc::clone(&dropped));
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(sink, &items, &taken, &told))?;
        Ok(Self { queue, waiting, dropped, dropped_in_all: Arc::default() })
    }

    /// `false` where too much waits already.
    fn put(&self, item: Item) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= LINES - TOGETHER {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        self.queue.send(item).is_ok()
    }

    /// How many lines were dropped since it began.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped_in_all.load(Ordering::Relaxed)
    }

    /// Waits until all so far is written, but not for long.
    pub(super) fn flush(&self) {
        let (written, all) = sync_channel(1);
        if self.put(Item::Written(written)) {
            // Late or never: the end does not wait for it.
            let _ = all.recv_timeout(FAREWELL);
        }
    }
}

fn write(mut sink: impl Write, items: &Receiver<Item>, waiting: &AtomicUsize, dropped: &AtomicU64) {
    // There is nowhere to report a failure to.
    let mut put = |lines: &mut Vec<u8>| {
        let _ = sink.write_all(lines);
        lines.clear();
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(sink, "{lost} log line(s) were dropped: nobody read them in time");
        }
    };
    let (mut lines, mut count) = (Vec::new(), 0);
    while let Ok(first) = items.recv() {
        for item in iter::once(first).chain(items.try_iter()) {
            waiting.fetch_sub(1, Ordering::Relaxed);
            match item {
                Item::Line(line) => {
                    lines.extend_from_slice(&line);
                    count += 1;
                    if count >= TOGETHER {
                        put(&mut lines);
                        count = 0;
                    }
                }
                Item::Written(written) => {
                    put(&mut lines);
                    let _ = written.try_send(());
                }
            }
        }
        put(&mut lines);
        count = 0;
        // A thread that waits has to be woken for each line, which costs whoever logs more than the line.
        thread::park_timeout(PAUSE);
    }
}

impl Write for Lossy {
    /// Takes a line: the formatter hands over each as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.put(Item::Line(line.to_vec())) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.dropped_in_all.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lossy {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use super::*;

    /// Takes nothing until it is let.
    #[derive(Clone, Default)]
    struct Stuck(Arc<Mutex<Vec<u8>>>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn r06_a_sink_that_takes_nothing_holds_up_nobody_and_the_loss_is_told() {
        let sink = Stuck::default();
        let held = sink.0.lock().unwrap();
        let mut log = Lossy::begin(sink.clone()).unwrap();
        for _ in 0..LINES * 2 {
            log.write_all(b"line\n").unwrap();
        }
        Lossy::flush(&log);
        drop(held);
        while !log.put(Item::Line(b"more\n".to_vec())) {
            thread::yield_now();
        }
        Lossy::flush(&log);
        let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(written.contains("log line(s) were dropped"), "{} bytes", written.len());
        assert!(written.lines().count() <= LINES + 10);
    }
}
