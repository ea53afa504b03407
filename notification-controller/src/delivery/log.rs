//! Deliveries on disk: an append-only file of records with checksums.
//!
//! A record is the length of its payload, the payload's CRC-32, both in four bytes, and the payload in
//! JSON. A record that is torn or damaged is left out when the file is read; the others are not
//! affected. The file is written anew when most of it is about deliveries that are done.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Delivery;

const FILE: &str = "deliveries.log";
const NEW_FILE: &str = "deliveries.log.new";
const LOCK: &str = "lock";
/// The largest payload.
const PAYLOAD_LIMIT: usize = 16 * 1024 * 1024;
/// Files up to this size are not written anew.
const SMALL: u64 = 1024 * 1024;
const HEAD: usize = 8;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something about files.
    #[error("{action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// Another process writes to it.
    #[error("the delivery queue in {} is in use by another process", .0.display())]
    InUse(PathBuf),
}

/// A record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record<'a> {
    /// A delivery is to be made.
    Add(Box<Cow<'a, Delivery>>),
    /// A delivery is to be made later.
    Retry {
        /// Which.
        id: u64,
        /// How often it was tried.
        attempts: u32,
        /// When, in milliseconds.
        not_before: i64,
    },
    /// A delivery is done.
    Done(u64),
}

/// The log of a queue.
pub struct Log {
    directory: PathBuf,
    file: File,
    written: u64,
    synced: u64,
    _lock: File,
}

/// What was appended and may not be on the disk yet.
pub struct Written {
    file: File,
    path: PathBuf,
}

impl Written {
    /// Makes sure that it survives the machine as well.
    pub fn sync(self) -> Result<(), Error> {
        let Self { file, path } = self;
        file.sync_data().map_err(|error| Error::Io { action: "cannot write", path, error })
    }
}

/// A log with what was in it.
pub struct Opened {
    /// The log.
    pub log: Log,
    /// The deliveries that are not done, oldest first.
    pub deliveries: Vec<Delivery>,
    /// How many records could not be read.
    pub damaged: usize,
}

impl Log {
    /// Opens the log of a directory, which is created if need be.
    pub fn open(directory: &Path) -> Result<Opened, Error> {
        let failed = |action, path: &Path| {
            let path = path.to_path_buf();
            move |error| Error::Io { action, path, error }
        };
        fs::create_dir_all(directory).map_err(failed("cannot create", directory))?;
        let lock_path = directory.join(LOCK);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(failed("cannot open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse(directory.to_path_buf())),
            Err(TryLockError::Error(error)) => return Err(failed("cannot lock", &lock_path)(error)),
        }
        let path = directory.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("cannot read", &path)(error)),
        };
        let (deliveries, damaged) = replay(&bytes);
        drop(bytes);
        let (file, written) =
            write_anew(directory, deliveries.values()).map_err(failed("cannot write", &path))?;
        let log = Self { directory: directory.to_path_buf(), file, written, synced: written, _lock: lock };
        Ok(Opened { log, deliveries: deliveries.into_values().collect(), damaged })
    }

    /// Appends records with one write, so that the process may be killed at any time.
    pub fn append(&mut self, records: &[Record<'_>]) -> Result<(), Error> {
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes).map_err(|error| self.failed(error))?;
        }
        self.file.write_all(&bytes).map_err(|error| self.failed(error))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// What was appended since the last time, if anything was.
    pub fn written_since(&mut self) -> Result<Option<Written>, Error> {
        if self.synced == self.written {
            return Ok(None);
        }
        let file = self.file.try_clone().map_err(|error| self.failed(error))?;
        self.synced = self.written;
        Ok(Some(Written { file, path: self.directory.join(FILE) }))
    }

    /// Whether most of the file is about deliveries that are done, `live` being the bytes of the others.
    pub fn is_wasteful(&self, live: usize) -> bool {
        self.written > SMALL && self.written / 4 > live as u64
    }

    /// Writes the file anew, with these deliveries only.
    pub fn compact<'a>(&mut self, live: impl Iterator<Item = &'a Delivery>) -> Result<(), Error> {
        let written = write_anew(&self.directory, live);
        let (file, written) = written.map_err(|error| self.failed(error))?;
        self.file = file;
        self.written = written;
        self.synced = written;
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Io { action: "cannot write", path: self.directory.join(FILE), error }
    }
}

