//! Command lines as Go's flag library reads them, rewritten so that clap reads them in the same way.

use std::io::Read;
use std::str::FromStr;

use clap::{Arg, Command};
use fluxide_gotext::{quote_char, quote_str};

/// Rewrites the arguments of a command: every flag as `--name=value` or `--name`, and what is no flag behind `--`.
///
/// The error is the one that Go's library has for the line. Flags may stand between, before and behind other arguments;
/// a flag that needs a value takes the next argument, whatever it looks like.
pub(super) fn rewrite(command: &Command, arguments: &[String]) -> Result<Vec<String>, String> {
    let mut line = Line { command, arguments: arguments.iter(), flags: Vec::new(), asks_for_help: false };
    let mut others = Vec::new();
    while let Some(argument) = line.arguments.next() {
        match argument.strip_prefix('-') {
            None | Some("") => others.push(argument.clone()),
            Some("-") => others.extend(line.arguments.by_ref().cloned()),
            Some(rest) => match rest.strip_prefix('-') {
                Some(long) => line.long(long)?,
                None => line.letters(rest)?,
            },
        }
    }
    if line.asks_for_help {
        return Ok(vec!["--help".to_owned()]);
    }
    let mut rewritten = line.flags;
    rewritten.push("--".to_owned());
    rewritten.extend(others);
    Ok(rewritten)
}

/// A command line that is being read.
struct Line<'l> {
    command: &'l Command,
    arguments: std::slice::Iter<'l, String>,
    flags: Vec<String>,
    asks_for_help: bool,
}

impl Line<'_> {
    /// Takes `--long` or `--long=value`.
    fn long(&mut self, long: &str) -> Result<(), String> {
        if long.starts_with(['-', '=']) {
            return Err(format!("bad flag syntax: --{long}"));
        }
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        if name == "help" {
            self.asks_for_help |= crate::parse_bool(value.unwrap_or("true")) != Ok(false);
            return Ok(());
        }
        let flag = find(self.command, |arg| has_long(arg, name));
        let flag = flag.ok_or_else(|| format!("unknown flag: --{name}"))?;
        let value = match value {
            Some(value) => Some(value.to_owned()),
            None if !needs_value(flag) => None,
            None => {
                let next = self.arguments.next().cloned();
                Some(next.ok_or_else(|| format!("flag needs an argument: --{name}"))?)
            }
        };
        self.flags.push(written(flag, value));
        Ok(())
    }

    /// Takes `-abc`: flags of one letter, of which the last may have a value.
    fn letters(&mut self, text: &str) -> Result<(), String> {
        let mut letters = text.char_indices();
        while let Some((at, letter)) = letters.next() {
            let behind = letters.as_str();
            let Some(flag) = find(self.command, |arg| arg.get_short() == Some(letter)) else {
                if letter == 'h' {
                    self.asks_for_help = true;
                    continue;
                }
                let letter = quote_char(letter);
                return Err(format!("unknown shorthand flag: {letter} in -{}", &text[at..]));
            };
            let value = match behind.strip_prefix('=') {
                Some(value) if !value.is_empty() => Some(value.to_owned()),
                _ if !needs_value(flag) => {
                    self.flags.push(written(flag, None));
                    continue;
                }
                _ if !behind.is_empty() => Some(behind.to_owned()),
                _ => self.arguments.next().cloned(),
            };
            let Some(value) = value else {
                let letter = quote_char(letter);
                return Err(format!("flag needs an argument: {letter} in -{}", &text[at..]));
            };
            self.flags.push(written(flag, Some(value)));
            break;
        }
        Ok(())
    }
}

/// How Go's library calls a flag in messages: `-a, --api-versions`.
pub(super) fn describe(command: &Command, long: &str) -> String {
    let short = find(command, |arg| has_long(arg, long)).and_then(Arg::get_short);
    short.map_or_else(|| format!("--{long}"), |short| format!("-{short}, --{long}"))
}

fn find(command: &Command, matches: impl Fn(&Arg) -> bool) -> Option<&Arg> {
    command.get_arguments().find(|arg| !arg.is_positional() && matches(arg))
}

fn has_long(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

fn needs_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && arg.get_num_args().is_none_or(|count| count.min_values() > 0)
}

