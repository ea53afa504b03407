//! Regular expressions of schemas, with Go's words for what is wrong with one.

use regex::Regex;

/// The compiled size that one pattern may have, so that a hostile schema cannot take the memory.
const LARGEST: usize = 1 << 20;

/// Compiles a pattern.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(LARGEST).build().map_err(|e| {
        let why = e.to_string();
        let (words, shown) = match why.as_str() {
            why if why.contains("unclosed group") => ("missing closing )", pattern.to_owned()),
            why if why.contains("unopened group") => ("unexpected )", pattern.to_owned()),
            why if why.contains("unclosed character class") => {
                let from = pattern.rfind('[').unwrap_or(0);
                ("missing closing ]", pattern[from..].to_owned())
            }
            why if why.contains("repetition operator missing expression") => {
                let at = pattern.find(['*', '+', '?']).unwrap_or(0);
                ("missing argument to repetition operator", pattern[at..=at].to_owned())
            }
            why if why.contains("unrecognized escape sequence") => {
                let at = pattern.find('\\').unwrap_or(0);
                ("invalid escape sequence", pattern[at..].chars().take(2).collect())
            }
            why if why.contains("look-around") => {
                let at = pattern.find("(?").unwrap_or(0);
                ("invalid or unsupported Perl syntax", pattern[at..].chars().take(3).collect())
            }
            why if why.contains("incomplete escape sequence") => {
                return "error parsing regexp: trailing backslash at end of expression: ``".to_owned();
            }
            why if why.contains("size limit") => ("expression too large", pattern.to_owned()),
            _ => ("invalid expression", pattern.to_owned()),
        };
        format!("error parsing regexp: {words}: `{shown}`")
    })
}

#[cfg(test)]
mod tests {
    use super::compile;

    #[test]
    fn words() {
        let why = |pattern: &str| compile(pattern).unwrap_err();
        assert_eq!(why("("), "error parsing regexp: missing closing ): `(`");
        assert_eq!(why("a)"), "error parsing regexp: unexpected ): `a)`");
        assert_eq!(why("*a"), "error parsing regexp: missing argument to repetition operator: `*`");
        assert_eq!(why("x[a"), "error parsing regexp: missing closing ]: `[a`");
        assert_eq!(why("(?=a)"), "error parsing regexp: invalid or unsupported Perl syntax: `(?=`");
        assert!(compile("^x+$").is_ok());
    }
}
