//! Small charts of our own against what the real Helm did with them.
//!
//! `cases/*.txt` hold a command line of Helm 4.2.4, its exit code, what it printed and its error. Where we differ on
//! purpose, a section `ours` has our words. Cases about flags that only a command line has are left to the tests of the
//! command.

mod command_line;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fluxide_helm::manifest::split_manifests;
use fluxide_helm::values::{Table, merge, read_values};
use fluxide_helm::{
    Capabilities, Chart, DiskDirectory, KubeVersion, ReleaseOptions, RenderOptions, TemplateOutput, pattern,
    render, strvals,
};

use command_line::words;

#[test]
fn charts_render_and_fail_as_with_helm() {
    let directory = root().join("cases");
    let mut failures = Vec::new();
    let (mut run, mut left_out) = (0, 0);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = Case::parse(&std::fs::read_to_string(&path).unwrap());
        let Some(command) = Command::parse(&case.arguments) else {
            left_out += 1;
            continue;
        };
        run += 1;
        let (stdout, error) = match command.run() {
            Ok(text) => (text, String::new()),
            Err(error) => (String::new(), error.replace(&root().display().to_string(), "TESTS")),
        };
        // Helm tells what is wrong with values in no order.
        let same_error = if case.error().starts_with("values don't meet the specifications") {
            sorted(&error) == sorted(case.error())
        } else {
            error.trim_end() == case.error()
        };
        if stdout != case.stdout || !same_error {
            failures.push(format!(
                "{name}\n  ours: {stdout}{}\n  helm: {}{}",
                error.trim_end(),
                case.stdout,
                case.error()
            ));
        }
    }
    assert!(failures.is_empty(), "{} of {run} cases differ:\n{}", failures.len(), failures.join("\n"));
    assert!(run > 280 && left_out < 30, "{run} cases run, {left_out} left out");
}