fn written(flag: &Arg, value: Option<String>) -> String {
    let name = flag.get_long().unwrap_or_default();
    value.map_or_else(|| format!("--{name}"), |value| format!("--{name}={value}"))
}

/// The values of a flag that takes several, separated by commas: one line of CSV, as Go reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List(pub(super) Vec<String>);

impl FromStr for List {
    type Err = String;

    fn from_str(text: &str) -> Result<List, String> {
        if text.is_empty() {
            return Ok(List::default());
        }
        let mut record = Record { text, at: 0, line: 1, line_start: 0 };
        record.read().map(List)
    }
}

/// A reader of one record of CSV.
struct Record<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Record<'_> {
    fn read(&mut self) -> Result<Vec<String>, String> {
        // Empty lines are no records.
        while let Some(rest) = self.rest().strip_prefix('\n').or_else(|| self.rest().strip_prefix("\r\n")) {
            self.at = self.text.len() - rest.len();
            self.line += 1;
            self.line_start = self.at;
        }
        if self.rest().is_empty() {
            return Err("EOF".to_owned());
        }
        let mut fields = Vec::new();
        loop {
            let field = if self.rest().starts_with('"') { self.quoted()? } else { self.plain()? };
            fields.push(field);
            if !self.rest().starts_with(',') {
                return Ok(fields);
            }
            self.at += 1;
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn plain(&mut self) -> Result<String, String> {
        let rest = self.rest();
        let end = rest.find([',', '\n']).unwrap_or(rest.len());
        let field = rest[..end].strip_suffix('\r').filter(|_| !rest[end..].starts_with(','));
        let field = field.unwrap_or(&rest[..end]).to_owned();
        if let Some(quote) = field.find('"') {
            return Err(self.error(self.at + quote, "bare \" in non-quoted-field"));
        }
        self.at += end;
        Ok(field)
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut field = String::new();
        self.at += 1;
        loop {
            let Some(end) = self.rest().find('"') else {
                let text = self.rest();
                let last = text.rfind('\n').map_or(self.at, |at| self.at + at + 1);
                self.line += text.matches('\n').count();
                self.line_start = if last == self.at { self.line_start } else { last };
                return Err(self.error(self.text.len(), "extraneous or missing \" in quoted-field"));
            };
            let part = self.rest()[..end].to_owned();
            if let Some(line) = part.rfind('\n') {
                self.line += part.matches('\n').count();
                self.line_start = self.at + line + 1;
            }
            field.push_str(&part.replace("\r\n", "\n"));
            self.at += end + 1;
            match self.rest().bytes().next() {
                Some(b'"') => {
                    field.push('"');
                    self.at += 1;
                }
                None | Some(b',' | b'\n') => return Ok(field),
                Some(b'\r') if self.rest().starts_with("\r\n") => return Ok(field),
                Some(_) => return Err(self.error(self.at - 1, "extraneous or missing \" in quoted-field")),
            }
        }
    }

    fn error(&self, at: usize, problem: &str) -> String {
        let column = at - self.line_start + 1;
        format!("parse error on line {}, column {column}: {problem}", self.line)
    }
}

/// Labels: `key=value` pairs separated by commas.
#[derive(Clone, Debug)]
pub(super) struct Labels;

impl FromStr for Labels {
    type Err = String;

    fn from_str(text: &str) -> Result<Labels, String> {
        let pairs = match text.matches('=').count() {
            0 => return Err(format!("{text} must be formatted as key=value")),
            1 => vec![text.trim_matches('"').to_owned()],
            _ => text.parse::<List>()?.0,
        };
        match pairs.iter().find(|pair| !pair.contains('=')) {
            Some(pair) => Err(format!("{pair} must be formatted as key=value")),
            None => Ok(Labels),
        }
    }
}

/// A time limit, as Go writes durations.
#[derive(Clone, Debug)]
pub(super) struct Duration;

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Duration, String> {
        fluxide_gotemplate::go::parse_duration(text).map(|_| Duration)
    }
}

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) struct Wait;

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Wait, String> {
        match text {
            "watcher" | "hookOnly" | "legacy" | "true" | "false" => Ok(Wait),
            _ => Err(format!(
                "invalid wait input {}. Valid inputs are watcher, hookOnly, and legacy",
                quote_str(text)
            )),
        }
    }
}

