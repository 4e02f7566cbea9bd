//! The only place that writes to the terminal, or to whatever stands in its place.

use std::{
    io::{self, ErrorKind, Write},
    thread,
    time::Duration,
};

use super::exit;

/// A line of a command's answer.
///
/// # Errors
/// Nobody took it: the reader has gone, the disk is full, the terminal has hung up.
pub(super) fn say(line: &str) -> io::Result<()> {
    write_whole(&mut stdout(), &format!("{line}\n"))
}

/// Nobody took a command's answer.
#[derive(Debug, thiserror::Error)]
#[error("could not write to stdout: {0}")]
pub(super) struct Unwritten(#[from] io::Error);

/// JSON for the terminal, with what could drive it or hide in it escaped. Programs read the same from it.
///
/// # Errors
/// As [`say`].
pub(super) fn say_json(value: &impl serde::Serialize) -> io::Result<()> {
    say(&visible(&serde_json::to_string_pretty(value).unwrap_or_default()))
}

/// JSON with what could drive a terminal or hide in it escaped.
pub(super) fn visible(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if (c.is_control() && c != '\n') || runcomfy_core::internals::is_invisible(c) {
            let mut units = [0; 2];
            c.encode_utf16(&mut units)
                .iter()
                .for_each(|unit| shown.push_str(&format!("\\u{unit:04x}")));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A line for the person at the terminal, beside the answer. A terminal that takes none is no reason to stop.
pub(super) fn note(line: &str) {
    let _ = tell(line);
}

/// Why it did not work.
pub(super) fn complain(line: &str) {
    note(&format!("runcomfy-mcp: {line}"));
}

/// As [`note`], for what must not be lost.
///
/// # Errors
/// Nobody took it.
pub(super) fn tell(line: &str) -> io::Result<()> {
    write_whole(&mut stderr(), &format!("{line}\n"))
}

/// The answer of a command that changes nothing, line by line.
#[derive(Default)]
pub(super) struct Answer {
    failure: Option<io::Error>,
}

impl Answer {
    /// A line of it. After the first that nobody takes, the others are not tried.
    pub(super) fn say(&mut self, line: &str) {
        if self.failure.is_none() {
            self.failure = say(line).err();
        }
    }

    /// The exit code, where it would be `code` if all was written. Whoever closes the pipe early, as `head` does,
    /// has what they want.
    pub(super) fn end(self, code: u8) -> u8 {
        match self.failure {
            None => code,
            Some(error) if error.kind() == ErrorKind::BrokenPipe => code,
            Some(error) => {
                complain(&format!("could not write to stdout: {error}"));
                exit::IO
            }
        }
    }
}

/// Whether what is written to stdout is thrown away: it leads to the null device. So does one that was closed when
/// the program began, as Rust's runtime opens that device in its place: the two can't be told apart.
pub(super) fn stdout_is_null() -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{FileTypeExt, MetadataExt};
        let null = std::fs::metadata("/dev/null");
        let own = duplicate(&io::stdout()).and_then(|stdout| stdout.metadata());
        own.is_ok_and(|own| {
            own.file_type().is_char_device() && null.is_ok_and(|null| null.rdev() == own.rdev())
        })
    }
    #[cfg(not(unix))]
    false
}

/// Standard output without the library's buffer: what a failed write leaves there would come out twice, or never.
fn stdout() -> Box<dyn Write> {
    #[cfg(unix)]
    if let Ok(own) = duplicate(&io::stdout()) {
        return Box::new(own);
    }
    Box::new(io::stdout())
}

/// Standard error without the library's lock: a write that blocks would block whoever else has something to say.
pub(super) fn stderr() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    if let Ok(own) = duplicate(&io::stderr()) {
        return Box::new(own);
    }
    Box::new(io::stderr())
}

#[cfg(unix)]
fn duplicate(stream: &impl std::os::fd::AsFd) -> io::Result<std::fs::File> {
    Ok(std::fs::File::from(stream.as_fd().try_clone_to_owned()?))
}

/// Writes all of it, to a stream that whoever shares it may have told not to block, too.
fn write_whole(stream: &mut impl Write, text: &str) -> io::Result<()> {
    /// From one try to the next.
    const PAUSE: Duration = Duration::from_millis(5);
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(PAUSE),
            Err(error) => return Err(error),
        }
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte at a time, and not always.
    #[derive(Default)]
    struct Hesitant {
        tries: usize,
        taken: Vec<u8>,
    }

    impl Write for Hesitant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.tries += 1;
            match self.tries % 3 {
                0 => Err(ErrorKind::WouldBlock.into()),
                1 => Err(ErrorKind::Interrupted.into()),
                _ => self.taken.write(&bytes[..1]),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stream_that_takes_little_at_a_time_gets_all_of_it_once() {
        let mut stream = Hesitant::default();
        write_whole(&mut stream, "an answer\n").unwrap();
        assert_eq!(stream.taken, b"an answer\n");
    }

    #[test]
    fn a_stream_that_takes_nothing_is_an_error() {
        assert_eq!(
            write_whole(&mut [0; 3].as_mut_slice(), "full").unwrap_err().kind(),
            ErrorKind::WriteZero
        );
    }
}
