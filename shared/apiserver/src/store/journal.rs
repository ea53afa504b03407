//! The store on disk: a snapshot and, after it, a log of changes, so that a killed server loses nothing it answered.
//!
//! Each generation N is `snapshot-N` (complete, or absent for the first) and `log-N` (one JSON line a change). When the
//! log has grown, generation N+1 begins: its log is opened at once, its snapshot is written beside and renamed when it is
//! complete, and then the files of N go. Loading takes the newest complete snapshot and every log from there on; a line
//! that was cut off by a kill was never answered, and is dropped.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

const COMPACT_AT: u64 = 64 * 1024 * 1024;

/// One change: where, at which revision, and the object unless it was deleted.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "t")]
    pub table: String,
    #[serde(rename = "n", default)]
    pub namespace: String,
    #[serde(rename = "k")]
    pub name: String,
    #[serde(rename = "r")]
    pub revision: u64,
    #[serde(rename = "o", default)]
    pub object: Option<Value>,
}

/// An entry whose object is JSON already.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    pub t: &'a str,
    pub n: &'a str,
    pub k: &'a str,
    pub r: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub o: Option<&'a RawValue>,
}

/// The open log.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    generation: u64,
    log: File,
    written: u64,
}

impl Journal {
    /// Opens the directory, shows what it holds in order, and continues its last log.
    pub fn open(directory: &Path, mut show: impl FnMut(Entry)) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let newest = numbers(directory, "snapshot-")?.into_iter().max().unwrap_or(0);
        if newest > 0 {
            read(&directory.join(format!("snapshot-{newest}")), &mut show)?;
        }
        let mut logs = numbers(directory, "log-")?;
        logs.retain(|n| *n >= newest);
        logs.sort_unstable();
        for n in &logs {
            read(&directory.join(format!("log-{n}")), &mut show)?;
        }
        remove_before(directory, newest)?;
        let generation = logs.last().copied().unwrap_or(newest);
        let path = directory.join(format!("log-{generation}"));
        let log = open_private(&path)?;
        let written = log.metadata()?.len();
        Ok(Journal { directory: directory.to_owned(), generation, log, written })
    }

    /// Adds a change. It is with the operating system when this returns.
    pub fn append(&mut self, line: &Line) -> std::io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.log.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    pub fn wants_snapshot(&self) -> bool {
        self.written > COMPACT_AT
    }

    /// Begins the next generation; what the store holds now has to be written into the snapshot returned.
    pub fn rotate(&mut self) -> std::io::Result<Snapshot> {
        let next = self.generation + 1;
        self.log = open_private(&self.directory.join(format!("log-{next}")))?;
        self.generation = next;
        self.written = 0;
        Ok(Snapshot { directory: self.directory.clone(), generation: next })
    }
}

/// A snapshot that is to be written.
#[derive(Debug)]
pub(super) struct Snapshot {
    directory: PathBuf,
    generation: u64,
}

impl Snapshot {
    /// Writes the snapshot and removes what it replaces.
    pub fn write(self, lines: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
        let temporary = self.directory.join("snapshot.tmp");
        let _ = std::fs::remove_file(&temporary);
        let mut out = BufWriter::new(open_private(&temporary)?);
        for line in lines {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
        out.into_inner().map_err(|e| e.into_error())?.sync_all()?;
        std::fs::rename(&temporary, self.directory.join(format!("snapshot-{}", self.generation)))?;
        remove_before(&self.directory, self.generation)
    }
}

fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

/// Reads a file of entries. A last line that is incomplete is cut off.
fn read(path: &Path, show: &mut impl FnMut(Entry)) -> std::io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    let mut good = 0u64;
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(());
        }
        let complete = line.last() == Some(&b'\n');
        match serde_json::from_slice(&line) {
            Ok(entry) if complete => show(entry),
            _ if !complete => {
                OpenOptions::new().write(true).open(path)?.set_len(good)?;
                return Ok(());
            }
            Ok(_) => {}
            Err(e) => {
                let why = format!("{} is damaged after {good} bytes: {e}", path.display());
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
            }
        }
        good += length as u64;
    }
}

fn numbers(directory: &Path, prefix: &str) -> std::io::Result<Vec<u64>> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|n| n.strip_prefix(prefix)).and_then(|n| n.parse().ok());
        out.extend(number);
    }
    Ok(out)
}

fn remove_before(directory: &Path, generation: u64) -> std::io::Result<()> {
    for prefix in ["snapshot-", "log-"] {
        for n in numbers(directory, prefix)?.into_iter().filter(|n| *n < generation) {
            std::fs::remove_file(directory.join(format!("{prefix}{n}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, revision: u64) -> Vec<u8> {
        serde_json::to_vec(&Line { t: "configmaps", n: "default", k: name, r: revision, o: None }).unwrap()
    }

    #[test]
    fn a_cut_off_line_is_dropped_and_the_log_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
        journal.append(&Line { t: "configmaps", n: "default", k: "a", r: 101, o: None }).unwrap();
        drop(journal);
        let log = directory.path().join("log-0");
        let mut file = OpenOptions::new().append(true).open(&log).unwrap();
        file.write_all(b"{\"t\":\"configm").unwrap();
        let mut seen = Vec::new();
        let mut journal = Journal::open(directory.path(), |e| seen.push(e.revision)).unwrap();
        assert_eq!(seen, [101]);
        journal.append(&Line { t: "configmaps", n: "default", k: "b", r: 102, o: None }).unwrap();
        let mut seen = Vec::new();
        Journal::open(directory.path(), |e| seen.push(e.revision)).unwrap();
        assert_eq!(seen, [101, 102]);
    }

    #[test]
    fn a_snapshot_replaces_what_came_before() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path(), |_| {}).unwrap();
        journal.append(&Line { t: "configmaps", n: "default", k: "a", r: 101, o: None }).unwrap();
        let snapshot = journal.rotate().unwrap();
        journal.append(&Line { t: "configmaps", n: "default", k: "b", r: 103, o: None }).unwrap();
        snapshot.write([line("a", 102)].into_iter()).unwrap();
        let mut seen = Vec::new();
        Journal::open(directory.path(), |e| seen.push((e.name, e.revision))).unwrap();
        assert_eq!(seen, [("a".to_owned(), 102), ("b".to_owned(), 103)]);
        assert!(!directory.path().join("log-0").exists());
    }
}
