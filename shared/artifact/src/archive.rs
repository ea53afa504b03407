//! Packs a directory into a tar.gz whose bytes depend on the names, contents and executable bits alone.
//!
//! Not on the clock, the owner, the umask, the order of the directory or the number of processors: the compression
//! level is fixed and a single stream. Changing anything here changes the digest of every artifact.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use crate::ignore::IgnoreRules;

/// The deepest directory that is packed.
const MAX_DEPTH: usize = 256;

/// What went into an archive, and what did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSummary {
    /// Regular files packed.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// Symlinks, devices, sockets and fifos that were not ignored by a rule and cannot be packed.
    pub dropped: u64,
}

/// Writes the archive of `root` to `writer`, leaving out what `rules` ignore.
pub fn archive_directory(root: &Path, rules: &IgnoreRules, writer: impl Write) -> io::Result<ArchiveSummary> {
    let gzip = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(BufWriter::with_capacity(64 * 1024, writer), Compression::new(6));
    let mut packer = Packer { root, rules, tar: tar::Builder::new(gzip), summary: ArchiveSummary::default() };
    packer.append_header(b".", EntryType::Directory, 0o750, 0)?;
    packer.append_children(Path::new(""), 0)?;
    let Packer { tar, summary, .. } = packer;
    tar.into_inner()?.finish()?.flush()?;
    Ok(summary)
}

struct Packer<'a, W: Write> {
    root: &'a Path,
    rules: &'a IgnoreRules,
    tar: tar::Builder<W>,
    summary: ArchiveSummary,
}

impl<W: Write> Packer<'_, W> {
    /// Appends what is below a directory. An ignored directory has no entry, but its children are still judged: a
    /// pattern may include them again.
    fn append_children(&mut self, parent: &Path, depth: usize) -> io::Result<()> {
        if depth >= MAX_DEPTH {
            return Err(io::Error::other(format!("directories are nested deeper than {MAX_DEPTH} levels")));
        }
        let mut entries = fs::read_dir(self.root.join(parent))?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            // Never, whatever the rules say: it may hold credentials.
            if name == ".git" {
                continue;
            }
            let path = parent.join(name);
            // Names are bytes, as they are in Git; patterns are text and see what is not UTF-8 as U+FFFD.
            let kind = entry.file_type()?;
            let ignored = self.rules.is_ignored(&path.to_string_lossy(), kind.is_dir());
            if self.rules.is_exhausted() {
                return Err(io::Error::other(
                    "the ignore rules are too many or too complex for so many files",
                ));
            }
            if kind.is_dir() {
                if !ignored {
                    self.append_header(path.as_os_str().as_bytes(), EntryType::Directory, 0o750, 0)?;
                }
                self.append_children(&path, depth + 1)?;
            } else if ignored {
                continue;
            } else if kind.is_file() {
                self.append_file(&path)?;
            } else {
                self.summary.dropped += 1;
            }
        }
        Ok(())
    }

    fn append_file(&mut self, path: &Path) -> io::Result<()> {
        let name = path.as_os_str().as_bytes();
        let file = File::open(self.root.join(path))?;
        let metadata = file.metadata()?;
        let executable = metadata.permissions().mode() & 0o111 != 0;
        let mode = if executable { 0o700 } else { 0o600 };
        let mut header = self.header(name, EntryType::Regular, mode, metadata.len())?;
        header.set_cksum();
        // A file that shrinks or grows meanwhile would shift all that follows.
        let mut content = io::Read::take(&file, metadata.len());
        self.tar.append(&header, &mut content)?;
        if content.limit() != 0 {
            return Err(io::Error::other(format!("{} changed while it was packed", path.display())));
        }
        self.summary.files += 1;
        self.summary.bytes += metadata.len();
        Ok(())
    }

    fn append_header(&mut self, name: &[u8], kind: EntryType, mode: u32, size: u64) -> io::Result<()> {
        let mut header = self.header(name, kind, mode, size)?;
        header.set_cksum();
        self.tar.append(&header, io::empty())
    }

    /// A USTAR header; a name it cannot hold goes into a PAX header before it.
    fn header(&mut self, name: &[u8], kind: EntryType, mode: u32, size: u64) -> io::Result<Header> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        let fits = name.is_ascii() && set_ustar_name(&mut header, name);
        if !fits {
            self.tar.append_pax_extensions([("path", name)])?;
            let field = &mut header.as_old_mut().name;
            *field = [0; 100];
            for (to, byte) in field.iter_mut().zip(name.iter().filter(|byte| byte.is_ascii())) {
                *to = *byte;
            }
        }
        Ok(header)
    }
}

/// Stores a name in the fields of USTAR, split at a slash when it is longer than the first of them.
fn set_ustar_name(header: &mut Header, bytes: &[u8]) -> bool {
    let Some(ustar) = header.as_ustar_mut() else {
        return false;
    };
    let split = if bytes.len() <= ustar.name.len() {
        None
    } else {
        // The last slash that leaves the first part short enough for the prefix field.
        let prefix_end = bytes.len().min(ustar.prefix.len() + 1);
        match bytes[..prefix_end].iter().rposition(|b| *b == b'/') {
            Some(at) if at > 0 && bytes.len() - at - 1 <= ustar.name.len() => Some(at),
            _ => return false,
        }
    };
    let (prefix, rest) = match split {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&bytes[..0], bytes),
    };
    ustar.prefix[..prefix.len()].copy_from_slice(prefix);
    ustar.name[..rest.len()].copy_from_slice(rest);
    true
}
