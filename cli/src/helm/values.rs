//! The values that a command line gives: `-f` and the `--set` family.

use std::io::Read;

use anyhow::{Context, anyhow, bail};
use fluxide_goyaml::{Value, sigs};
use fluxide_helm::strvals;
use fluxide_helm::values::{Table, merge, read_values};

/// Values for a chart.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ValueOptions {
    /// Values from a YAML file, `-` for standard input; later files win.
    #[arg(short = 'f', long = "values", value_name = "FILE", value_delimiter = ',')]
    files: Vec<String>,
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
        for file in &self.files {
            let text = read_file(file)?;
            let table = read_values(&text).map_err(|problem| anyhow!("failed to parse {file}: {problem}"))?;
            merge(&mut values, table);
        }
        for line in &self.set_json {
            let trimmed = line.trim();
            if trimmed.starts_with('{') {
                let json = serde_json::from_str::<serde_json::Value>(trimmed).map(Value::from);
                match json.map(sigs::go_floats) {
                    Ok(Ok(Value::Object(table))) => merge(&mut values, table),
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
            let read = |path: &str| match read_file(path) {
                Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => Err(error.to_string()),
            };
            strvals::set_file(line, &mut values, read).context("failed parsing --set-file data")?;
        }
        for line in &self.set_literal {
            strvals::set_literal(line, &mut values).context("failed parsing --set-literal data")?;
        }
        Ok(values)
    }
}

fn read_file(path: &str) -> anyhow::Result<Vec<u8>> {
    if path.trim() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        bail!("{path}: values are read from files alone; download it first");
    }
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow!("open {path}: no such file or directory"),
        _ => anyhow!("open {path}: {error}"),
    })
}
