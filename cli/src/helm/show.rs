//! `fluxide helm show`.

use std::io::Write;

use anyhow::bail;
use clap::Args;
use fluxide_gotext::quote_str;
use fluxide_helm::Chart;

use super::locate::{Versions, load_chart, locate_chart};
use super::unavailable::FromElsewhere;

/// What to print of which chart.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The part to print (all, chart, values, readme or crds), and the chart: a directory or an archive.
    #[arg(value_name = "PART CHART")]
    arguments: Vec<String>,
    /// Of values only what a JSONPath expression finds; not available here.
    #[arg(long, hide = true)]
    jsonpath: Option<String>,
    #[command(flatten)]
    elsewhere: FromElsewhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Chart,
    Values,
    Readme,
    Crds,
}

impl Part {
    fn named(name: &str) -> Option<Part> {
        Some(match name {
            "all" => Part::All,
            "chart" => Part::Chart,
            "values" => Part::Values,
            "readme" => Part::Readme,
            "crds" => Part::Crds,
            _ => return None,
        })
    }
}

/// Prints a part of the chart.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let named = options.arguments.split_first();
    let Some((name, part, charts)) = named.and_then(|(name, rest)| Some((name, Part::named(name)?, rest)))
    else {
        // Helm answers with its help.
        Options::augment_args(clap::Command::new("fluxide helm show")).print_help()?;
        return Ok(());
    };
    if options.jsonpath.is_some() && part != Part::Values {
        bail!("unknown flag: --jsonpath");
    }
    let [chart] = charts else {
        bail!("\"helm show {name}\" requires 1 argument\n\nUsage:  helm show {name} [CHART] [flags]");
    };
    options.elsewhere.refuse()?;
    if let Some(path) = options.jsonpath.as_ref().filter(|path| !path.is_empty()) {
        bail!(
            "--jsonpath is not available here ({}); pipe the values into a program that filters",
            quote_str(path)
        );
    }
    let chart = load_chart(&locate_chart(chart)?, Versions::Any)?;
    let text = show(&chart, part)?;
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
