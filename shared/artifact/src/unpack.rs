//! Unpacks a tar.gz into an empty directory, trusting nothing it says.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

/// What an archive may contain.
#[derive(Clone, Debug, Default)]
pub struct UnpackOptions {
    /// The most bytes all files together may have. No limit if absent.
    pub max_bytes: Option<u64>,
    /// Leave symlinks out instead of refusing the archive.
    pub skip_symlinks: bool,
}

/// The most entries an archive may have: each costs an inode, however small it is.
const MAX_ENTRIES: usize = 1_000_000;

/// The deepest path an entry may have.
const MAX_DEPTH: usize = 256;

/// Why an archive was refused or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The bytes are not gzip.
    #[error("requires gzip-compressed body: {0}")]
    NotGzip(#[source] io::Error),
    /// The archive is cut off or damaged.
    #[error("tar error: {0}")]
    Damaged(#[source] io::Error),
    /// A name that leads elsewhere.
    #[error("tar contained invalid name error {name:?}")]
    InvalidName {
        /// The name in the archive.
        name: String,
    },
    /// A symlink where none is allowed.
    #[error("tar file entry {name} is a symlink, which is not allowed in this context")]
    Symlink {
        /// The name in the archive.
        name: String,
    },
    /// A hard link, a device, a fifo or something unknown.
    #[error("tar file entry {name} contained unsupported file type")]
    UnsupportedType {
        /// The name in the archive.
        name: String,
    },
    /// More than the caller allows.
    #[error("tar is bigger than max archive size of {max_bytes} bytes")]
    TooLarge {
        /// The limit.
        max_bytes: u64,
    },
    /// More entries than anybody needs.
    #[error("tar has more than {MAX_ENTRIES} entries")]
    TooManyEntries,
    /// The disk refused.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The path within the target directory.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
}

/// Unpacks the gzip-compressed tar archive `reader` into `directory`, which must exist and hold nothing that others
/// can write to. Gives the sum of the sizes of the files.
///
/// Only regular files and directories come out. Owners and times are not restored; of the mode only the permission
/// bits are.
pub fn unpack(reader: impl Read, directory: &Path, options: &UnpackOptions) -> Result<u64, UnpackError> {
    let mut gzip = BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(BufReader::new(reader)));
    // The header is read with the first byte: what fails here is no gzip.
    io::BufRead::fill_buf(&mut gzip).map_err(UnpackError::NotGzip)?;
    let mut archive = tar::Archive::new(gzip);
    let mut total: u64 = 0;
    let mut long_name: Option<Vec<u8>> = None;
    // Raw entries: extended headers are read here, with a limit, because the library reads them whole into memory.
    let entries = archive.entries().map_err(UnpackError::Damaged)?.raw(true);
    for (count, entry) in entries.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(UnpackError::TooManyEntries);
        }
        let mut entry = entry.map_err(UnpackError::Damaged)?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::XGlobalHeader | EntryType::GNULongLink => continue,
            EntryType::GNULongName => {
                let mut name = read_header(&mut entry)?;
                name.truncate(name.iter().position(|b| *b == 0).unwrap_or(name.len()));
                long_name = Some(name);
                continue;
            }
            EntryType::XHeader => {
                long_name = pax_path(&read_header(&mut entry)?)?;
                continue;
            }
            _ => {}
        }
        let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = checked_path(&name)?;
        let name = || String::from_utf8_lossy(&name).into_owned();
        let mode = entry.header().mode().map_err(UnpackError::Damaged)? & 0o777;
        match kind {
            EntryType::Directory => make_directories(directory, &path, mode | 0o700)
                .map_err(|source| UnpackError::Write { path, source })?,
            EntryType::Regular | EntryType::Continuous => {
                total = total.saturating_add(entry.size());
                if let Some(max_bytes) = options.max_bytes.filter(|max| total > *max) {
                    return Err(UnpackError::TooLarge { max_bytes });
                }
                write_file(&mut entry, directory, &path, mode)?;
            }
            EntryType::Symlink if options.skip_symlinks => {}
            EntryType::Symlink => return Err(UnpackError::Symlink { name: name() }),
            _ => return Err(UnpackError::UnsupportedType { name: name() }),
        }
    }
    Ok(total)
}

/// The most bytes an extended header (long names) may have.
const MAX_HEADER: u64 = 1 << 20;

