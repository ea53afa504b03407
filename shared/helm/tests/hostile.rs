//! Hostile charts and values end in an error, soon, and without leaving the chart.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use fluxide_helm::values::{Table, read_values};
use fluxide_helm::{
    Capabilities, Chart, ChartFile, DiskDirectory, ReleaseOptions, RenderOptions, TemplateLimits, render,
    strvals,
};

/// Nothing here may take longer, on a slow machine and without optimisation.
const SOON: Duration = Duration::from_secs(60);

fn chart(files: &[(&str, &str)]) -> Arc<Chart> {
    let mut all = vec![ChartFile::new("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n")];
    all.extend(files.iter().map(|(name, text)| ChartFile::new(*name, text)));
    Arc::new(Chart::from_files(all).unwrap())
}

fn rendered(chart: &Arc<Chart>, values: &Table) -> Result<String, String> {
    rendered_within(chart, values, TemplateLimits::default())
}

fn rendered_within(chart: &Arc<Chart>, values: &Table, limits: TemplateLimits) -> Result<String, String> {
    let release = ReleaseOptions { name: "r".into(), namespace: "n".into(), revision: 1, is_upgrade: false };
    let capabilities = Capabilities::default();
    let mut options = RenderOptions::new(release, &capabilities, "2026-01-01T00:00:00Z".parse().unwrap());
    options.limits = limits;
    render(chart, values, options).map(|rendered| rendered.manifest()).map_err(|error| error.to_string())
}

