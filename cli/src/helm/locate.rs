//! Finds the charts that command lines name, and loads them.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use fluxide_gotext::quote_str;
use fluxide_helm::{Chart, DiskDirectory, Limits, LoadError};

use super::flags::os_words;

/// Which API versions a chart may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Versions {
    /// Those that can be installed.
    Installable,
    /// Any, to look at what is in the chart.
    Any,
}

/// Where a chart lies on this machine.
pub(super) fn locate_chart(name: &str) -> anyhow::Result<PathBuf> {
    let name = name.trim();
    if std::fs::metadata(name).is_ok() {
        // Helm names charts by where they really are.
        return std::path::absolute(name).with_context(|| format!("path {}", quote_str(name)));
    }
    if name.starts_with(['/', '.']) {
        bail!("path {} not found", quote_str(name));
    }
    let url =
        fluxide_gotemplate::go::parse_url(name).map_err(|_| anyhow!("invalid chart URL format: {name}"))?;
    if !url.scheme.is_empty() {
        bail!(
            "path {} not found; charts are read from this machine alone: fetch the chart with `helm pull` and give its \
             directory or archive",
            quote_str(name)
        );
    }
    match name.split_once('/') {
        None => bail!("non-absolute URLs should be in form of repo_name/path_to_chart, got: {name}"),
        // No repositories are known here.
        Some((repository, _)) => bail!("repo {repository} not found"),
    }
}

/// Loads a chart from a directory or an archive.
pub(super) fn load_chart(path: &std::path::Path, versions: Versions) -> anyhow::Result<Chart> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| anyhow!("stat {shown}: {}", os_words(&error)))?;
    if metadata.is_dir() {
        let directory = DiskDirectory::new(path);
        let chart = match versions {
            Versions::Installable => Chart::from_directory(&directory),
            Versions::Any => Chart::from_directory_of_any_version(&directory),
        };
        // The texts of these errors tell their causes themselves.
        return chart.map_err(|error| anyhow!("{error}"));
    }
    let limit = Limits::default().total;
    if metadata.len() > limit {
        bail!("file '{shown}' is larger than {limit} bytes");
    }
    let archive = std::fs::read(path).map_err(|error| anyhow!("open {shown}: {}", os_words(&error)))?;
    if !archive.starts_with(&[0x1F, 0x8B, 8]) {
        if shown.to_string().ends_with(".yml") || shown.to_string().ends_with(".yaml") {
            bail!("file '{shown}' seems to be a YAML file, but expected a gzipped archive");
        }
        bail!("file '{shown}' does not appear to be a gzipped archive; got '{}'", content_type(&archive));
    }
    let chart = match versions {
        Versions::Installable => Chart::from_archive(&archive),
        Versions::Any => Chart::from_archive_of_any_version(&archive),
    };
    chart.map_err(|error| match error {
        LoadError::Archive(_) if versions == Versions::Installable => anyhow!("unable to load chart archive"),
        error => anyhow!("{error}"),
    })
}

/// Beginnings of files and what they are, as Go's `net/http` tells contents apart.
const SIGNATURES: [(&[u8], &str); 31] = [
    (b"%PDF-", "application/pdf"),
    (b"%!PS-Adobe-", "application/postscript"),
    (b"\xFE\xFF", "text/plain; charset=utf-16be"),
    (b"\xFF\xFE", "text/plain; charset=utf-16le"),
    (b"\xEF\xBB\xBF", "text/plain; charset=utf-8"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x02\x00", "image/x-icon"),
    (b"BM", "image/bmp"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x89PNG\x0D\x0A\x1A\x0A", "image/png"),
    (b"\xFF\xD8\xFF", "image/jpeg"),
    (b"ID3", "audio/mpeg"),
    (b"OggS\x00", "application/ogg"),
    (b"MThd\x00\x00\x00\x06", "audio/midi"),
    (b"\x1A\x45\xDF\xA3", "video/webm"),
    (b"\x00\x01\x00\x00", "font/ttf"),
    (b"OTTO", "font/otf"),
    (b"ttcf", "font/collection"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x1F\x8B\x08", "application/x-gzip"),
    (b"PK\x03\x04", "application/zip"),
    (b"Rar!\x1A\x07\x00", "application/x-rar-compressed"),
    (b"Rar!\x1A\x07\x01\x00", "application/x-rar-compressed"),
    (b"\x00\x61\x73\x6D", "application/wasm"),
    (b"RIFF____WEBPVP", "image/webp"),
    (b"FORM____AIFF", "audio/aiff"),
    (b"RIFF____AVI ", "video/avi"),
    (b"RIFF____WAVE", "audio/wave"),
    (b"<?xml", "text/xml; charset=utf-8"),
];

/// Tags that a page begins with.
const TAGS: [&[u8]; 17] = [
    b"<!DOCTYPE HTML",
    b"<HTML",
    b"<HEAD",
    b"<SCRIPT",
    b"<IFRAME",
    b"<H1",
    b"<DIV",
    b"<FONT",
    b"<TABLE",
    b"<A",
    b"<STYLE",
    b"<TITLE",
    b"<B",
    b"<BODY",
    b"<BR",
    b"<P",
    b"<!--",
];

/// What a file is, by its first 512 bytes. Helm fills shorter ones up with zeros.
fn content_type(file: &[u8]) -> &'static str {
    let mut head = [0; 512];
    let length = file.len().min(head.len());
    head[..length].copy_from_slice(&file[..length]);
    let blanks = head.iter().take_while(|byte| b"\t\n\x0C\r ".contains(byte)).count();
    let text = &head[blanks..];
    let is_tag = |tag: &&[u8]| {
        text.len() > tag.len()
            && text[..tag.len()].eq_ignore_ascii_case(tag)
            && matches!(text[tag.len()], b' ' | b'>')
    };
    if TAGS.iter().any(is_tag) {
        return "text/html; charset=utf-8";
    }
    let begins = |signature: &[u8]| {
        let head = if signature == b"<?xml" { text } else { &head[..] };
        let wild = |byte: u8| byte == b'_' && signature.len() > 8;
        head.len() >= signature.len()
            && signature.iter().zip(head).all(|(wanted, byte)| wanted == byte || wild(*wanted))
    };
    if let Some((_, found)) = SIGNATURES.iter().find(|(signature, _)| begins(signature)) {
        return found;
    }
    if &head[34..36] == b"LP" {
        return "application/vnd.ms-fontobject";
    }
    let binary = text.iter().any(|byte| matches!(byte, 0..=8 | 0x0B | 0x0E..=0x1A | 0x1C..=0x1F));
    if binary { "application/octet-stream" } else { "text/plain; charset=utf-8" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_apart_as_in_go() {
        for (file, expected) in [
            (&b""[..], "application/octet-stream"),
            (b"short text", "application/octet-stream"),
            (b"  <html>", "text/html; charset=utf-8"),
            (b"<?xml version", "text/xml; charset=utf-8"),
            (b"%PDF-1.4", "application/pdf"),
            (b"PK\x03\x04", "application/zip"),
            (b"RIFF1234WAVE", "audio/wave"),
            (&[b'a'; 600], "text/plain; charset=utf-8"),
        ] {
            assert_eq!(content_type(file), expected);
        }
    }
}