/// A file, or standard input for `-`, as Helm's flags name them.
pub(super) fn read_file(path: &str) -> Result<Vec<u8>, String> {
    if path.trim() == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().read_to_end(&mut bytes);
        return read.map(|_| bytes).map_err(|error| error.to_string());
    }
    let scheme = fluxide_gotemplate::go::parse_url(path)?.scheme;
    if matches!(scheme.as_str(), "http" | "https" | "oci") {
        return Err(format!("{path}: values are read from files alone; download it first"));
    }
    std::fs::read(path).map_err(|error| {
        let action = if error.kind() == std::io::ErrorKind::IsADirectory { "read" } else { "open" };
        format!("{action} {path}: {}", os_words(&error))
    })
}

/// The words that Go has for an error of the operating system.
pub(super) fn os_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::IsADirectory => "is a directory".to_owned(),
        ErrorKind::NotADirectory => "not a directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::AlreadyExists => "file exists".to_owned(),
        ErrorKind::InvalidFilename => "file name too long".to_owned(),
        ErrorKind::InvalidInput => "invalid argument".to_owned(),
        ErrorKind::StorageFull => "no space left on device".to_owned(),
        ErrorKind::ReadOnlyFilesystem => "read-only file system".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, value_parser};

    use super::*;

    fn command() -> Command {
        Command::new("x")
            .arg(Arg::new("values").short('f').long("values").action(ArgAction::Append))
            .arg(Arg::new("on").short('g').long("on").num_args(0..=1).require_equals(true))
            .arg(Arg::new("count").long("count").alias("number").value_parser(value_parser!(u8)))
    }

    fn rewritten(line: &str) -> String {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        rewrite(&command(), &arguments).map_or_else(|error| error, |line| line.join(" "))
    }

    #[test]
    fn flags_are_read_as_in_go() {
        for (line, expected) in [
            ("a -f b c", "--values=b -- a c"),
            ("-fb -f=c -f -g --values -x", "--values=b --values=c --values=-g --values=-x --"),
            ("-gf x -g=false y", "--on --values=x --on=false -- y"),
            ("--on false --number 3", "--on --count=3 -- false"),
            ("a -- -f b -", "-- a -f b -"),
            ("- --help", "--help"),
            ("-h --nope", "unknown flag: --nope"),
            ("a -f", "flag needs an argument: 'f' in -f"),
            ("--count", "flag needs an argument: --count"),
            ("-gx", "unknown shorthand flag: 'x' in -x"),
            ("--=a", "bad flag syntax: --=a"),
            ("---a", "bad flag syntax: ---a"),
        ] {
            assert_eq!(rewritten(line), expected, "{line}");
        }
        assert_eq!(describe(&command(), "values"), "-f, --values");
        assert_eq!(describe(&command(), "count"), "--count");
    }

    #[test]
    fn lists_are_a_line_of_csv() {
        let list = |text: &str| text.parse::<List>().map(|list| list.0.join("|"));
        for (text, expected) in [
            ("", ""),
            ("a,b", "a|b"),
            ("a,", "a|"),
            ("\"a,b\",c", "a,b|c"),
            ("\"a\"\"b\"", "a\"b"),
            (" a, b", " a| b"),
            ("a\nb", "a"),
        ] {
            assert_eq!(list(text).as_deref(), Ok(expected), "{text:?}");
        }
        for (text, problem) in [
            ("a\"b", "parse error on line 1, column 2: bare \" in non-quoted-field"),
            ("\"a\"b", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
            ("\"a", "parse error on line 1, column 3: extraneous or missing \" in quoted-field"),
            ("\n", "EOF"),
        ] {
            assert_eq!(list(text).unwrap_err(), problem, "{text:?}");
        }
    }

    #[test]
    fn labels_are_pairs() {
        assert!("a=b".parse::<Labels>().is_ok() && "a=b,c=d".parse::<Labels>().is_ok());
        assert_eq!("a".parse::<Labels>().unwrap_err(), "a must be formatted as key=value");
        assert_eq!("a=b=c,d".parse::<Labels>().unwrap_err(), "d must be formatted as key=value");
    }
}