fn sorted(error: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = error.trim_end().lines().collect();
    lines.sort_unstable();
    lines
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// A command line and what came of it.
#[derive(Default)]
struct Case {
    arguments: Vec<String>,
    stdout: String,
    stderr: String,
    ours: String,
}

impl Case {
    fn parse(text: &str) -> Case {
        let (command, rest) = text.split_once('\n').unwrap();
        let (_exit, mut rest) = rest.split_once('\n').unwrap();
        let mut case = Case { arguments: words(command.strip_prefix("$ helm ").unwrap()), ..Case::default() };
        while let Some((section, after)) = rest.strip_prefix("--- ").and_then(|rest| rest.split_once('\n')) {
            let ends = ["--- stderr\n", "--- ours\n"];
            let end = ends.iter().filter_map(|end| after.find(end)).min().unwrap_or(after.len());
            let text = after[..end].to_owned();
            match section {
                "stdout" => case.stdout = text,
                "stderr" => case.stderr = text,
                "ours" => case.ours = text,
                other => panic!("{other}"),
            }
            rest = &after[end..];
        }
        case
    }

    /// The error that is expected of us, without what the command adds.
    fn error(&self) -> &str {
        let text = if self.ours.is_empty() { &self.stderr } else { &self.ours };
        let text = text.strip_prefix("Error: ").unwrap_or(text).trim_end();
        text.strip_suffix("Use --debug flag to render out invalid YAML").unwrap_or(text).trim_end()
    }
}

/// The flags of `helm template` that concern rendering.
#[derive(Default)]
struct Command {
    positional: Vec<String>,
    namespace: Option<String>,
    kube_version: Option<String>,
    api_versions: Vec<String>,
    output: TemplateOutput,
    show_only: Vec<String>,
    is_upgrade: bool,
    skip_schema_validation: bool,
    values: Vec<(String, String)>,
}

impl Command {
    fn parse(arguments: &[String]) -> Option<Command> {
        let mut command = Command::default();
        let mut arguments = arguments.iter();
        if arguments.next()? != "template" {
            return None;
        }
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--include-crds" => command.output.include_crds = true,
                "--no-hooks" => command.output.no_hooks = true,
                "--skip-tests" => command.output.skip_tests = true,
                "--is-upgrade" => command.is_upgrade = true,
                "--skip-schema-validation" => command.skip_schema_validation = true,
                "--skip-crds" | "--validate=false" => {}
                "-n" | "--namespace" => command.namespace = Some(arguments.next()?.clone()),
                "--kube-version" => command.kube_version = Some(arguments.next()?.clone()),
                "-a" | "--api-versions" => {
                    command.api_versions.extend(arguments.next()?.split(',').map(str::to_owned));
                }
                "-s" | "--show-only" => command.show_only.push(arguments.next()?.clone()),
                "-f" | "--set" | "--set-string" | "--set-json" | "--set-file" | "--set-literal" => {
                    command.values.push((argument.clone(), arguments.next()?.clone()));
                }
                flag if flag.starts_with('-') => return None,
                _ => command.positional.push(argument.clone()),
            }
        }
        (command.positional.len() == 2).then_some(command)
    }

    fn run(&self) -> Result<String, String> {
        let mut capabilities = Capabilities::default();
        if let Some(version) = &self.kube_version {
            let parsed = KubeVersion::parse(version);
            capabilities.kube_version =
                parsed.map_err(|error| format!("invalid kube version '{version}': {error}"))?;
        }
        capabilities.api_versions.extend(self.api_versions.iter().cloned());
        let values = self.values()?;
        let path = root().join(&self.positional[1]);
        let chart = if path.is_dir() {
            Chart::from_directory(&DiskDirectory::new(path)).map_err(|error| error.to_string())
        } else {
            let archive =
                std::fs::read(path).map_err(|_| format!("path {:?} not found", self.positional[1]))?;
            if self.positional[1].ends_with(".yaml") {
                let file = &self.positional[1];
                return Err(format!(
                    "file 'TESTS/{file}' seems to be a YAML file, but expected a gzipped archive"
                ));
            }
            Chart::from_archive(&archive).map_err(|error| error.to_string())
        }?;
        let missing = chart.missing_dependencies();
        if !chart.metadata.is_library() && !missing.is_empty() {
            return Err(format!(
                "an error occurred while checking for chart dependencies. You may need to run 'helm dependency build' \
                 to fetch missing dependencies: found in Chart.yaml, but missing in charts/ directory: {}",
                missing.join(", ")
            ));
        }
        let release = ReleaseOptions {
            name: self.positional[0].clone(),
            namespace: self.namespace.clone().unwrap_or_else(|| "default".to_owned()),
            revision: 1,
            is_upgrade: self.is_upgrade,
        };
        let mut options = RenderOptions::new(release, &capabilities, "2026-01-01T00:00:00Z".parse().unwrap());
        options.skip_schema_validation = self.skip_schema_validation;
        let rendered = render(&Arc::new(chart), &values, options).map_err(|error| error.to_string())?;
        let text = rendered.template_output(&self.output);
        if self.show_only.is_empty() { Ok(text) } else { self.select(&text) }
    }

    fn values(&self) -> Result<Table, String> {
        let mut values = Table::new();
        for (flag, text) in &self.values {
            let failed = |error: strvals::SetError| {
                if flag == "--set-json" {
                    return format!("failed parsing --set-json data {text}");
                }
                format!("failed parsing {flag} data: {error}")
            };
            let read = |path: &str| {
                std::fs::read_to_string(root().join(path))
                    .map_err(|_| format!("open {path}: no such file or directory"))
            };
            match flag.as_str() {
                "--set" => strvals::set(text, &mut values).map_err(failed)?,
                "--set-string" => strvals::set_string(text, &mut values).map_err(failed)?,
                "--set-json" => strvals::set_json(text, &mut values).map_err(failed)?,
                "--set-file" => strvals::set_file(text, &mut values, read).map_err(failed)?,
                "--set-literal" => strvals::set_literal(text, &mut values).map_err(failed)?,
                _ => {
                    let table = read_values(read(text)?.as_bytes())
                        .map_err(|error| format!("failed to parse {text}: {error}"))?;
                    merge(&mut values, table);
                }
            }
        }
        Ok(values)
    }

    /// What `--show-only` leaves.
    fn select(&self, text: &str) -> Result<String, String> {
        let mut out = String::new();
        for wanted in &self.show_only {
            let before = out.len();
            for document in split_manifests(text) {
                let source = document.lines().find_map(|line| line.strip_prefix("# Source: "));
                let path = source.and_then(|source| source.split_once('/')).map_or("", |(_, path)| path);
                if pattern::matches(wanted, path).unwrap_or(false) {
                    out.push_str(&format!("---\n{document}\n"));
                }
            }
            if out.len() == before {
                return Err(format!("could not find template {wanted} in chart"));
            }
        }
        Ok(out)
    }
}
