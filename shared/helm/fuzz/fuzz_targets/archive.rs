//! Loads any bytes as a packaged chart, and packages again what loads.
//!
//! Run with `cargo +nightly fuzz run archive` in the crate's directory.

#![no_main]

use fluxide_helm::package::package;
use fluxide_helm::{Chart, Limits, Time};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { file: 1 << 16, chart: 1 << 20, total: 4 << 20, files: 1000, depth: 8 };
    if let Ok(chart) = Chart::from_archive_within(bytes, &limits) {
        let now = Time::from_second(0).expect("the epoch is a time");
        let _ = package(&chart, now);
    }
});
