//! Which files stay out of an artifact: `.sourceignore` files and `spec.ignore`.
//!
//! The patterns look like those of `.gitignore` but match by the rules of the Go library Flux uses, and some differ
//! from git's: an excluded directory does not keep a file below it from being included again, a pattern that matches
//! a parent matches everything below, and `**` does not backtrack.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::confined;

/// The file that lists patterns, in any directory of the tree.
pub const IGNORE_FILE: &str = ".sourceignore";

/// The most bytes one ignore file may have.
const MAX_IGNORE_FILE: u64 = 1 << 20;

/// The deepest directory searched for ignore files.
const MAX_DEPTH: usize = 256;

/// The most patterns of all ignore files together.
const MAX_PATTERNS: usize = 10_000;

/// The longest pattern: no path is longer.
const MAX_PATTERN: usize = 4096;

/// How many steps all decisions of a set of rules may take: a minute at most. Honest rules need a thousandth of it.
const MAX_WORK: u64 = 10_000_000_000;

const VERSION_CONTROL: &[&str] = &[".git/", ".gitignore", ".gitmodules", ".gitattributes"];
const EXTENSIONS: &[&str] = &["*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"];
const CONTINUOUS_INTEGRATION: &[&str] = &[
    ".github/",
    ".circleci/",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
];
const EXTRA: &[&str] = &["**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"];

/// An ordered list of patterns; the last one that matches a path decides.
#[derive(Debug)]
pub struct IgnoreRules {
    patterns: Vec<Pattern>,
    /// Steps taken so far.
    work: AtomicU64,
    max_work: u64,
}

impl IgnoreRules {
    /// The rules for a tree on disk: its ignore files, then `spec_ignore`, scoped to the root.
    ///
    /// Without any pattern the defaults apply: version control, images and archives, CI files. With one, only those of
    /// version control do.
    pub fn for_tree(root: &Path, spec_ignore: Option<&str>) -> io::Result<Self> {
        let mut patterns = Vec::new();
        collect_ignore_files(root, Path::new(""), &mut Vec::new(), &mut patterns)?;
        add(&mut patterns, parse(spec_ignore.unwrap_or_default(), &[]))?;
        Ok(Self::with_defaults(patterns))
    }

    /// The rules for a bucket: the lines of the ignore file at its root, then `spec_ignore`, and no defaults.
    pub fn for_bucket(ignore_file: Option<&str>, spec_ignore: Option<&str>) -> Self {
        let mut patterns = parse(ignore_file.unwrap_or_default(), &[]);
        patterns.extend(parse(spec_ignore.unwrap_or_default(), &[]));
        Self::of(patterns)
    }

    /// The rules of a tree without any ignore file.
    pub fn defaults() -> Self {
        Self::with_defaults(Vec::new())
    }

    /// The same with another limit of the steps that all decisions together may take.
    pub fn with_max_work(self, max_work: u64) -> Self {
        IgnoreRules { max_work, ..self }
    }

    fn of(patterns: Vec<Pattern>) -> Self {
        IgnoreRules { patterns, work: AtomicU64::new(0), max_work: MAX_WORK }
    }

    fn with_defaults(patterns: Vec<Pattern>) -> Self {
        let mut lists = vec![VERSION_CONTROL];
        if patterns.is_empty() {
            lists.extend([EXTENSIONS, CONTINUOUS_INTEGRATION, EXTRA]);
        }
        let mut all: Vec<Pattern> =
            lists.into_iter().flatten().filter_map(|line| Pattern::parse(line, &[])).collect();
        all.extend(patterns);
        Self::of(all)
    }

    /// Whether a path, relative to the root and without a trailing slash, stays out.
    pub fn is_ignored(&self, path: &str, is_directory: bool) -> bool {
        if self.is_exhausted() {
            return false;
        }
        let components: Vec<&str> = path.split('/').collect();
        let mut work = 0;
        let left = self.max_work.saturating_sub(self.work.load(Ordering::Relaxed));
        let mut patterns = self.patterns.iter().rev();
        // What is found when there is nothing left does not matter.
        let found = patterns.find(|p| work > left || p.matches(&components, is_directory, &mut work));
        self.work.fetch_add(work + self.patterns.len() as u64, Ordering::Relaxed);
        found.is_some_and(|p| !p.includes)
    }

    /// Whether the rules were so much work that they are not asked any more: whoever wrote them means harm.
    pub fn is_exhausted(&self) -> bool {
        self.work.load(Ordering::Relaxed) >= self.max_work
    }
}