/// How many bytes a delivery takes.
pub fn size(delivery: &Delivery) -> usize {
    let mut counter = Counter(0);
    // Counting never fails, and strings are always JSON.
    let _ = serde_json::to_writer(&mut counter, delivery);
    counter.0
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_anew<'a>(directory: &Path, live: impl Iterator<Item = &'a Delivery>) -> io::Result<(File, u64)> {
    let new = directory.join(NEW_FILE);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
    let (mut bytes, mut written) = (Vec::new(), 0);
    for delivery in live {
        encode(&Record::Add(Box::new(Cow::Borrowed(delivery))), &mut bytes)?;
        if bytes.len() > 64 * 1024 {
            file.write_all(&bytes)?;
            written += bytes.len() as u64;
            bytes.clear();
        }
    }
    file.write_all(&bytes)?;
    written += bytes.len() as u64;
    file.sync_data()?;
    fs::rename(&new, directory.join(FILE))?;
    File::open(directory)?.sync_all()?;
    Ok((file, written))
}

fn encode(record: &Record<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    serde_json::to_writer(&mut *out, record)?;
    let payload = &out[start + HEAD..];
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    let sum = checksum(payload);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + HEAD].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The deliveries that are not done, and how many records could not be read.
fn replay(mut bytes: &[u8]) -> (BTreeMap<u64, Delivery>, usize) {
    let mut deliveries = BTreeMap::new();
    let mut damaged = 0;
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if length > PAYLOAD_LIMIT || length > rest.len() {
            damaged += 1;
            break;
        }
        let (payload, rest) = rest.split_at(length);
        bytes = rest;
        let record = (checksum(payload) == sum).then(|| serde_json::from_slice::<Record<'_>>(payload));
        match record {
            Some(Ok(Record::Add(delivery))) => {
                deliveries.insert(delivery.id, delivery.into_owned());
            }
            Some(Ok(Record::Retry { id, attempts, not_before })) => {
                if let Some(delivery) = deliveries.get_mut(&id) {
                    delivery.attempts = attempts;
                    delivery.not_before = not_before;
                }
            }
            Some(Ok(Record::Done(id))) => {
                deliveries.remove(&id);
            }
            Some(Err(_)) | None => damaged += 1,
        }
    }
    (deliveries, damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier::AlertIdentity;

    fn delivery(id: u64) -> Delivery {
        let message = format!("message {id}");
        let event = fluxide_runtime::events::Event { message, ..Default::default() };
        Delivery {
            id,
            alert: AlertIdentity {
                namespace: "n".to_owned(),
                name: "a".to_owned(),
                uid: "u".to_owned(),
                resource_version: "1".to_owned(),
            },
            provider: "p".to_owned(),
            status_id: String::new(),
            event,
            accepted: 1,
            attempts: 0,
            not_before: 0,
            digest: None,
        }
    }

    fn ids(opened: &Opened) -> Vec<u64> {
        opened.deliveries.iter().map(|delivery| delivery.id).collect()
    }

    fn filled(directory: &Path) {
        let mut log = Log::open(directory).unwrap().log;
        for id in 1..=3 {
            log.append(&[Record::Add(Box::new(Cow::Owned(delivery(id))))]).unwrap();
        }
        log.append(&[Record::Done(1), Record::Retry { id: 2, attempts: 4, not_before: 99 }]).unwrap();
    }

    #[test]
    fn what_is_not_done_is_there_again() {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        let opened = Log::open(directory.path()).unwrap();
        assert_eq!((ids(&opened), opened.damaged), (vec![2, 3], 0));
        assert_eq!((opened.deliveries[0].attempts, opened.deliveries[0].not_before), (4, 99));
        assert_eq!(opened.deliveries[1].event.message, "message 3");
        assert!(matches!(Log::open(directory.path()), Err(Error::InUse(_))));
    }

    #[test]
    fn a_torn_end_and_a_damaged_record_cost_no_more_than_themselves() {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path());
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        let torn = Log::open(directory.path()).unwrap();
        assert_eq!((ids(&torn), torn.damaged), (vec![2, 3], 1));
        drop(torn);
        let mut flipped = whole.clone();
        flipped[HEAD + 20] ^= 1;
        fs::write(&path, &flipped).unwrap();
        let damaged = Log::open(directory.path()).unwrap();
        assert_eq!((ids(&damaged), damaged.damaged), (vec![2, 3], 1));
        drop(damaged);
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            drop(Log::open(directory.path()).unwrap());
        }
    }

    #[test]
    fn the_file_stays_small() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path()).unwrap().log;
        let live = delivery(0);
        log.append(&[Record::Add(Box::new(Cow::Borrowed(&live)))]).unwrap();
        for id in 1..20_000 {
            log.append(&[Record::Add(Box::new(Cow::Owned(delivery(id)))), Record::Done(id)]).unwrap();
            if log.is_wasteful(size(&live)) {
                log.compact([&live].into_iter()).unwrap();
            }
        }
        let length = fs::metadata(directory.path().join(FILE)).unwrap().len();
        assert!(length <= SMALL + 1024, "{length}");
        drop(log);
        assert_eq!(ids(&Log::open(directory.path()).unwrap()), [0]);
    }
}
