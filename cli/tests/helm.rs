//! `fluxide helm` against what the real Helm printed, failed with and ended in, for every case beside `shared/helm`.

#[path = "../../shared/helm/tests/command_line/mod.rs"]
mod command_line;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use command_line::words;

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/helm/tests").canonicalize().unwrap()
}

fn fluxide(arguments: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fluxide"));
    command.arg("helm").args(arguments).current_dir(tests()).env_remove("HELM_NAMESPACE");
    command.output().unwrap()
}

#[test]
fn commands_print_fail_and_end_as_with_helm() {
    let mut failures = Vec::new();
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(tests().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() > 300, "{}", paths.len());
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let (command, rest) = text.split_once('\n').unwrap();
        let (exit, rest) = rest.split_once('\n').unwrap();
        let output = fluxide(&words(command.strip_prefix("$ helm ").unwrap()));
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr =
            String::from_utf8(output.stderr).unwrap().replace(&tests().display().to_string(), "TESTS");
        let wanted_stdout = section(rest, "stdout");
        let wanted_error = section(rest, "ours").or_else(|| section(rest, "stderr")).unwrap_or_default();
        let code = output.status.code().unwrap();
        let error = stderr.find("Error: ").map_or("", |at| &stderr[at..]);
        let same_error = sorted(error) == sorted(wanted_error);
        if exit != format!("exit {code}") || stdout != wanted_stdout.unwrap_or_default() || !same_error {
            failures.push(format!(
                "{}: exit {code}\n{stdout}{stderr}\n--- helm: {exit}\n{rest}",
                path.file_stem().unwrap().to_string_lossy()
            ));
        }
    }
    assert!(failures.is_empty(), "{} cases differ:\n{}", failures.len(), failures.join("\n\n"));
}

/// The text of a section of a case.
fn section<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let header = format!("--- {name}\n");
    let start = text.find(&header)? + header.len();
    let text = &text[start..];
    let end = ["--- stderr\n", "--- ours\n"].iter().filter_map(|next| text.find(next)).min();
    Some(&text[..end.unwrap_or(text.len())])
}

/// Helm tells what is wrong with values in no order.
fn sorted(error: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = error.trim_end().lines().collect();
    if lines.first().is_some_and(|line| line.contains("values don't meet the specifications")) {
        lines.sort_unstable();
    }
    lines
}

fn run(line: &str) -> (i32, String, String) {
    let output = fluxide(&words(line));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn files_are_written_below_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let (code, stdout, stderr) = run(&format!("template r charts/about --output-dir {path}"));
    assert_eq!(code, 0, "{stdout}{stderr}");
    for file in ["about", "values", "files"] {
        let written = format!("{path}/about/templates/{file}.yaml");
        assert!(stdout.contains(&format!("wrote {written}\n")), "{stdout}");
        assert!(stdout.ends_with("\n\n"), "{stdout}");
        let text = std::fs::read_to_string(written).unwrap();
        assert!(text.starts_with(&format!("---\n# Source: about/templates/{file}.yaml\n")), "{text}");
    }
    let both = run(&format!("template r charts/about --output-dir {path} -s templates/about.yaml"));
    assert_eq!(both.0, 1);
    assert!(both.2.ends_with("Error: could not find template templates/about.yaml in chart\n"), "{}", both.2);
    let (_, stdout, _) = run(&format!("template r charts/about --output-dir {path} --release-name"));
    assert!(stdout.contains(&format!("wrote {path}/r/about/templates/about.yaml\n")), "{stdout}");
}

