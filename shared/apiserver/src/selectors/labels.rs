//! Label selectors in both forms: the query string (`a=b,c in (d,e),!f`) and the `LabelSelector` object.

use serde_json::Value;

/// Requirements that all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LabelSelector {
    requirements: Vec<Requirement>,
    never: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

impl LabelSelector {
    /// Parses the query form. The error is the server's text without its prefix.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text), at: 0 };
        let mut requirements = parser.requirements()?;
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        for r in &requirements {
            validate(r).map_err(|e| format!("unable to parse requirement: {e}"))?;
        }
        Ok(LabelSelector { requirements, never: false })
    }

    /// Reads a `LabelSelector` object (`matchLabels`, `matchExpressions`). Absent selects nothing, empty everything.
    pub fn from_object(v: Option<&Value>) -> Self {
        let Some(v) = v.filter(|v| !v.is_null()) else {
            return LabelSelector { requirements: Vec::new(), never: true };
        };
        let mut requirements = Vec::new();
        for (k, v) in v.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement {
                key: k.clone(),
                operator: Operator::In,
                values: vec![v.as_str().unwrap_or_default().to_owned()],
            });
        }
        for e in v.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let operator = match e.get("operator").and_then(Value::as_str) {
                Some("In") => Operator::In,
                Some("NotIn") => Operator::NotIn,
                Some("Exists") => Operator::Exists,
                Some("DoesNotExist") => Operator::DoesNotExist,
                _ => return LabelSelector { requirements: Vec::new(), never: true },
            };
            let values = e.get("values").and_then(Value::as_array).into_iter().flatten();
            requirements.push(Requirement {
                key: e.get("key").and_then(Value::as_str).unwrap_or_default().to_owned(),
                operator,
                values: values.filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            });
        }
        LabelSelector { requirements, never: false }
    }

    /// A plain map of labels, as Services and ReplicationControllers select.
    pub fn from_map(v: Option<&Value>) -> Self {
        match v {
            Some(Value::Object(m)) if !m.is_empty() => {
                let wrapped = serde_json::json!({"matchLabels": m});
                Self::from_object(Some(&wrapped))
            }
            _ => LabelSelector { requirements: Vec::new(), never: true },
        }
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.never
    }

    /// Whether the labels of an object satisfy the selector.
    pub fn matches(&self, object: &Value) -> bool {
        self.matches_labels(object.get("metadata").and_then(|m| m.get("labels")))
    }

    pub fn matches_labels(&self, labels: Option<&Value>) -> bool {
        !self.never
            && self.requirements.iter().all(|r| {
                let have = labels.and_then(|l| l.get(&r.key)).and_then(Value::as_str);
                match r.operator {
                    Operator::In => have.is_some_and(|h| r.values.iter().any(|v| v == h)),
                    Operator::NotIn => have.is_none_or(|h| r.values.iter().all(|v| v != h)),
                    Operator::Exists => have.is_some(),
                    Operator::DoesNotExist => have.is_none(),
                    Operator::GreaterThan | Operator::LessThan => {
                        let have = have.and_then(|h| h.parse::<i64>().ok());
                        let want = r.values.first().and_then(|v| v.parse::<i64>().ok());
                        have.zip(want).is_some_and(|(h, w)| {
                            if r.operator == Operator::LessThan { h < w } else { h > w }
                        })
                    }
                }
            })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Identifier(String),
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        i += 1;
        match c {
            ' ' | '\t' | '\r' | '\n' => {}
            '(' => out.push(Token::Open),
            ')' => out.push(Token::Close),
            ',' => out.push(Token::Comma),
            '>' => out.push(Token::Greater),
            '<' => out.push(Token::Less),
            '!' if chars.get(i) == Some(&'=') => {
                i += 1;
                out.push(Token::NotEquals);
            }
            '!' => out.push(Token::Not),
            '=' if chars.get(i) == Some(&'=') => {
                i += 1;
                out.push(Token::DoubleEquals);
            }
            '=' => out.push(Token::Equals),
            _ => {
                let start = i - 1;
                while i < chars.len() && !" \t\r\n(),><!=".contains(chars[i]) {
                    i += 1;
                }
                out.push(Token::Identifier(chars[start..i].iter().collect()));
            }
        }
    }
    out.push(Token::End);
    out
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        let t = self.peek().clone();
        self.at += 1;
        t
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut out = Vec::new();
        loop {
            match self.peek() {
                Token::Identifier(_) | Token::Not => {
                    out.push(self.requirement().map_err(|e| format!("unable to parse requirement: {e}"))?);
                    match self.next() {
                        Token::End => return Ok(out),
                        Token::Comma => {
                            if !matches!(self.peek(), Token::Identifier(_) | Token::Not) {
                                return Err(format!(
                                    "found '{}', expected: identifier after ','",
                                    shown(self.peek())
                                ));
                            }
                        }
                        t => return Err(format!("found '{}', expected: ',' or 'end of string'", shown(&t))),
                    }
                }
                Token::End => return Ok(out),
                t => {
                    return Err(format!("found '{}', expected: !, identifier, or 'end of string'", shown(t)));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let not = *self.peek() == Token::Not;
        if not {
            self.at += 1;
        }
        let key = match self.next() {
            Token::Identifier(k) => k,
            t => return Err(format!("found '{}', expected: identifier", shown(&t))),
        };
        if not {
            return Ok(Requirement { key, operator: Operator::DoesNotExist, values: Vec::new() });
        }
        if matches!(self.peek(), Token::End | Token::Comma) {
            return Ok(Requirement { key, operator: Operator::Exists, values: Vec::new() });
        }
        let operator = match self.next() {
            Token::Equals | Token::DoubleEquals => Operator::In,
            Token::NotEquals => Operator::NotIn,
            Token::Greater => Operator::GreaterThan,
            Token::Less => Operator::LessThan,
            Token::Identifier(w) if w == "in" => return self.set(key, Operator::In),
            Token::Identifier(w) if w == "notin" => return self.set(key, Operator::NotIn),
            t => {
                return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", shown(&t)));
            }
        };
        let value = match self.peek() {
            Token::End | Token::Comma => String::new(),
            _ => match self.next() {
                Token::Identifier(v) => v,
                t => return Err(format!("found '{}', expected: identifier", shown(&t))),
            },
        };
        Ok(Requirement { key, operator, values: vec![value] })
    }

    fn set(&mut self, key: String, operator: Operator) -> Result<Requirement, String> {
        match self.next() {
            Token::Open => {}
            t => return Err(format!("found '{}' expected: '('", shown(&t))),
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Identifier(v) => {
                    values.push(v);
                    match self.next() {
                        Token::Comma => {
                            if *self.peek() == Token::Close {
                                self.at += 1;
                                values.push(String::new());
                                break;
                            }
                        }
                        Token::Close => break,
                        t => return Err(format!("found '{}', expected: ',' or ')'", shown(&t))),
                    }
                }
                Token::Comma => values.push(String::new()),
                Token::Close => {
                    values.push(String::new());
                    break;
                }
                t => return Err(format!("found '{}', expected: ',', ')' or identifier", shown(&t))),
            }
        }
        values.sort();
        values.dedup();
        Ok(Requirement { key, operator, values })
    }
}

