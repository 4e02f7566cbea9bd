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
/// Bytes that are kept while the sink takes nothing, as a full disk does, and may take them later.
const KEPT: usize = 256 * 1024;
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
    /// Says whether all before it is written.
    Written(SyncSender<bool>),
}

impl Lossy {
    /// Begins to write to `sink`. What it does not take is tried again with the next lines, and in the end gone.
    pub(super) fn begin(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, items) = channel();
        let (waiting, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicU64>::default());
        let dropped_in_all = Arc::<AtomicU64>::default();
        let (taken, told) = (Arc::clone(&waiting), Arc::clone(&dropped));
        let lost = Arc::clone(&dropped_in_all);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(KeptLines::new(sink, told, lost), &items, &taken))?;
        Ok(Self { queue, waiting, dropped, dropped_in_all })
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

    /// Waits until all so far is written, but not for long: the end does not wait for it. Whether it is.
    pub(super) fn flush(&self) -> bool {
        let (written, all) = sync_channel(1);
        // However much waits: this takes no room to speak of.
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.queue.send(Item::Written(written)).is_ok();
        sent && all.recv_timeout(FAREWELL) == Ok(true)
    }
}

/// Lines on their way to a sink that may take nothing for a while.
struct KeptLines<W> {
    sink: W,
    lines: Vec<u8>,
    /// Some of the first line is out.
    begun: bool,
    /// Lines that were dropped, and not told of yet.
    dropped: Arc<AtomicU64>,
    dropped_in_all: Arc<AtomicU64>,
}

impl<W: Write> KeptLines<W> {
    fn new(sink: W, dropped: Arc<AtomicU64>, dropped_in_all: Arc<AtomicU64>) -> Self {
        Self { sink, lines: Vec::new(), begun: false, dropped, dropped_in_all }
    }

    /// Writes what there is. Whether that was all.
    fn put(&mut self) -> bool {
        if self.write().is_err() {
            let whole = if self.begun { end_of_line(&self.lines) } else { 0 };
            if self.lines.len() > KEPT {
                let lost = self.lines[whole..].iter().filter(|byte| **byte == b'\n').count() as u64;
                self.lines.truncate(whole);
                self.dropped.fetch_add(lost, Ordering::Relaxed);
                self.dropped_in_all.fetch_add(lost, Ordering::Relaxed);
            }
            return false;
        }
        let lost = self.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let told = format!("{lost} log line(s) were dropped: nobody took them in time\n");
            self.lines.extend_from_slice(told.as_bytes());
            return self.write().is_ok();
        }
        true
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.lines.is_empty() {
            match self.sink.write(&self.lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.begun = self.lines[written - 1] != b'\n';
                    self.lines.drain(..written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn end_of_line(lines: &[u8]) -> usize {
    lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1)
}

fn write(mut kept: KeptLines<impl Write>, items: &Receiver<Item>, waiting: &AtomicUsize) {
    let mut count = 0;
    while let Ok(first) = items.recv() {
        for item in iter::once(first).chain(items.try_iter()) {
            waiting.fetch_sub(1, Ordering::Relaxed);
            match item {
                Item::Line(line) => {
                    kept.lines.extend_from_slice(&line);
                    count += 1;
                    if count >= TOGETHER {
                        kept.put();
                        count = 0;
                    }
                }
                Item::Written(written) => {
                    let _ = written.try_send(kept.put());
                }
            }
        }
        kept.put();
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

    /// A disk that is full until there is room again.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = disk.0.min(bytes.len());
            disk.0 -= fits;
            disk.1.extend_from_slice(&bytes[..fits]);
            if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_written_once_there_is_room() {
        let disk = Disk::default();
        disk.0.lock().unwrap().0 = 7;
        let mut log = Lossy::begin(disk.clone()).unwrap();
        for line in [b"one\n".as_slice(), b"two\n", b"three\n"] {
            log.write_all(line).unwrap();
        }
        assert!(!log.flush(), "all was written");
        assert_eq!(disk.0.lock().unwrap().1, b"one\ntwo");
        disk.0.lock().unwrap().0 = usize::MAX;
        assert!(log.flush());
        assert_eq!(disk.0.lock().unwrap().1, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_disk_that_stays_full_takes_no_memory_for_its_lines_and_they_are_counted() {
        const SENT: usize = 3 * KEPT / 64;
        let disk = Disk::default();
        disk.0.lock().unwrap().0 = 10;
        let mut log = Lossy::begin(disk.clone()).unwrap();
        for number in 0..SENT {
            log.write_all(format!("{number:063}\n").as_bytes()).unwrap();
            if number % 1000 == 0 {
                log.flush();
            }
        }
        disk.0.lock().unwrap().0 = usize::MAX;
        assert!(log.flush());
        let written = String::from_utf8(disk.0.lock().unwrap().1.clone()).unwrap();
        let (lines, told): (Vec<&str>, Vec<&str>) =
            written.lines().partition(|line| !line.contains("were dropped"));
        assert!(lines.iter().all(|line| line.len() == 63), "a line is in pieces");
        let counted: usize =
            told.iter().map(|line| line.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
        assert_eq!((lines.len() + counted, counted as u64), (SENT, log.dropped()));
    }

    #[test]
    fn a_sink_that_takes_nothing_holds_up_nobody_and_the_loss_is_told() {
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
