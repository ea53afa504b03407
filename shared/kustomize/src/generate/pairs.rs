//! Keys and values of generators.

use super::GeneratorError;
use crate::error::Error;
use crate::kustomization::GeneratorArgs;
use crate::loader::Loader;
use std::collections::BTreeMap;

/// Everything an entry lists: env files first, then literals, then files.
pub(super) fn load(args: &GeneratorArgs, loader: &Loader<'_>) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let listed = |sources: &Option<Vec<String>>| {
        format!("[{}]", sources.iter().flatten().cloned().collect::<Vec<_>>().join(" "))
    };
    let context = |text: String| move |err: Error| err.context(text).context("loading KV pairs");
    let mut pairs = env_files(args.envs.as_deref().unwrap_or_default(), loader)
        .map_err(context(format!("env source files: {}", listed(&args.envs))))?;
    for literal in args.literals.iter().flatten() {
        let pair = parse_literal(literal).map_err(Error::from);
        pairs.push(pair.map_err(context(format!("literal sources {}", listed(&args.literals))))?);
    }
    for source in args.files.iter().flatten() {
        let pair = parse_file_source(source)
            .map_err(Error::from)
            .and_then(|(key, path)| Ok((key.to_owned(), loader.load(path)?)));
        pairs.push(pair.map_err(context(format!("file sources: {}", listed(&args.files))))?);
    }
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            return Err(GeneratorError::RepeatedKey { name: args.name.clone(), key }.into());
        }
        map.insert(key, value);
    }
    Ok(map)
}

type Pair = (String, Vec<u8>);

fn env_files(paths: &[String], loader: &Loader<'_>) -> Result<Vec<Pair>, Error> {
    let mut pairs = Vec::new();
    for path in paths {
        let content = loader.load(path)?;
        for (at, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = std::str::from_utf8(line)
                .map_err(|_| GeneratorError::EnvEncoding { path: path.clone(), line: at + 1 })?;
            let text = if at == 0 { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
            let text = text.trim_start();
            let (key, value) = text.split_once('=').unwrap_or((text, ""));
            if !key.is_empty() && !text.starts_with('#') {
                pairs.push((key.to_owned(), value.as_bytes().to_vec()));
            }
        }
    }
    Ok(pairs)
}

fn parse_literal(source: &str) -> Result<Pair, GeneratorError> {
    match source.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.to_owned(), without_quotes(value).as_bytes().to_vec()))
        }
        _ => Err(GeneratorError::Literal(source.to_owned())),
    }
}

/// Removes one pair of quotes around a text.
fn without_quotes(text: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

fn parse_file_source(source: &str) -> Result<(&str, &str), GeneratorError> {
    match source.split_once('=') {
        None => {
            let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            Ok((if name.is_empty() { "." } else { name }, source))
        }
        Some((_, path)) if path.contains('=') => Err(GeneratorError::TooManyEquals(source.to_owned())),
        Some(("", path)) => {
            Err(GeneratorError::NoFileKey { path: path.to_owned(), source_text: source.to_owned() })
        }
        Some((key, "")) => {
            Err(GeneratorError::NoFilePath { key: key.to_owned(), source_text: source.to_owned() })
        }
        Some((key, path)) => Ok((key, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_literals() {
        let value = |text| parse_literal(text).map(|(_, value)| String::from_utf8(value).unwrap());
        assert_eq!(value("a=\"b\"").unwrap(), "b");
        assert_eq!(value("a='b\"").unwrap(), "'b\"");
        assert_eq!(value("a=\"").unwrap(), "\"");
        assert_eq!(value("a=b=c").unwrap(), "b=c");
        assert!(value("=b").is_err() && value("a").is_err());
    }

    #[test]
    fn reads_file_sources() {
        assert_eq!(parse_file_source("a/b.txt").unwrap(), ("b.txt", "a/b.txt"));
        assert_eq!(parse_file_source("k=a/b").unwrap(), ("k", "a/b"));
        for source in ["=p", "k=", "a=b=c"] {
            assert!(parse_file_source(source).is_err());
        }
    }
}
