//! No template, however wrong, makes the engine panic.

use fluxide_gotemplate::{Limits, Map, MissingKey, Session, Templates, Value, helm};
use proptest::prelude::*;

fn render(text: &[u8]) -> Option<Vec<u8>> {
    let mut templates = Templates::new("gotpl", helm::functions(), MissingKey::Zero);
    templates.parse("t", text).ok()?;
    let values = Map::new();
    for (key, value) in
        [("s", Value::from("héllo")), ("f", Value::from(8080.0)), ("b", Value::from(true)), ("n", Value::Nil)]
    {
        values.insert(key, value);
    }
    values.insert("l", Value::from(vec![Value::from("c"), Value::from(1.5), Value::Nil]));
    values.insert("m", Value::Map([("a".into(), Value::from(1.0))].into_iter().collect()));
    let data = Map::new();
    data.insert("Values", helm::values(&values));
    let limits = Limits { steps: 20_000, output: 1 << 20, memory: 8 << 20, depth: 500 };
    templates.execute("t", &Value::Map(data), &mut Session::new(limits).with_seed(1)).ok()
}

/// Pieces that templates are made of, right and wrong ones.
const PIECES: [&str; 42] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    "{{ ",
    " }}",
    "(",
    ")",
    "|",
    " | ",
    " ",
    "\n",
    ":=",
    "=",
    ",",
    "$",
    "$x",
    "$y",
    ".",
    ".Values",
    ".Values.s",
    ".Values.f",
    ".Values.l",
    ".Values.m",
    ".Values.n.x",
    "if ",
    "else",
    "end",
    "range ",
    "with ",
    "define \"d\"",
    "template \"d\" .",
    "include \"d\" .",
    "\"a%v\"",
    "`r`",
    "'c'",
    "1",
    "-2.5",
    "nil",
    "true",
    "/* c */",
    "break",
];

proptest! {
    #[test]
    fn any_bytes_parse_or_fail(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        render(&text);
    }

    #[test]
    fn any_pieces_render_or_fail(pieces in proptest::collection::vec(proptest::sample::select(PIECES.to_vec()), 0..40)) {
        render(pieces.concat().as_bytes());
    }

    /// Every function, with arguments of every kind.
    #[test]
    fn any_call_returns_or_fails(
        function in proptest::sample::select(function_names()),
        arguments in proptest::collection::vec(
            proptest::sample::select(vec![
                ".Values.s", ".Values.f", ".Values.b", ".Values.n", ".Values.l", ".Values.m", "\"\"", "\"a-b c\"", "\"2006-01-02\"", "\"[a-z]+\"", "0", "3", "-1",
                "1.5", "nil", "true", "(list)", "(list \"x\" 1)", "(dict)", "(dict \"k\" \"v\")", "(int64 7)", "(now)", "(semver \"1.2.3\")", "(until 3)",
                "(splitList \",\" \"a,b\")", "9223372036854775807",
            ]),
            0..5,
        ),
    ) {
        render(format!("{{{{ {function} {} }}}}", arguments.join(" ")).as_bytes());
    }

    #[test]
    fn text_without_actions_is_itself(text in "[^{]{0,200}") {
        prop_assert_eq!(render(text.as_bytes()), Some(text.into_bytes()));
    }

    #[test]
    fn quoted_strings_come_back(text in "\\PC{0,60}") {
        let quoted = render(format!("{{{{ quote {} }}}}", serde_json::to_string(&text).expect("a string is JSON")).as_bytes());
        if let Some(quoted) = quoted {
            let again = render(format!("{{{{ print {} }}}}", String::from_utf8_lossy(&quoted)).as_bytes());
            prop_assert_eq!(again, Some(text.into_bytes()));
        }
    }
}

/// All functions but those that take seconds.
fn function_names() -> Vec<String> {
    let functions = helm::functions();
    let mut names: Vec<String> = functions
        .names()
        .filter(|name| !name.starts_with("gen") && !matches!(*name, "bcrypt" | "htpasswd" | "derivePassword"))
        .map(str::to_owned)
        .collect();
    names.extend(
        [
            "index", "slice", "len", "eq", "lt", "printf", "print", "html", "js", "urlquery", "and", "or",
            "not", "call",
        ]
        .map(str::to_owned),
    );
    names.sort();
    names
}
