//! Renders a chart and prints its manifests: `template CHART [VALUES]...`.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use fluxide_helm::values::{Table, merge, read_values};
use fluxide_helm::{
    Capabilities, Chart, DiskDirectory, KubeVersion, ReleaseOptions, RenderOptions, TemplateOutput, render,
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: template CHART [VALUES]...")?;
    let chart = if std::path::Path::new(&path).is_dir() {
        Chart::from_directory(&DiskDirectory::new(std::path::absolute(path)?))?
    } else {
        Chart::from_archive(&std::fs::read(path)?)?
    };
    let mut values = Table::new();
    for file in arguments {
        let table = read_values(&std::fs::read(&file)?)
            .map_err(|problem| format!("failed to parse {file}: {problem}"))?;
        merge(&mut values, table);
    }
    let release = ReleaseOptions {
        name: "release-name".to_owned(),
        namespace: "default".to_owned(),
        revision: 1,
        is_upgrade: false,
    };
    let capabilities =
        Capabilities { kube_version: KubeVersion::parse("1.34.0")?, ..Capabilities::default() };
    let options = RenderOptions::new(release, &capabilities, jiff::Timestamp::now());
    let rendered = render(&Arc::new(chart), &values, options)?;
    let output = TemplateOutput { include_crds: true, ..TemplateOutput::default() };
    let mut stdout = std::io::BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    rendered.write_template_output(&output, &mut stdout)?;
    stdout.flush()?;
    Ok(())
}