fn read_header(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, UnpackError> {
    if entry.size() > MAX_HEADER {
        return Err(damaged("extended header is too long"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(UnpackError::Damaged)?;
    Ok(bytes)
}

/// The `path` of a PAX header.
fn pax_path(header: &[u8]) -> Result<Option<Vec<u8>>, UnpackError> {
    let mut path = None;
    for extension in tar::PaxExtensions::new(header) {
        let extension = extension.map_err(UnpackError::Damaged)?;
        match extension.key_bytes() {
            b"path" => path = Some(extension.value_bytes().to_vec()),
            // Only a file of 8 GiB and more needs it; a smaller one could use it to hide entries from us.
            b"size" => return Err(damaged("file sizes in extended headers are not supported")),
            _ => {}
        }
    }
    Ok(path)
}

fn damaged(message: &str) -> UnpackError {
    UnpackError::Damaged(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// The path of an entry if it cannot lead out of the directory; empty for the root itself.
fn checked_path(name: &[u8]) -> Result<PathBuf, UnpackError> {
    let invalid = || UnpackError::InvalidName { name: String::from_utf8_lossy(name).into_owned() };
    if name.is_empty() || name.starts_with(b"/") || name.iter().any(|byte| matches!(byte, b'\\' | 0)) {
        return Err(invalid());
    }
    let mut path = PathBuf::new();
    for (depth, part) in name.split(|byte| *byte == b'/').enumerate() {
        match part {
            b"" | b"." => {}
            b".." => return Err(invalid()),
            _ if depth >= MAX_DEPTH => return Err(invalid()),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    Ok(path)
}

fn make_directories(root: &Path, path: &Path, mode: u32) -> io::Result<()> {
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let full = root.join(path);
    fs::DirBuilder::new().recursive(true).mode(0o750).create(&full)?;
    fs::set_permissions(&full, Permissions::from_mode(mode))
}

fn write_file(entry: &mut impl Read, root: &Path, path: &Path, mode: u32) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Write { path: path.to_owned(), source };
    let full = root.join(path);
    if let Some(parent) = full.parent().filter(|p| !p.is_dir()) {
        fs::DirBuilder::new().recursive(true).mode(0o750).create(parent).map_err(failed)?;
    }
    let mut file = create(&full).map_err(failed)?;
    io::copy(entry, &mut file).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            UnpackError::Damaged(error)
        }
        _ => failed(error),
    })?;
    // The mode given at creation went through the umask.
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed)
}

/// A later entry of the same name replaces an earlier one, as with tar itself.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use tar::Header;

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    fn unpacked(bytes: &[u8], options: &UnpackOptions) -> Result<(tempfile::TempDir, u64), UnpackError> {
        let directory = tempfile::tempdir().unwrap();
        let total = unpack(bytes, directory.path(), options)?;
        Ok((directory, total))
    }

    #[test]
    fn files_directories_and_long_names() {
        let long = format!("{}/file", "d".repeat(120));
        let pax = format!("{} path={long}\n", 4 + 6 + long.len() + 1 - 1);
        let bytes = archive(&[
            (".", EntryType::Directory, b""),
            ("a/b", EntryType::Regular, b"x"),
            ("a/b", EntryType::Regular, b"second"),
            ("pax_global_header", EntryType::XGlobalHeader, b"11 comment=\n"),
            ("PaxHeaders", EntryType::XHeader, pax.as_bytes()),
            ("short", EntryType::Regular, b"long"),
            ("././@LongLink", EntryType::GNULongName, b"other/name\0"),
            ("short", EntryType::Regular, b"gnu"),
        ]);
        let (directory, total) = unpacked(&bytes, &UnpackOptions::default()).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("a/b"), "second");
        assert_eq!(read(&long), "long");
        assert_eq!(read("other/name"), "gnu");
        assert!(!directory.path().join("pax_global_header").exists());
        assert_eq!(total, 14);
    }

    #[test]
    fn dangerous_names_and_types_are_refused() {
        for name in ["/etc/x", "../x", "a/../../x", "a/..", "a\\b", ""] {
            let bytes = archive(&[(name, EntryType::Regular, b"x")]);
            let result = unpacked(&bytes, &UnpackOptions::default());
            assert!(matches!(result, Err(UnpackError::InvalidName { .. })), "{name}");
        }
        for kind in
            [EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::GNUSparse]
        {
            let bytes = archive(&[("x", kind, b"")]);
            let result = unpacked(&bytes, &UnpackOptions::default());
            assert!(matches!(result, Err(UnpackError::UnsupportedType { .. })), "{kind:?}");
        }
        let link = archive(&[("x", EntryType::Symlink, b"")]);
        let refused = unpacked(&link, &UnpackOptions::default());
        assert!(matches!(refused, Err(UnpackError::Symlink { .. })));
        let skipping = UnpackOptions { skip_symlinks: true, ..Default::default() };
        let (directory, _) = unpacked(&link, &skipping).unwrap();
        assert!(!directory.path().join("x").exists());
    }

    #[test]
    fn bombs_cuts_and_plain_bytes_are_refused() {
        let bytes = archive(&[("x", EntryType::Regular, &[0; 4096])]);
        let small = UnpackOptions { max_bytes: Some(4095), ..Default::default() };
        assert!(matches!(unpacked(&bytes, &small), Err(UnpackError::TooLarge { max_bytes: 4095 })));
        let exact = UnpackOptions { max_bytes: Some(4096), ..Default::default() };
        assert_eq!(unpacked(&bytes, &exact).unwrap().1, 4096);

        let cut = &bytes[..bytes.len() / 2];
        assert!(matches!(unpacked(cut, &exact), Err(UnpackError::Damaged(_))));
        assert!(matches!(unpacked(b"plain", &exact), Err(UnpackError::NotGzip(_))));

        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        bomb.write_all(header.as_bytes()).unwrap();
        let bomb = bomb.finish().unwrap();
        assert!(matches!(unpacked(&bomb, &exact), Err(UnpackError::Damaged(_))));
    }
}
