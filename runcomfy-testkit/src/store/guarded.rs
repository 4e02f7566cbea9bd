//! `Guarded`: a file that is not written to before it was read and checked.
//!
//! The database writes as soon as it opens a file, to mark it as open and to repair it after a crash. These
//! writes are held in memory until [`Guarded::release`], so that an unusable file stays unchanged.

use std::{
    io,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::{StorageBackend, backends::FileBackend};

use super::header::{REDB, UNFINISHED};

/// The file as the database sees it. Clones share the file.
#[derive(Clone, Debug)]
pub(super) struct Guarded(Arc<GuardedInner>);

#[derive(Debug)]
struct GuardedInner {
    file: FileBackend,
    /// Whether the file's content is ignored.
    fresh: bool,
    /// The writes so far. `None` once the file is released.
    held: RwLock<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    length: u64,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Length(u64),
    Sync { eventual: bool },
    Write(u64, Vec<u8>),
}

impl Guarded {
    /// Wraps a file. A fresh one appears empty, whatever it contains.
    pub(super) fn new(file: FileBackend, fresh: bool) -> io::Result<Self> {
        let length = if fresh { 0 } else { file.len()? };
        let held = RwLock::new(Some(Held { length, steps: Vec::new() }));
        Ok(Self(Arc::new(GuardedInner { file, fresh, held })))
    }

    /// Applies the held writes in order and with the database's syncs, so that a crash leaves a state that
    /// the database can repair. Later writes go to the file directly.
    pub(super) fn release(&self) -> io::Result<()> {
        let GuardedInner { file, fresh, .. } = &*self.0;
        let mut guard = self.held_mut();
        let Some(held) = &*guard else { return Ok(()) };
        if *fresh {
            let image =
                self.seen(held, 0, usize::try_from(held.length).map_err(io::Error::other)?)?;
            create(file, &image)?;
        } else {
            for step in &held.steps {
                match step {
                    Step::Length(length) => file.set_len(*length)?,
                    Step::Sync { eventual } => file.sync_data(*eventual)?,
                    Step::Write(offset, data) => file.write(*offset, data)?,
                }
            }
        }
        *guard = None;
        Ok(())
    }

    /// The bytes as the database wrote them.
    fn seen(&self, held: &Held, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset + length as u64;
        if end > held.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        let of_file = if self.0.fresh { 0 } else { self.0.file.len()? };
        if offset < of_file {
            let there = self.0.file.read(offset, index(end.min(of_file) - offset))?;
            bytes[..there.len()].copy_from_slice(&there);
        }
        for step in &held.steps {
            match step {
                // Bytes beyond the cut are zero, even if the file grows again.
                Step::Length(cut) if *cut < end => {
                    bytes[index(cut.saturating_sub(offset))..].fill(0)
                }
                Step::Length(_) | Step::Sync { .. } => {}
                Step::Write(at, data) => {
                    let (from, to) = (offset.max(*at), end.min(at + data.len() as u64));
                    if from < to {
                        bytes[index(from - offset)..index(to - offset)]
                            .copy_from_slice(&data[index(from - at)..index(to - at)]);
                    }
                }
            }
        }
        Ok(bytes)
    }

    // A panic of the database while the lock is held leaves no incomplete change.
    fn held(&self) -> RwLockReadGuard<'_, Option<Held>> {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Option<Held>> {
        self.0.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes this image to an empty or unfinished file. A crash leaves it empty, unfinished or complete.
fn create(file: &FileBackend, image: &[u8]) -> io::Result<()> {
    file.write(0, UNFINISHED)?;
    file.sync_data(false)?;
    file.set_len(image.len() as u64)?;
    file.write(UNFINISHED.len() as u64, &image[UNFINISHED.len()..])?;
    file.sync_data(false)?;
    file.write(0, REDB)?;
    file.sync_data(false)
}

/// An offset in memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl StorageBackend for Guarded {
    fn len(&self) -> io::Result<u64> {
        match &*self.held() {
            Some(held) => Ok(held.length),
            None => self.0.file.len(),
        }
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        match &*self.held() {
            Some(held) => self.seen(held, offset, length),
            None => self.0.file.read(offset, length),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        match &mut *self.held_mut() {
            Some(held) => {
                held.length = length;
                held.steps.push(Step::Length(length));
                Ok(())
            }
            None => self.0.file.set_len(length),
        }
    }

    fn sync_data(&self, eventual: bool) -> io::Result<()> {
        match &mut *self.held_mut() {
            Some(held) => {
                held.steps.push(Step::Sync { eventual });
                Ok(())
            }
            None => self.0.file.sync_data(eventual),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match &mut *self.held_mut() {
            Some(held) => {
                // Extends the file as a real write does, although the database never writes beyond its end.
                held.length = held.length.max(offset + data.len() as u64);
                held.steps.push(Step::Write(offset, data.to_vec()));
                Ok(())
            }
            None => self.0.file.write(offset, data),
        }
    }
}
