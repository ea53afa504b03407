//! A file of a chart, held in memory.

use std::sync::Arc;

use crate::time::Time;

/// A file of a chart: its path below the chart's root, its bytes and when it was last changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartFile {
    /// The path below the chart's root, with `/` between its parts.
    pub name: String,
    /// The bytes, without a leading byte order mark. Copies of a file share them.
    pub data: Arc<[u8]>,
    /// When the file was last changed, when that is known.
    pub modified: Option<Time>,
}

impl ChartFile {
    /// A file of unknown age.
    pub fn new(name: impl Into<String>, data: impl AsRef<[u8]>) -> ChartFile {
        ChartFile { name: name.into(), data: without_bom(data.as_ref()).into(), modified: None }
    }

    /// The content as text; invalid UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.data)
    }
}

/// The bytes without the UTF-8 byte order mark that editors put in front.
pub(crate) fn without_bom(data: &[u8]) -> &[u8] {
    data.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(data)
}

/// The last part of a path, as Go's `path.Base` takes it.
pub(crate) fn base_name(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" };
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

/// The extension of a path with its dot, as Go's `filepath.Ext` takes it; empty when there is none.
pub(crate) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rfind('.').map_or("", |dot| &name[dot..])
}

/// A path without `.`, `..` and doubled slashes, as Go's `path.Clean` gives it.
pub(crate) fn clean_path(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(".."),
            },
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart_as_go_does() {
        assert_eq!([base_name(""), base_name("/"), base_name("a/b/"), base_name("a")], [".", "/", "b", "a"]);
        assert_eq!([extension("a/b.tar.gz"), extension("a.d/b"), extension(".x")], [".gz", "", ".x"]);
        let cleaned = ["a/../b", "./a//b/", "../a", "a/../..", "/..", ""].map(clean_path);
        assert_eq!(cleaned, ["b", "a/b", "../a", "..", "/", "."]);
    }
}
