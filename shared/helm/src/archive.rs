//! Chart archives: gzip-compressed tar, read within limits and without ever leaving the chart.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use thiserror::Error;

use crate::file::{ChartFile, clean_path, without_bom};
use crate::time::Time;
use fluxide_gotext::quote_str;

/// How much of an archive, or of a directory, is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest file, unpacked.
    pub file: u64,
    /// All files of one archive, unpacked.
    pub chart: u64,
    /// All files of a chart with the archives within it.
    pub total: u64,
    /// How many files a chart may have, those of its subcharts included.
    pub files: usize,
    /// How deep charts may lie in charts.
    pub depth: usize,
}

impl Default for Limits {
    /// Helm's limits for a file (5 MiB) and a chart (100 MiB), and generous ones for what Helm does not limit.
    fn default() -> Limits {
        Limits { file: 5 << 20, chart: 100 << 20, total: 400 << 20, files: 100_000, depth: 32 }
    }
}

/// Why an archive is refused. The texts are Helm's.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is not gzip.
    #[error("gzip: invalid header")]
    NotGzip,
    /// It is damaged.
    #[error("{0}")]
    Damaged(String),
    /// An entry has an absolute path.
    #[error("chart illegally contains absolute paths")]
    Absolute,
    /// An entry is not below a directory.
    #[error("chart illegally contains content outside the base directory: {}", quote_str(.0))]
    Outside(String),
    /// An entry climbs out.
    #[error("chart illegally references parent directory")]
    Parent,
    /// An entry names a Windows drive.
    #[error("chart contains illegally named files")]
    Drive,
    /// Chart.yaml is not in a directory.
    #[error("chart yaml not in base directory")]
    Root,
    /// There is nothing in it.
    #[error("no files in chart archive")]
    Empty,
    /// It unpacks to too much.
    #[error("decompressed chart is larger than the maximum size {0}")]
    TooLarge(u64),
    /// A file in it is too large.
    #[error("decompressed chart file {} is larger than the maximum file size {limit}", quote_str(.name))]
    FileTooLarge {
        /// The entry.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// There are too many files in it.
    #[error("chart has more than {0} files")]
    TooMany(usize),
}

/// Reads all files of an archive. The first part of each path, the chart's directory, is taken off.
pub fn read_archive(archive: &[u8], limits: &Limits) -> Result<Vec<ChartFile>, ArchiveError> {
    if archive.len() < 10 {
        let problem = if archive.is_empty() { "EOF" } else { "unexpected EOF" };
        return Err(ArchiveError::Damaged(problem.to_owned()));
    }
    if !archive.starts_with(&[0x1F, 0x8B, 8]) {
        return Err(ArchiveError::NotGzip);
    }
    // Headers and padding count as well: an archive of a billion empty files is a bomb, too.
    let headers = limits.files as u64 * 1536;
    let stream = Bounded { inner: MultiGzDecoder::new(archive), left: limits.chart.saturating_add(headers) };
    let mut tar = tar::Archive::new(stream);
    let mut files = Vec::new();
    let mut left = limits.chart;
    for entry in tar.entries().map_err(|error| damaged(&error, limits))? {
        let mut entry = entry.map_err(|error| damaged(&error, limits))?;
        let kind = entry.header().entry_type();
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if kind.is_dir() || name.ends_with('/') || kind.is_pax_global_extensions() {
            continue;
        }
        let path = path_in_chart(&name)?;
        // Links have no content; they are never followed.
        let has_data = !(kind.is_symlink() || kind.is_hard_link());
        let size = if has_data { entry.size() } else { 0 };
        if size > left {
            return Err(ArchiveError::TooLarge(limits.chart));
        }
        if size > limits.file {
            return Err(ArchiveError::FileTooLarge { name, limit: limits.file });
        }
        let mut data = Vec::with_capacity(size as usize);
        if has_data {
            let read = (&mut entry).take(left).read_to_end(&mut data);
            read.map_err(|error| damaged(&error, limits))?;
        }
        left -= data.len() as u64;
        if (data.len() as u64) < size {
            return Err(ArchiveError::Damaged("unexpected EOF".to_owned()));
        }
        if left == 0 {
            return Err(ArchiveError::TooLarge(limits.chart));
        }
        if files.len() == limits.files {
            return Err(ArchiveError::TooMany(limits.files));
        }
        let modified =
            entry.header().mtime().ok().and_then(|second| Time::from_second(i64::try_from(second).ok()?));
        files.push(ChartFile { name: path, data: without_bom(&data).into(), modified });
    }
    if files.is_empty() { Err(ArchiveError::Empty) } else { Ok(files) }
}

/// The path of an entry below the chart's directory.
fn path_in_chart(name: &str) -> Result<String, ArchiveError> {
    // Archives made on Windows may separate with backslashes.
    let delimiter = if name.contains('\\') { '\\' } else { '/' };
    let (first, rest) = name.split_once(delimiter).unwrap_or((name, ""));
    let rest = rest.replace(delimiter, "/");
    if rest.starts_with('/') {
        return Err(ArchiveError::Absolute);
    }
    let path = clean_path(&rest);
    if path == "." {
        return Err(ArchiveError::Outside(name.to_owned()));
    }
    if path.starts_with("..") {
        return Err(ArchiveError::Parent);
    }
    let bytes = path.as_bytes();
    if bytes.len() >= 3 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && bytes[2] == b'/' {
        return Err(ArchiveError::Drive);
    }
    if first == "Chart.yaml" {
        return Err(ArchiveError::Root);
    }
    Ok(path)
}

/// A reader that fails after a number of bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
}

const OVER: &str = "over the limit";

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(OVER))?;
        Ok(read)
    }
}

fn damaged(error: &io::Error, limits: &Limits) -> ArchiveError {
    let text = error.to_string();
    if text.contains(OVER) {
        return ArchiveError::TooLarge(limits.chart);
    }
    ArchiveError::Damaged(match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            "gzip: invalid checksum or data".to_owned()
        }
        _ => "archive/tar: invalid tar header".to_owned(),
    })
}
