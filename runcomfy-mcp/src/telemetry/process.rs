//! What the process takes of the machine, as Linux tells it; elsewhere nothing is shown.

/// A metric whose value is read at each scrape.
pub(super) struct LiveMetric {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// Whether it only goes up.
    pub(super) counts: bool,
    pub(super) read: Box<dyn Fn() -> u64 + Send + Sync>,
}

pub(super) fn sources() -> Vec<LiveMetric> {
    if !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let gauge = |name, help, read: fn() -> u64| LiveMetric {
        name,
        help,
        counts: false,
        read: Box::new(read),
    };
    vec![
        gauge("resident_memory_bytes", "Memory that the process has in RAM", resident_bytes),
        gauge("open_fds", "Open files and sockets", open_descriptors),
        gauge("threads", "Threads of the system", || status("Threads:")),
    ]
}

fn resident_bytes() -> u64 {
    status("VmRSS:") * 1024
}

/// The number after a word.
fn status(word: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn open_descriptors() -> u64 {
    // One of them is the one that lists them.
    std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count().saturating_sub(1) as u64)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_what_it_takes() {
        let before = open_descriptors();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(open_descriptors() > before.saturating_sub(20), "{file:?}");
        for source in sources() {
            assert!((source.read)() > 0, "{}", source.name);
        }
    }
}