#[test]
fn what_needs_a_network_a_cluster_or_a_plugin_is_refused_with_a_remedy() {
    for (flags, expected) in [
        ("--repo https://example.com", "give its directory or archive"),
        ("--dependency-update", "run `helm dependency update`"),
        ("--post-renderer x", "pipe the output"),
        ("--verify", "helm verify"),
        ("--validate", "without a cluster"),
        ("--dry-run=server", "without a cluster"),
        ("--dry-run=maybe", "invalid dry-run value (\"maybe\"). Must be \"none\", \"server\", or \"client\""),
        ("-f https://example.com/values.yaml", "download it first"),
    ] {
        let (code, stdout, stderr) = run(&format!("template r charts/about {flags}"));
        assert_eq!((code, stdout.as_str()), (1, ""), "{flags}: {stderr}");
        assert!(stderr.starts_with("Error: ") && stderr.contains(expected), "{flags}: {stderr}");
    }
    let (code, _, stderr) =
        run("template r charts/about --debug --wait --timeout 5m --labels a=b --create-namespace");
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn names_are_generated() {
    let (code, stdout, _) =
        run("template charts/about --name-template {{\"A\"|lower}}-b -s templates/about.yaml");
    assert_eq!(code, 0);
    assert!(stdout.contains("\"Name\":\"a-b\""), "{stdout}");
    // Helm has a name for what is only rendered, and makes none.
    let (_, stdout, _) = run("template charts/about --generate-name -s templates/about.yaml");
    assert!(stdout.contains("\"Name\":\"release-name\""), "{stdout}");
}

#[test]
fn packages_hold_what_is_in_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display();
    let (code, stdout, stderr) =
        run(&format!("package charts/about charts/umbrella -d {path} --app-version 7"));
    assert_eq!(code, 0, "{stderr}");
    let archive = format!("{path}/about-0.1.2+build.5.tgz");
    assert!(
        stdout.contains(&format!("Successfully packaged chart and saved it to: {archive}\n")),
        "{stdout}"
    );
    let (_, from_archive, stderr) = run(&format!("template r {archive} -s templates/values.yaml"));
    let (_, from_directory, _) = run("template r charts/about -s templates/values.yaml");
    assert_eq!(from_archive, from_directory, "{stderr}");
    let (_, shown, _) = run(&format!("show chart {archive}"));
    assert!(shown.contains("appVersion: \"7\"\n"), "{shown}");
}

#[test]
fn switches_take_the_values_of_go() {
    let plain = run("template r charts/kinds");
    assert_eq!(run("template r charts/kinds --include-crds=false --no-hooks=F --skip-tests=0"), plain);
    assert_eq!(
        run("template r charts/kinds --include-crds --include-crds=T --hide-notes"),
        run("template r charts/kinds --include-crds")
    );
    let (code, _, stderr) = run("template r charts/kinds --no-hooks=maybe");
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "Error: invalid argument \"maybe\" for \"--no-hooks\" flag: strconv.ParseBool: parsing \"maybe\": invalid \
         syntax\n"
    );
    let (_, _, stderr) = run("template r charts/kinds --validate=false --dry-run=client");
    assert!(stderr.contains("[dry-run validate] were all set"), "{stderr}");
}

