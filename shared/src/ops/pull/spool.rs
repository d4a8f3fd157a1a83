//! Where a message lands: in memory while it is small, in a file as soon as it is not.

use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{Context, SHA256};

use crate::mail::limits::FETCH_PART_BYTES;
use crate::store::{Pieces, Streamed};

/// Beyond this a message goes to disk.
pub(super) const MEMORY_BYTES: usize = FETCH_PART_BYTES as usize;

/// Bytes read from a file at a time.
const PIECE: usize = 64 << 10;

/// The bytes of a whole message.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// A small one.
    Memory(Bytes),
    /// A large one.
    Disk(Spool),
}

/// A message in a file that has no name: it is gone with its last user, however that ends.
#[derive(Clone, Debug)]
pub(super) struct Spool {
    pub(super) file: Arc<File>,
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
}

/// A message that is arriving, piece by piece. Memory: [`MEMORY_BYTES`].
#[derive(Default)]
pub(super) struct Landing {
    memory: Vec<u8>,
    disk: Option<(File, Context, u64)>,
    failure: Option<io::Error>,
}

impl Landing {
    /// Takes a piece. What the disk says is told at the end: the server's answer has to be read to its end anyway.
    pub(super) fn take(&mut self, piece: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        if self.disk.is_none() && self.memory.len() + piece.len() <= MEMORY_BYTES {
            self.memory.extend_from_slice(piece);
        } else if let Err(error) = self.spill(piece) {
            self.failure = Some(error);
            self.disk = None;
        }
    }

    fn spill(&mut self, piece: &[u8]) -> io::Result<()> {
        let first = std::mem::take(&mut self.memory);
        let (file, sum, size) = match &mut self.disk {
            Some(disk) => disk,
            none => none.insert((unnamed()?, Context::new(&SHA256), 0)),
        };
        for bytes in [&first[..], piece] {
            file.write_all(bytes)?;
            sum.update(bytes);
            *size += bytes.len() as u64;
        }
        Ok(())
    }

    /// All of it.
    pub(super) fn finish(self) -> io::Result<Source> {
        match (self.failure, self.disk) {
            (Some(error), _) => Err(error),
            (None, None) => Ok(Source::Memory(self.memory.into())),
            (None, Some((file, sum, size))) => {
                let mut sha256 = [0; 32];
                sha256.copy_from_slice(sum.finish().as_ref());
                Ok(Source::Disk(Spool { file: file.into(), size, sha256 }))
            }
        }
    }

    /// Its first bytes, at most `most`.
    pub(super) fn head(mut self, most: usize) -> Vec<u8> {
        if let Some((file, ..)) = self.disk {
            return head(&file, most);
        }
        self.memory.truncate(most);
        self.memory
    }
}

fn head(file: &File, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most];
    let read = file.read_at(&mut bytes, 0).unwrap_or_default();
    bytes.truncate(read);
    bytes
}

impl Source {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(spool) => spool.size,
        }
    }

    /// SHA-256 of all of it.
    pub(super) fn sha256(&self) -> [u8; 32] {
        match self {
            Self::Memory(bytes) => sha256(bytes),
            Self::Disk(spool) => spool.sha256,
        }
    }
}

impl Spool {
    /// Its first bytes, at most `most`.
    pub(super) fn head(&self, most: usize) -> Vec<u8> {
        head(&self.file, most)
    }

    /// As what S3 is given.
    pub(super) fn streamed(&self) -> Streamed {
        let (file, size) = (Arc::clone(&self.file), self.size);
        let open = Arc::new(move || -> Pieces {
            let (file, mut at) = (Arc::clone(&file), 0);
            Box::new(std::iter::from_fn(move || {
                let left = usize::try_from(size - at).unwrap_or(usize::MAX).min(PIECE);
                let mut piece = vec![0; left];
                let read = file.read_exact_at(&mut piece, at);
                at += left as u64;
                (left > 0).then(|| read.map(|()| piece.into()))
            }))
        });
        Streamed { size, sha256: self.sha256, open }
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(ring::digest::digest(&SHA256, bytes).as_ref());
    sum
}

/// A file that only we can open, and nobody can find.
fn unnamed() -> io::Result<File> {
    // Keyed afresh each time: nobody knows the name beforehand, and `create_new` follows no link.
    let random = std::hash::RandomState::new().build_hasher().finish();
    let path = std::env::temp_dir().join(format!("halfpenny-{random:016x}"));
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landed(bytes: &[u8], piece: usize) -> Source {
        let mut landing = Landing::default();
        bytes.chunks(piece).for_each(|piece| landing.take(piece));
        landing.finish().unwrap()
    }

    #[test]
    fn what_is_larger_than_memory_allows_goes_to_disk_and_comes_back() {
        let bytes: Vec<u8> = (0..MEMORY_BYTES + 1).map(|at| (at % 251) as u8).collect();
        let Source::Memory(small) = landed(&bytes[..MEMORY_BYTES], 100_000) else { panic!("it fits") };
        assert_eq!(small, bytes[..MEMORY_BYTES]);
        let large = landed(&bytes, 100_001);
        let Source::Disk(spool) = &large else { panic!("it does not fit") };
        assert_eq!((large.len(), large.sha256()), (bytes.len() as u64, sha256(&bytes)));
        let streamed = spool.streamed();
        for _ in 0..2 {
            let pieces: Vec<Bytes> = (streamed.open)().map(Result::unwrap).collect();
            assert!(pieces.concat() == bytes);
        }
    }

    #[test]
    fn the_head_of_what_was_given_up_is_there() {
        let mut landing = Landing::default();
        landing.take(b"Subject: x");
        assert_eq!(landing.head(7), b"Subject");
        let mut landing = Landing::default();
        landing.take(b"Subject: x");
        landing.take(&vec![0; MEMORY_BYTES]);
        assert_eq!(landing.head(7), b"Subject");
    }
}