#[test]
fn bombs_in_templates_end_in_an_error() {
    for (text, expected) in [
        (r#"{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}"#, "nested reference name: a"),
        (
            r#"{{ define "a" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}"#,
            "nested reference",
        ),
        ("{{ range until 2000000000 }}x{{ end }}", "allocate more than"),
        ("{{ repeat 2000000000 \"x\" }}", "allocate more than"),
        ("{{ $s := \"x\" }}{{ range until 100 }}{{ $s = print $s $s }}{{ end }}", "allocate more than"),
        // Small in memory, endless or huge in print.
        (
            "{{ $_ := set .Values \"v\" .Values }}{{ $_ := set .Values \"w\" .Values }}{{ .Values }}",
            "contains itself",
        ),
        (
            "{{ $_ := set .Values \"v\" .Values }}{{ $_ := set .Values \"w\" .Values }}{{ toYaml .Values }}",
            "contains itself",
        ),
        (
            "{{ $_ := set .Values \"v\" .Values }}{{ $_ := set .Values \"w\" .Values }}{{ quote .Values }}",
            "contains itself",
        ),
        (
            "{{ $d := dict \"a\" 1 }}{{ range until 60 }}{{ $d = dict \"a\" $d \"b\" $d }}{{ end }}{{ toJson $d }}",
            "too large to be printed",
        ),
        (
            "{{ $d := dict \"a\" 1 }}{{ range until 60 }}{{ $d = dict \"a\" $d \"b\" $d }}{{ end }}{{ printf \"%v\" $d }}",
            "too large to be printed",
        ),
        (
            "{{ $d := list 1 }}{{ range until 60 }}{{ $d = list $d $d }}{{ end }}{{ join \",\" $d }}",
            "too large to be printed",
        ),
        (
            "{{ $d := list 1 }}{{ range until 9 }}{{ $d = list $d $d $d $d $d $d $d $d $d $d }}{{ end }}{{ toToml (dict \"a\" $d) }}",
            "too large to be printed",
        ),
    ] {
        let start = Instant::now();
        let error = rendered(&chart(&[("templates/a.yaml", text)]), &Table::new()).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(start.elapsed() < SOON, "{text} took {:?}", start.elapsed());
    }
}

#[test]
fn keys_count_as_the_work_that_they_are() {
    let chart = chart(&[(
        "templates/a.yaml",
        "{{ range until 1000 }}# {{ genPrivateKey \"rsa\" | len }}\n{{ end }}",
    )]);
    let limits = TemplateLimits { steps: 12_000_000, ..TemplateLimits::default() };
    let start = Instant::now();
    let error = rendered_within(&chart, &Table::new(), limits).unwrap_err();
    assert!(error.contains("takes more than 12000000 steps"), "{error}");
    assert!(start.elapsed() < 5 * SOON);
}

#[test]
fn equality_of_shared_values_is_found_soon() {
    let text = "{{ $a := list 1 }}{{ $b := list 1 }}{{ range until 60 }}{{ $a = list $a $a }}{{ $b = list $b $b }}{{ end }}\
                a: {{ deepEqual $a $b }}";
    let start = Instant::now();
    let text = rendered(&chart(&[("templates/a.yaml", text)]), &Table::new()).unwrap();
    assert!(text.contains("a: true\n"), "{text}");
    assert!(start.elapsed() < SOON);
}

#[test]
fn bombs_in_values_end_in_an_error() {
    let mut aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..20 {
        let below = format!("*a{}", at - 1);
        aliases.push_str(&format!("a{at}: &a{at} [{}]\n", vec![below; 10].join(", ")));
    }
    let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (text, expected) in [(aliases, "excessive aliasing"), (deep, "exceeded max depth")] {
        let start = Instant::now();
        let error = read_values(text.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error}");
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
    let mut values = Table::new();
    for line in ["a[99999]=1", "a[1][65000][65000][65000]=1"] {
        let _ = strvals::set(line, &mut values);
    }
    assert!(strvals::set(&format!("{}=1", vec!["a"; 40].join(".")), &mut values).is_err());
    assert!(strvals::set(&format!("a{}=1", "[0]".repeat(1000)), &mut values).is_err());
}

#[test]
fn schemas_reach_nothing_outside_and_end() {
    for (schema, expected) in [
        (r#"{"$ref": "http://169.254.169.254/latest"}"#, "references to other documents are not followed"),
        (r#"{"$ref": "file:///etc/passwd"}"#, "schemas outside the chart are not read"),
        (r#"{"$ref": "../../secret.json"}"#, "schemas outside the chart are not read"),
    ] {
        let chart = chart(&[("values.schema.json", schema), ("templates/a.yaml", "a: 1\n")]);
        let error = rendered(&chart, &Table::new()).unwrap_err();
        assert!(error.contains(expected), "{schema}: {error}");
    }
    let deep = format!("{}{}", r#"{"not": "#.repeat(100_000), "}".repeat(100_000));
    let start = Instant::now();
    let chart = chart(&[("values.schema.json", &deep), ("templates/a.yaml", "a: 1\n")]);
    rendered(&chart, &Table::new()).unwrap_err();
    assert!(start.elapsed() < SOON);
}

fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, kind, data) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        if *kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *data).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

const METADATA: (&str, tar::EntryType, &[u8]) =
    ("c/Chart.yaml", tar::EntryType::Regular, b"apiVersion: v2\nname: c\nversion: 1.0.0\n");

#[test]
fn archives_stay_within_the_chart() {
    use tar::EntryType::{Regular, Symlink};
    for (name, expected) in [
        ("c/../../x", "references parent directory"),
        ("c//x", "absolute paths"),
        ("c/C:/x", "illegally named"),
        ("c/.", "outside the base directory"),
        ("Chart.yaml", "outside the base directory"),
        ("c\\..\\..\\x", "references parent directory"),
    ] {
        let error =
            Chart::from_archive(&archive(&[METADATA, (name, Regular, b"x")])).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let chart = Chart::from_archive(&archive(&[METADATA, ("c/secret", Symlink, b"")])).unwrap();
    assert_eq!(&*chart.files[0].data, b"");
    let large = vec![b'x'; (5 << 20) + 1];
    let error =
        Chart::from_archive(&archive(&[METADATA, ("c/large", Regular, &large)])).unwrap_err().to_string();
    assert_eq!(error, "decompressed chart file \"c/large\" is larger than the maximum file size 5242880");
    let most = vec![0; 5 << 20];
    let names: Vec<String> = (0..25).map(|at| format!("c/f{at}")).collect();
    let mut entries = vec![METADATA];
    entries.extend(names.iter().map(|name| (name.as_str(), Regular, most.as_slice())));
    let start = Instant::now();
    let error = Chart::from_archive(&archive(&entries)).unwrap_err().to_string();
    assert_eq!(error, "decompressed chart is larger than the maximum size 104857600");
    assert!(start.elapsed() < SOON);
}

#[test]
fn streams_without_end_are_cut() {
    // A gzip stream of zeros alone: no header ever comes, and a header never ends.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..400 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let start = Instant::now();
    Chart::from_archive(&bomb).unwrap_err();
    Chart::from_archive(&bomb[..bomb.len() / 2]).unwrap_err();
    Chart::from_archive(b"\x1f\x8b\x08garbage").unwrap_err();
    assert!(start.elapsed() < SOON);
}

#[test]
fn charts_in_charts_end_somewhere() {
    let mut archive_of = archive(&[METADATA]);
    for _ in 0..40 {
        archive_of = archive(&[METADATA, ("c/charts/c-1.0.0.tgz", tar::EntryType::Regular, &archive_of)]);
    }
    let error = Chart::from_archive(&archive_of).unwrap_err().to_string();
    assert!(error.contains("nested deeper than"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_do_not_leave_a_confined_directory() {
    let root = std::env::temp_dir().join(format!("fluxide-helm-links-{}", std::process::id()));
    let directory = root.join("c");
    std::fs::create_dir_all(directory.join("templates")).unwrap();
    std::fs::write(directory.join("Chart.yaml"), "apiVersion: v2\nname: c\nversion: 1.0.0\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.join("templates/a.yaml")).unwrap();
    let outside = Chart::from_directory(&DiskDirectory::confined(&directory, &root)).unwrap_err().to_string();
    std::fs::remove_file(directory.join("templates/a.yaml")).unwrap();
    std::os::unix::fs::symlink("..", directory.join("templates/up")).unwrap();
    let cycle = Chart::from_directory(&DiskDirectory::confined(&directory, &root)).unwrap_err().to_string();
    std::fs::remove_dir_all(&root).unwrap();
    assert!(outside.contains("leads out of the directory"), "{outside}");
    assert!(cycle.contains("leads to a directory that contains it"), "{cycle}");
}
