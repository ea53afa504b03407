//! Calls functions with odd arguments: every two bytes choose a function of Helm's map, an argument, or a pipe.
//!
//! Run with `cargo +nightly fuzz run functions` in the crate's directory.

#![no_main]

use std::fmt::Write;
use std::sync::LazyLock;

use fluxide_gotemplate::{Functions, Limits, Map, MissingKey, Session, Templates, Value, helm};
use libfuzzer_sys::fuzz_target;

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(helm::functions);

/// All but those that make keys and hashes, which take long by design.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    const SLOW: [&str; 8] =
        ["gen", "derivePassword", "bcrypt", "htpasswd", "buildCustomCert", "encryptAES", "decryptAES", "sleep"];
    let mut names: Vec<String> = FUNCTIONS.names().map(str::to_owned).collect();
    names.retain(|name| !SLOW.iter().any(|slow| name.starts_with(slow)));
    names.extend(["printf", "print", "println", "index", "slice", "len", "eq", "lt", "html", "js", "urlquery", "call"].map(str::to_owned));
    names.sort();
    names
});

const ARGUMENTS: &[&str] = &[
    ".s", ".f", ".l", ".m", ".n", "nil", "true", "0", "1", "-1", "3", "64", "100", "9223372036854775807",
    "-9223372036854775808", "1.5", "1e300", "\"\"", "\"a\"", "\"a,b,c\"", "\"%v %d %q %#v %[2]*.[1]*f\"", "\"%09.3f|%+x|% X\"",
    "\"(a|b)*c{2,3}\"", "\"[[:alpha:]\\\\pL]+\"", "\"2006-01-02T15:04:05.000Z07:00\"", "\"Mon Jan _2 15:04:05 MST 2006\"",
    "\"2024-02-29T23:59:60Z\"", "\"1h2m3.5s\"", "\"-9223372036854775.808ms\"", "\">=1.2.3-0 <2 || ^3\"", "\"1.2.3-rc.1+b\"",
    "\"a: {b: [1, 2, &x 3, *x]}\"", "\"a = [1, 2.5, \\\"x\\\"]\\n[t.u]\\nv = 1979-05-27\"", "\"[1,{\\\"a\\\":null}]\"", "\"é😀\\xff\\x00\"",
    "\"https://u:p@h:1/p?q=1#f\"", "(list 1 \"a\" nil)", "(dict \"a\" 1 \"b\" (dict \"c\" .l))", "(until 5)", "now", ".m.k", "$", ".",
    "\"Europe/Berlin\"", "\"+0530\"", "'x'", "1i", "0x1p-2", "`raw`",
];

fuzz_target!(|bytes: &[u8]| {
    let mut text = String::from("{{ ");
    let (mut open, mut after_function) = (0, false);
    for pair in bytes.chunks_exact(2).take(40) {
        let at = usize::from(pair[1]) | usize::from(pair[0] & 3) << 8;
        let name = &NAMES[at % NAMES.len()];
        let _ = match pair[0] >> 2 {
            0..16 => write!(text, "{} ", ARGUMENTS[at % ARGUMENTS.len()]),
            16..28 if open < 6 && after_function => {
                open += 1;
                write!(text, "({name} ")
            }
            28..34 if open > 0 => {
                open -= 1;
                write!(text, ") ")
            }
            34..44 => write!(text, "| {name} "),
            44..52 => write!(text, "}}}}{{{{ {name} "),
            _ if !after_function => write!(text, "{name} "),
            _ => write!(text, "{} ", ARGUMENTS[at % ARGUMENTS.len()]),
        };
        after_function = true;
    }
    text.extend(std::iter::repeat_n(") ", open));
    text.push_str("}}");
    let mut templates = Templates::new("fuzz", FUNCTIONS.clone(), MissingKey::Zero);
    if templates.parse("text", text.as_str()).is_err() {
        return;
    }
    let data = Map::new();
    data.insert("s", Value::from("some Text-with_words 12"));
    data.insert("f", Value::from(1.5));
    data.insert("n", Value::Nil);
    data.insert("l", Value::from(vec![Value::from("b"), Value::from(2.0), Value::Nil, Value::from("a")]));
    data.insert("m", Value::Map([("k".into(), Value::from(true))].into_iter().collect()));
    let limits = Limits { steps: 100_000, output: 1 << 20, memory: 16 << 20, depth: 2000 };
    let mut session = Session::new(limits).with_seed(1);
    if let Err(error) = templates.execute("text", &Value::Map(data), &mut session) {
        let _ = helm::execution_error_text("text", &error);
    }
});