fn shown(t: &Token) -> String {
    match t {
        Token::Identifier(s) => s.clone(),
        Token::Open => "(".into(),
        Token::Close => ")".into(),
        Token::Comma => ",".into(),
        Token::Not => "!".into(),
        Token::Equals => "=".into(),
        Token::DoubleEquals => "==".into(),
        Token::NotEquals => "!=".into(),
        Token::Greater => ">".into(),
        Token::Less => "<".into(),
        Token::End => String::new(),
    }
}

fn validate(r: &Requirement) -> Result<(), String> {
    if let Some(problem) = crate::validation::names::qualified_name(&r.key).first() {
        return Err(format!("<nil>: Invalid value: {}: {problem}", fluxide_gotext::quote_str(&r.key)));
    }
    for (i, v) in r.values.iter().enumerate() {
        if let Some(problem) = validate_label_value(v) {
            return Err(format!(
                "values[{i}][{}]: Invalid value: {}: {problem}",
                r.key,
                fluxide_gotext::quote_str(v)
            ));
        }
    }
    if matches!(r.operator, Operator::GreaterThan | Operator::LessThan) && r.values[0].parse::<i64>().is_err()
    {
        return Err(format!(
            "values[0]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
            fluxide_gotext::quote_str(&r.values[0])
        ));
    }
    Ok(())
}

/// A `LabelSelector` object in the text form of the list parameter.
pub(crate) fn selector_text(selector: &Value) -> String {
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut requirements: Vec<(String, String)> = selector["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = text(expression, "key");
        let mut values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let requirement = match text(expression, "operator").as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        };
        requirements.push((key, requirement));
    }
    requirements.sort_by(|(one, _), (other, _)| one.cmp(other));
    let requirements: Vec<String> = requirements.into_iter().map(|(_, requirement)| requirement).collect();
    requirements.join(",")
}

/// What is wrong with a label value, if anything.
pub(crate) fn validate_label_value(v: &str) -> Option<String> {
    if v.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    let ends_well = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = v.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if inner && ends_well(v.chars().next()) && ends_well(v.chars().last()) {
        return None;
    }
    Some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation \
         is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned(),
    )
}
