//! Renders a template file with values from a YAML file: `cargo run --example render -- TEMPLATE [VALUES]`.

use std::process::ExitCode;

use fluxide_gotemplate::{Limits, Map, MissingKey, Session, Templates, Value, helm};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(path), values) = (arguments.first(), arguments.get(1)) else {
        eprintln!("usage: render TEMPLATE [VALUES]");
        return ExitCode::FAILURE;
    };
    match render(path, values.map(String::as_str)) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn render(path: &str, values: Option<&str>) -> Result<String, String> {
    let read = |path: &str| std::fs::read(path).map_err(|error| format!("{path}: {error}"));
    let mut templates = Templates::new("gotpl", helm::functions(), MissingKey::Zero);
    templates.parse(path, read(path)?).map_err(|error| helm::parse_error_text(path, &error))?;
    let values = match values {
        Some(values) => {
            fluxide_goyaml::sigs::unmarshal_map(&read(values)?).map_err(|error| error.to_string())?
        }
        None => Default::default(),
    };
    let values: Map = values.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    let data = Map::new();
    data.insert("Values", helm::values(&values));
    let mut out = templates
        .execute(path, &Value::Map(data), &mut Session::new(Limits::default()))
        .map_err(|error| helm::execution_error_text(path, &error).to_string())?;
    helm::strip_no_value(&mut out);
    Ok(String::from_utf8_lossy(&out).into_owned())
}
