//! Packages that the real Helm made, against ours of the same charts: the same entries in the same order with the same
//! headers, to the byte, below the compression.

use std::io::Read;
use std::path::Path;

use fluxide_helm::package::{package, package_file_name};
use fluxide_helm::{Chart, Time};

#[test]
fn packages_are_helm_s_to_the_byte() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages");
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let theirs = std::fs::read(&path).unwrap();
        let chart = Chart::from_archive(&theirs).unwrap();
        assert_eq!(path.file_name().unwrap().to_str().unwrap(), package_file_name(&chart));
        let ours = package(&chart, Time::from_second(0).unwrap()).unwrap();
        assert_eq!(header(&ours), header(&theirs), "{}", path.display());
        let (ours, theirs) = (unpacked(&ours), unpacked(&theirs));
        let first = ours.iter().zip(&theirs).position(|(ours, theirs)| ours != theirs);
        assert_eq!((first, ours.len()), (None, theirs.len()), "{}", path.display());
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

/// The header of gzip: flags, time, extra field and comment. The byte that tells the effort of compression is left out.
fn header(archive: &[u8]) -> Vec<u8> {
    let mut header = archive[..61].to_vec();
    header[8] = 0;
    header
}

fn unpacked(archive: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzDecoder::new(archive).read_to_end(&mut out).unwrap();
    out
}