/// Ignore files of a directory, then those of its subdirectories in the order of their names.
fn collect_ignore_files(
    root: &Path,
    relative: &Path,
    scope: &mut Vec<String>,
    patterns: &mut Vec<Pattern>,
) -> io::Result<()> {
    match confined::open_file(root, &relative.join(IGNORE_FILE)) {
        Ok(file) => {
            let mut text = Vec::new();
            file.take(MAX_IGNORE_FILE + 1).read_to_end(&mut text)?;
            if text.len() as u64 > MAX_IGNORE_FILE {
                let path = relative.join(IGNORE_FILE);
                return Err(io::Error::other(format!(
                    "{} is larger than {MAX_IGNORE_FILE} bytes",
                    path.display()
                )));
            }
            add(patterns, parse(&String::from_utf8_lossy(&text), scope))?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if scope.len() >= MAX_DEPTH {
        return Err(io::Error::other(format!("directories are nested deeper than {MAX_DEPTH} levels")));
    }
    let mut directories = Vec::new();
    for entry in fs::read_dir(root.join(relative))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != ".git" {
            directories.push(entry.file_name());
        }
    }
    directories.sort();
    for name in directories {
        scope.push(name.to_string_lossy().into_owned());
        let result = collect_ignore_files(root, &relative.join(&name), scope, patterns);
        scope.pop();
        result?;
    }
    Ok(())
}

fn add(patterns: &mut Vec<Pattern>, more: Vec<Pattern>) -> io::Result<()> {
    patterns.extend(more);
    if patterns.len() > MAX_PATTERNS {
        return Err(io::Error::other(format!("there are more than {MAX_PATTERNS} patterns")));
    }
    Ok(())
}

fn parse(text: &str, scope: &[String]) -> Vec<Pattern> {
    text.split('\n')
        .filter(|line| line.len() <= MAX_PATTERN)
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .filter_map(|line| Pattern::parse(line, scope))
        // One more than allowed is enough to be told.
        .take(MAX_PATTERNS + 1)
        .collect()
}

/// One line of an ignore file.
#[derive(Clone, Debug)]
struct Pattern {
    /// The directory of the file it came from.
    scope: Vec<String>,
    segments: Vec<Segment>,
    /// It had a slash: it is matched from the scope on, not against each component.
    anchored: bool,
    directories_only: bool,
    includes: bool,
}

#[derive(Clone, Debug)]
enum Segment {
    Empty,
    AnyDepth,
    /// `**` glued to something, or a malformed glob: the pattern matches nothing from here on.
    Never,
    Glob(Glob),
}

impl Pattern {
    fn parse(line: &str, scope: &[String]) -> Option<Self> {
        let (includes, line) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let line = if line.ends_with("\\ ") { line } else { line.trim_end_matches(' ') };
        let (directories_only, line) = match line.strip_suffix('/') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let anchored = line.contains('/');
        let segments = line
            .split('/')
            .map(|segment| match segment {
                "" if anchored => Segment::Empty,
                "**" if anchored => Segment::AnyDepth,
                s if anchored && s.contains("**") => Segment::Never,
                s => Glob::parse(s).map_or(Segment::Never, Segment::Glob),
            })
            .collect();
        Some(Pattern { scope: scope.to_vec(), segments, anchored, directories_only, includes })
    }

    fn matches(&self, path: &[&str], is_directory: bool, work: &mut u64) -> bool {
        let depth = self.scope.len();
        if path.len() <= depth || self.scope.iter().zip(path).any(|(a, b)| a != b) {
            return false;
        }
        let path = &path[depth..];
        if self.anchored {
            self.matches_from_scope(path, is_directory, work)
        } else {
            self.matches_any_component(path, is_directory, work)
        }
    }

    fn matches_any_component(&self, path: &[&str], is_directory: bool, work: &mut u64) -> bool {
        let Some(Segment::Glob(glob)) = self.segments.first() else {
            return false;
        };
        match path.iter().position(|name| glob.matches(name, work)) {
            Some(hit) => !self.directories_only || is_directory || hit + 1 < path.len(),
            None => false,
        }
    }

    fn matches_from_scope(&self, path: &[&str], is_directory: bool, work: &mut u64) -> bool {
        let mut rest = path.iter();
        let mut matched = false;
        let mut any_depth = false;
        for (index, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Empty => any_depth = false,
                Segment::AnyDepth if index + 1 == self.segments.len() => break,
                Segment::AnyDepth => any_depth = true,
                Segment::Never => return false,
                Segment::Glob(glob) => {
                    if rest.len() == 0 {
                        return false;
                    }
                    if any_depth {
                        any_depth = false;
                        // The first component that matches is taken for good.
                        matched = rest.any(|name| glob.matches(name, work));
                    } else {
                        matched = rest.next().is_some_and(|name| glob.matches(name, work));
                        if !matched {
                            return false;
                        }
                    }
                }
            }
        }
        matched && !(self.directories_only && !is_directory && rest.len() == 0)
    }
}

/// A shell glob for one path component, with the syntax of Go's `filepath.Match`.
#[derive(Clone, Debug)]
struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Literal(char),
    AnyChar,
    AnyText,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// The glob, or nothing if it is malformed.
    fn parse(text: &str) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::AnyText,
                '?' => Token::AnyChar,
                '\\' => Token::Literal(chars.next()?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    loop {
                        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
                            break;
                        }
                        let low = class_char(&mut chars)?;
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => class_char(&mut chars)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Token::Class { negated, ranges }
                }
                c => Token::Literal(c),
            });
        }
        tokens.dedup_by(|a, b| *a == Token::AnyText && *b == Token::AnyText);
        Some(Glob { tokens })
    }

    fn matches(&self, name: &str, work: &mut u64) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut token, mut at) = (0, 0);
        // Where to go on when a match fails: after the last `*`, one character further.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            *work += 1;
            match self.tokens.get(token) {
                Some(Token::AnyText) => {
                    retry = Some((token + 1, at));
                    token += 1;
                    continue;
                }
                Some(t) if name.get(at).is_some_and(|c| t.matches(*c)) => {
                    token += 1;
                    at += 1;
                    continue;
                }
                None if at == name.len() => return true,
                _ => {}
            }
            match retry {
                Some((after, from)) if from < name.len() => {
                    retry = Some((after, from + 1));
                    (token, at) = (after, from + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Token::Literal(l) => *l == c,
            Token::AnyChar => true,
            Token::AnyText => false,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}
