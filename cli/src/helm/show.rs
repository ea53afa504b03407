//! `fluxide helm show`.

use std::io::Write;

use clap::ValueEnum;
use fluxide_helm::Chart;

use super::load_chart;

/// What to print of which chart.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The part to print.
    part: Part,
    /// The chart: a directory or an archive.
    chart: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Everything.
    All,
    /// Chart.yaml.
    Chart,
    /// values.yaml.
    Values,
    /// The read-me.
    Readme,
    /// The files below crds/.
    Crds,
}

/// Prints a part of the chart.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let chart = load_chart(&options.chart)?;
    let text = show(&chart, options.part)?;
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn show(chart: &Chart, part: Part) -> anyhow::Result<String> {
    let mut out = String::new();
    let shown = |wanted| part == wanted || part == Part::All;
    if shown(Part::Chart) {
        out.push_str(&chart.metadata.to_yaml()?);
        out.push('\n');
    }
    if let Some(values) = chart.values_file.as_ref().filter(|_| shown(Part::Values)) {
        if part == Part::All {
            out.push_str("---\n");
        }
        out.push_str(&values.text());
        out.push('\n');
    }
    if shown(Part::Readme) {
        let names = ["readme.md", "readme.txt", "readme"];
        if let Some(readme) =
            chart.files.iter().find(|file| names.contains(&file.name.to_lowercase().as_str()))
        {
            if part == Part::All {
                out.push_str("---\n");
            }
            out.push_str(&readme.text());
            out.push('\n');
        }
    }
    if shown(Part::Crds) {
        for file in chart.crd_files() {
            let text = file.text();
            if !text.starts_with("---") {
                out.push_str("---\n");
            }
            out.push_str(&text);
            out.push('\n');
        }
    }
    Ok(out)
}
