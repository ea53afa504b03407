//! The values that a command line gives: `-f` and the `--set` family.

use anyhow::{Context, anyhow, bail};
use fluxide_goyaml::Value;
use fluxide_helm::strvals;
use fluxide_helm::values::{Table, merge, read_values};

use super::flags::{List, read_file};

/// Values for a chart.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ValueOptions {
    /// Values from a YAML file, `-` for standard input; later files win.
    #[arg(short = 'f', long = "values", value_name = "FILE")]
    files: Vec<List>,
    /// Set values: `key1=val1,key2=val2`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Set values that are text.
    #[arg(long, value_name = "KEY=TEXT")]
    set_string: Vec<String>,
    /// Set values to the content of files: `key1=path1,key2=path2`.
    #[arg(long, value_name = "KEY=FILE")]
    set_file: Vec<String>,
    /// Set values that are JSON: `key1=json1` or `{"key1": json1}`.
    #[arg(long, value_name = "KEY=JSON")]
    set_json: Vec<String>,
    /// Set a value to the text behind the equals sign, whatever it is.
    #[arg(long, value_name = "KEY=TEXT")]
    set_literal: Vec<String>,
}

impl ValueOptions {
    /// All values merged, in Helm's order: files, JSON, typed, text, files' content, literal.
    pub fn read(&self) -> anyhow::Result<Table> {
        let mut values = Table::new();
        for file in self.files.iter().flat_map(|files| &files.0) {
            let text = read_file(file).map_err(|error| anyhow!(error))?;
            let table = read_values(&text).map_err(|problem| anyhow!("failed to parse {file}: {problem}"))?;
            merge(&mut values, table);
        }
        for line in &self.set_json {
            let trimmed = line.trim();
            if trimmed.starts_with('{') {
                match strvals::parse_json(trimmed) {
                    Some(Value::Object(table)) => merge(&mut values, table),
                    _ => bail!("failed parsing --set-json data JSON: {line}"),
                }
            } else {
                let set = strvals::set_json(line, &mut values);
                set.map_err(|_| anyhow!("failed parsing --set-json data {line}"))?;
            }
        }
        for line in &self.set {
            strvals::set(line, &mut values).context("failed parsing --set data")?;
        }
        for line in &self.set_string {
            strvals::set_string(line, &mut values).context("failed parsing --set-string data")?;
        }
        for line in &self.set_file {
            let read = |path: &str| read_file(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            strvals::set_file(line, &mut values, read).context("failed parsing --set-file data")?;
        }
        for line in &self.set_literal {
            strvals::set_literal(line, &mut values).context("failed parsing --set-literal data")?;
        }
        Ok(values)
    }
}
