//! Loads any bytes as a packaged chart, and packages again what loads.
//!
//! Bytes that are no gzip are taken for the tar inside of one; the checksums of its headers are put right first, since
//! chance would never find them.
//!
//! Run with `cargo +nightly fuzz run archive` in the crate's directory.

#![no_main]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use fluxide_helm::package::package;
use fluxide_helm::{Chart, Limits, Time};
use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;

fuzz_target!(|bytes: &[u8]| {
    if bytes.starts_with(&[0x1F, 0x8B]) {
        return load(bytes);
    }
    let mut tar = bytes.to_vec();
    sign_headers(&mut tar);
    let mut archive = GzEncoder::new(Vec::new(), Compression::none());
    archive.write_all(&tar).expect("memory takes all bytes");
    load(&archive.finish().expect("memory takes all bytes"));
});

fn load(archive: &[u8]) {
    let limits = Limits { file: 1 << 16, chart: 1 << 20, total: 4 << 20, files: 1000, depth: 8 };
    if let Ok(chart) = Chart::from_archive_within(archive, &limits) {
        let now = Time::from_second(0).expect("the epoch is a time");
        let _ = package(&chart, now);
    }
}

fn sign_headers(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        if header.iter().all(|byte| *byte == 0) {
            at += BLOCK;
            continue;
        }
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).unwrap_or_default();
        let size = usize::from_str_radix(size.trim_matches([' ', '\0']), 8).unwrap_or(0);
        at = at.saturating_add(BLOCK).saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
        if at > tar.len() {
            return;
        }
    }
}
