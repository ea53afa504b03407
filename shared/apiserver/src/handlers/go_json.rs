//! The words in which Go's JSON scanner refuses a text.

/// Why `bytes` is no JSON value; `None` when it is one.
pub(crate) fn syntax_error(bytes: &[u8]) -> Option<String> {
    let mut scanner = Scanner { bytes, position: 0 };
    scanner.document().err()
}

/// Why `bytes` does not decode into a map; `None` when it does.
pub(crate) fn map_error(bytes: &[u8]) -> Option<String> {
    if let Some(error) = syntax_error(bytes) {
        return Some(error);
    }
    let found = match bytes.iter().find(|b| !b.is_ascii_whitespace())? {
        b'{' | b'n' => return None,
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "bool",
        _ => "number",
    };
    Some(format!("json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"))
}

struct Scanner<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// What may still come inside a container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Object,
    Array,
}

impl Scanner<'_> {
    /// Reads one value and nothing after it. Nesting is kept on a list, so that depth costs no stack.
    fn document(&mut self) -> Result<(), String> {
        let mut open: Vec<Open> = Vec::new();
        loop {
            // A value is due.
            let byte = self.significant()?;
            match byte {
                b'{' => {
                    self.position += 1;
                    if self.significant()? == b'}' {
                        self.position += 1;
                    } else {
                        open.push(Open::Object);
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.position += 1;
                    if self.significant()? == b']' {
                        self.position += 1;
                    } else {
                        open.push(Open::Array);
                        continue;
                    }
                }
                b'"' => self.string()?,
                b'-' | b'0'..=b'9' => self.number()?,
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => return Err(self.invalid("looking for beginning of value")),
            }
            // A value is complete; containers may be, too.
            loop {
                let Some(innermost) = open.last().copied() else {
                    return match self.significant() {
                        Err(_) => Ok(()),
                        Ok(_) => Err(self.invalid("after top-level value")),
                    };
                };
                match (innermost, self.significant()?) {
                    (Open::Object, b',') => {
                        self.position += 1;
                        self.significant()?;
                        self.key()?;
                        break;
                    }
                    (Open::Array, b',') => {
                        self.position += 1;
                        break;
                    }
                    (Open::Object, b'}') | (Open::Array, b']') => {
                        self.position += 1;
                        open.pop();
                    }
                    (Open::Object, _) => return Err(self.invalid("after object key:value pair")),
                    (Open::Array, _) => return Err(self.invalid("after array element")),
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), String> {
        if self.significant()? != b'"' {
            return Err(self.invalid("looking for beginning of object key string"));
        }
        self.string()?;
        if self.significant()? != b':' {
            return Err(self.invalid("after object key"));
        }
        self.position += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), String> {
        self.position += 1;
        loop {
            match self.peek()? {
                b'"' => {
                    self.position += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.position += 1;
                    match self.peek()? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.position += 1,
                        b'u' => {
                            self.position += 1;
                            for _ in 0..4 {
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return Err(self.invalid("in \\u hexadecimal character escape"));
                                }
                                self.position += 1;
                            }
                        }
                        _ => return Err(self.invalid("in string escape code")),
                    }
                }
                0..0x20 => return Err(self.invalid("in string literal")),
                _ => self.position += 1,
            }
        }
    }

    fn number(&mut self) -> Result<(), String> {
        if self.peek()? == b'-' {
            self.position += 1;
            if !self.peek()?.is_ascii_digit() {
                return Err(self.invalid("in numeric literal"));
            }
        }
        if self.peek()? == b'0' {
            self.position += 1;
        } else {
            self.digits();
        }
        if self.at(b'.') {
            self.position += 1;
            if !self.peek()?.is_ascii_digit() {
                return Err(self.invalid("after decimal point in numeric literal"));
            }
            self.digits();
        }
        if self.at(b'e') || self.at(b'E') {
            self.position += 1;
            if self.at(b'+') || self.at(b'-') {
                self.position += 1;
            }
            if !self.peek()?.is_ascii_digit() {
                return Err(self.invalid("in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.bytes.get(self.position).is_some_and(u8::is_ascii_digit) {
            self.position += 1;
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), String> {
        for (index, expected) in word.iter().enumerate() {
            if index > 0 && self.peek()? != *expected {
                let word = String::from_utf8_lossy(word);
                let expected = quoted(*expected);
                return Err(self.invalid(&format!("in literal {word} (expecting {expected})")));
            }
            self.position += 1;
        }
        Ok(())
    }

    fn at(&self, byte: u8) -> bool {
        self.bytes.get(self.position) == Some(&byte)
    }

    fn peek(&self) -> Result<u8, String> {
        self.bytes.get(self.position).copied().ok_or_else(|| "unexpected end of JSON input".to_owned())
    }

    fn significant(&mut self) -> Result<u8, String> {
        while self.bytes.get(self.position).is_some_and(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
        self.peek()
    }

    fn invalid(&self, place: &str) -> String {
        let byte = self.bytes.get(self.position).copied().unwrap_or_default();
        format!("invalid character {} {place}", quoted(byte))
    }
}

fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        7 => r"'\a'".to_owned(),
        8 => r"'\b'".to_owned(),
        9 => r"'\t'".to_owned(),
        10 => r"'\n'".to_owned(),
        11 => r"'\v'".to_owned(),
        12 => r"'\f'".to_owned(),
        13 => r"'\r'".to_owned(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        0x80..0xa0 | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::syntax_error;

    #[test]
    fn go_words() {
        let error = |text: &str| syntax_error(text.as_bytes()).unwrap_or_default();
        assert_eq!(error("{"), "unexpected end of JSON input");
        assert_eq!(error(""), "unexpected end of JSON input");
        assert_eq!(error("a: b"), "invalid character 'a' looking for beginning of value");
        assert_eq!(error("{\"a\" 1}"), "invalid character '1' after object key");
        assert_eq!(error("{\"a\":1 2}"), "invalid character '2' after object key:value pair");
        assert_eq!(error("[1 2]"), "invalid character '2' after array element");
        assert_eq!(error("{} x"), "invalid character 'x' after top-level value");
        assert_eq!(error("{a"), "invalid character 'a' looking for beginning of object key string");
        assert_eq!(error("tru]"), "invalid character ']' in literal true (expecting 'e')");
        assert_eq!(error("-x"), "invalid character 'x' in numeric literal");
        assert_eq!(error("\"\\x\""), "invalid character 'x' in string escape code");
        assert_eq!(error("[{\"a\": [1, -2.5e+3, \"\\u00e9\", null, true, {}]}, []]"), "");
        assert_eq!(error(&"[".repeat(100_000)), "unexpected end of JSON input");
    }
}