/// Lines that the real Helm refused, with what it said.
#[test]
fn flags_are_refused_in_the_words_of_helm() {
    for (line, expected) in [
        ("template r charts/about -f", "flag needs an argument: 'f' in -f"),
        ("template r charts/about --set", "flag needs an argument: --set"),
        ("template r charts/about -x", "unknown shorthand flag: 'x' in -x"),
        ("template -h --nope", "unknown flag: --nope"),
        ("template r charts/about --=x", "bad flag syntax: --=x"),
        (
            "template r charts/about --kube-version -1.30",
            "invalid kube version '-1.30': could not parse \"-1.30\" as version",
        ),
        (
            "template r charts/about -a a\"b",
            "invalid argument \"a\\\"b\" for \"-a, --api-versions\" flag: parse error on line 1, column 2: bare \" in \
             non-quoted-field",
        ),
        (
            "template r charts/about -g=x",
            "invalid argument \"x\" for \"-g, --generate-name\" flag: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
        (
            "template r charts/about --timeout x",
            "invalid argument \"x\" for \"--timeout\" flag: time: invalid duration \"x\"",
        ),
        (
            "template r charts/about --labels a",
            "invalid argument \"a\" for \"-l, --labels\" flag: a must be formatted as key=value",
        ),
        (
            "template r charts/about --wait=x",
            "invalid argument \"x\" for \"--wait\" flag: invalid wait input \"x\". Valid inputs are watcher, hookOnly, and \
             legacy",
        ),
        (
            "template r charts/about --dry-run=none",
            "invalid dry-run value (\"none\"). Must be \"server\" or \"client\"",
        ),
        ("template r charts/about -f charts", "read charts: is a directory"),
        ("template r charts/about -f :", "parse \":\": missing protocol scheme"),
        (
            "template r charts/about --set-file a=%zz",
            "failed parsing --set-file data: parse \"%zz\": invalid URL escape \"%zz\"",
        ),
        (
            "template r nope -f missing",
            "non-absolute URLs should be in form of repo_name/path_to_chart, got: nope",
        ),
        ("template r nope/chart", "repo nope not found"),
        (
            "show values",
            "\"helm show values\" requires 1 argument\n\nUsage:  helm show values [CHART] [flags]",
        ),
        ("package", "need at least one argument, the path to the chart"),
        ("package nope", "stat nope: no such file or directory"),
        ("package charts/about --version x", "invalid semantic version"),
        (
            "package charts/about -d charts/about/Chart.yaml",
            "failed to save: is not a directory: charts/about/Chart.yaml",
        ),
        ("package charts/about --sign", "--key is required for signing a package"),
    ] {
        let (code, stdout, stderr) = run(line);
        assert_eq!((code, stdout.as_str()), (1, ""), "{line}: {stderr}");
        assert_eq!(stderr, format!("Error: {expected}\n"), "{line}");
    }
}

#[test]
fn flags_are_read_as_go_reads_them() {
    let plain = run("template r charts/values --set a=1");
    for line in [
        "template --set a=1 r charts/values",
        "template r --set=a=1 charts/values",
        "template r charts/values --set a=1 -f ''",
        "template --set a=1 -- r charts/values",
        "template r charts/values --set a=1 --devel --version 9 --atomic --force --wait=legacy",
    ] {
        let line = line.replace("''", "");
        let (code, stdout, stderr) = run(line.trim_end());
        if line.ends_with("-f ") {
            assert_eq!(stderr, "Error: flag needs an argument: 'f' in -f\n");
            continue;
        }
        assert_eq!((code, stdout), (plain.0, plain.1.clone()), "{line}: {stderr}");
    }
}

/// What the real `helm lint` printed for every small chart.
#[test]
fn charts_are_linted_as_with_helm() {
    let recorded = include_str!("recorded/helm-lint.txt");
    let mut failures = Vec::new();
    let mut cases = 0;
    for case in format!("\n{recorded}").split("\n$ helm ").skip(1) {
        cases += 1;
        let (line, rest) = case.split_once('\n').unwrap();
        let (exit, rest) = rest.split_once('\n').unwrap();
        let (code, stdout, stderr) = run(line);
        let stdout = stdout.replace(&tests().display().to_string(), "TESTS");
        let error = stderr.find("Error: ").map_or("", |at| &stderr[at..]);
        let wanted = section(rest, "stdout").unwrap_or_default();
        let wanted_error = section(rest, "stderr").unwrap_or_default();
        // Helm names what is wrong with values in no order.
        let same = sorted(stdout.trim_end()) == sorted(wanted.trim_end());
        if exit != format!("exit {code}") || !same || error.trim_end() != wanted_error.trim_end() {
            failures.push(format!("{line}: exit {code}\n{stdout}{error}\n--- helm: {exit}\n{rest}"));
        }
    }
    assert!(cases > 60, "{cases}");
    assert!(failures.is_empty(), "{} of {cases} differ:\n{}", failures.len(), failures.join("\n\n"));
}

/// With `--debug` Helm shows the text that it could not read, and gives no hint.
#[test]
fn unreadable_text_is_shown_when_asked_for() {
    let (code, stdout, stderr) = run("template r charts/failing --set case=yaml");
    assert_eq!((code, stdout.as_str()), (1, ""));
    if stderr.contains("YAML parse error") {
        let (code, shown, error) = run("template r charts/failing --set case=yaml --debug");
        assert_eq!(code, 1);
        assert!(shown.starts_with("---\n# Source: failing/templates/"), "{shown}");
        assert!(stderr.starts_with(error.trim_end()) && !error.contains("Use --debug"), "{error}");
    }
}
