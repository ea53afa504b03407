//! Packages charts as `helm package` does: the entries of the archive, their order, and their headers.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use thiserror::Error;

use crate::chart::Chart;
use crate::file::base_name;
use crate::metadata::{API_VERSION_V1, API_VERSION_V2, Metadata, MetadataError};
use crate::time::Time;
use fluxide_gotext::quote_str;

/// The extra field that Helm writes into the header of the archive.
const EXTRA: &[u8] = b"rr\x28\x00aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=";

/// Why a chart cannot be packaged.
#[derive(Debug, Error)]
pub enum PackageError {
    /// Its metadata is not valid.
    #[error("chart validation: {0}")]
    Invalid(#[from] MetadataError),
    /// Its name would change where the files lie.
    #[error("{} is not a valid chart name", quote_str(.0))]
    Name(String),
    /// values.schema.json is not JSON.
    #[error("invalid JSON in values.schema.json")]
    Schema,
    /// Chart.yaml cannot be written.
    #[error("Chart.yaml cannot be written: {0}")]
    Metadata(String),
    /// A path is longer than an archive can say.
    #[error("{path} cannot be put into an archive: {reason}")]
    Entry {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
}

/// The name of the file that a chart is packaged into: `web-1.2.3.tgz`.
pub fn package_file_name(chart: &Chart) -> String {
    format!("{}-{}.tgz", chart.metadata.name, chart.metadata.version)
}

/// Packages the chart with its subcharts. Files of unknown age get the time `now`.
///
/// The archive has the entries and headers that Helm writes, to the byte, and subcharts in the order of their names, where
/// Helm's order is random. Compressed bytes differ, as they do between versions of Go.
pub fn package(chart: &Chart, now: Time) -> Result<Vec<u8>, PackageError> {
    chart.metadata.clone().validate()?;
    let gzip = GzBuilder::new().extra(EXTRA).comment("Helm").mtime(0).operating_system(255);
    let gzip = gzip.write(Vec::new(), Compression::default());
    let mut writer = Writer { tar: tar::Builder::new(gzip), now };
    writer.chart(chart, "")?;
    let finish = writer.tar.into_inner().and_then(|gzip| gzip.finish());
    finish.map_err(|error| PackageError::Entry { path: package_file_name(chart), reason: error.to_string() })
}

struct Writer<W: Write> {
    tar: tar::Builder<W>,
    now: Time,
}

impl<W: Write> Writer<W> {
    fn chart(&mut self, chart: &Chart, prefix: &str) -> Result<(), PackageError> {
        let name = chart.name();
        if base_name(name) != name {
            return Err(PackageError::Name(name.to_owned()));
        }
        let base = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
        // Charts of the first API version keep their dependencies in requirements.yaml.
        let without = (chart.metadata.api_version == API_VERSION_V1)
            .then(|| Metadata { dependencies: None, ..chart.metadata.clone() });
        let metadata = without
            .as_ref()
            .unwrap_or(&chart.metadata)
            .to_yaml()
            .map_err(|error| PackageError::Metadata(error.to_string()))?;
        self.file(&base, "Chart.yaml", metadata.as_bytes(), chart.modified)?;
        if let Some(lock) = chart.lock.as_ref().filter(|_| chart.metadata.api_version == API_VERSION_V2) {
            let yaml = fluxide_goyaml::sigs::json_to_yaml(lock.to_json().as_bytes());
            let yaml = yaml.map_err(|error| PackageError::Metadata(error.to_string()))?;
            self.file(&base, "Chart.lock", yaml.as_bytes(), lock.generated)?;
        }
        if let Some(values) = &chart.values_file {
            self.file(&base, "values.yaml", &values.data, values.modified)?;
        }
        if let Some(schema) = &chart.schema {
            if serde_json::from_slice::<serde::de::IgnoredAny>(&schema.data).is_err() {
                return Err(PackageError::Schema);
            }
            self.file(&base, "values.schema.json", &schema.data, schema.modified)?;
        }
        for file in chart.templates.iter().chain(&chart.files) {
            self.file(&base, &file.name, &file.data, file.modified)?;
        }
        let charts = format!("{base}/charts");
        chart.subcharts.iter().try_for_each(|subchart| self.chart(subchart, &charts))
    }

    fn file(
        &mut self,
        base: &str,
        name: &str,
        data: &[u8],
        modified: Option<Time>,
    ) -> Result<(), PackageError> {
        let path = format!("{base}/{name}");
        let modified = modified.unwrap_or(self.now).timestamp();
        // Go rounds to the nearest second.
        let seconds = modified.as_second() + i64::from(modified.subsec_nanosecond() >= 500_000_000);
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(data.len() as u64);
        header.set_mtime(u64::try_from(seconds).unwrap_or(0));
        header.set_entry_type(tar::EntryType::Regular);
        let devices = header.set_device_major(0).and_then(|()| header.set_device_minor(0));
        let entry = match devices.and_then(|()| header.set_path(&path)) {
            Ok(()) if path.is_ascii() => {
                set_checksum(&mut header);
                self.tar.append(&header, data)
            }
            _ => self.tar.append_data(&mut header, &path, data),
        };
        entry.map_err(|error| PackageError::Entry { path, reason: error.to_string() })
    }
}

/// The sum over the header in the form that Go gives it: six digits, NUL, space.
fn set_checksum(header: &mut tar::Header) {
    const FIELD: std::ops::Range<usize> = 148..156;
    let bytes = header.as_mut_bytes();
    bytes[FIELD].fill(b' ');
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum();
    bytes[FIELD].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
