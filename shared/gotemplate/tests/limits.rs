//! Hostile templates end in an error, and soon.

use std::time::{Duration, Instant};

use fluxide_gotemplate::{Error, Limits, Map, MissingKey, Session, Templates, Value, helm};

fn render(text: &str) -> Result<Vec<u8>, Error> {
    let mut templates = Templates::new("gotpl", helm::functions(), MissingKey::Zero);
    templates.parse("t", text)?;
    let limits = Limits { steps: 200_000, output: 4 << 20, memory: 64 << 20, depth: 5_000 };
    let data = Map::new();
    data.insert("Values", helm::values(&Map::new()));
    templates.execute("t", &Value::Map(data), &mut Session::new(limits))
}

#[test]
fn bombs_end_in_an_error() {
    let bombs = [
        (r#"{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}"#, "nested reference name: a"),
        (
            r#"{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}"#,
            "exceeded maximum template depth (5000)",
        ),
        (
            r#"{{ define "a" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}"#,
            "nested reference name: a",
        ),
        ("{{ range until 1000000000 }}x{{ end }}", "allocate more than"),
        ("{{ range 1000000000 }}x{{ end }}", "takes more than 200000 steps"),
        ("{{ range $i := 100000000000 }}{{ end }}", "takes more than 200000 steps"),
        (r#"{{ repeat 1000000000 "x" }}"#, "allocate more than"),
        (r#"{{ indent 1000000000 "x" }}"#, "allocate more than"),
        (r#"{{ $s := "x" }}{{ range until 100 }}{{ $s = cat $s $s }}{{ end }}"#, "allocate more than"),
        (r#"{{ $s := "x" }}{{ range until 100 }}{{ $s = print $s $s }}{{ end }}"#, "allocate more than"),
        (
            r#"{{ $s := "x" }}{{ range until 100 }}{{ $s = replace "x" "xx" $s }}{{ end }}"#,
            "allocate more than",
        ),
        (r#"{{ $l := list 1 }}{{ range until 100 }}{{ $l = concat $l $l }}{{ end }}"#, "allocate more than"),
        (
            r#"{{ $d := dict "a" 1 }}{{ range until 60 }}{{ $d = dict "a" $d "b" $d }}{{ end }}{{ $c := deepCopy $d }}"#,
            "too large to be copied",
        ),
        (r#"{{ regexMatch "((((a{30}){30}){30}){30})" "x" }}{{ fail "end" }}"#, "end"),
        (r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ toYaml $d }}{{ fail "end" }}"#, "contains itself"),
        (r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ mustToJson $d }}"#, "contains itself"),
        (r#"{{ $d := dict }}{{ $_ := set $d "self" $d }}{{ $e := deepCopy $d }}"#, "contains itself"),
    ];
    for (text, expected) in bombs {
        let start = Instant::now();
        let error = render(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}\n{error}");
        assert!(start.elapsed() < Duration::from_secs(60), "{text} took {:?}", start.elapsed());
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let deep = |open: &str, close: &str, count: usize| {
        format!("{{{{ {}1{} }}}}", open.repeat(count), close.repeat(count))
    };
    assert_eq!(render(&deep("(", ")", 9_000)).expect("parentheses nest"), b"1");
    let error = render(&deep("(", ")", 10_001)).expect_err("too deep").to_string();
    assert_eq!(error, "template: t:1: max expression depth exceeded");
    let ifs = format!("{}x{}", "{{if true}}".repeat(9_000), "{{end}}".repeat(9_000));
    assert_eq!(render(&ifs).expect("control structures nest"), b"x");
    let error = render(&"{{if true}}".repeat(1_000_000)).expect_err("too deep").to_string();
    assert_eq!(error, "template: t:1: max nesting depth of control structures exceeded");
    // A list of a list of a list is freed without a call for each.
    assert_eq!(
        render("{{ $l := list }}{{ range until 30000 }}{{ $l = list $l }}{{ end }}ok").expect("lists nest"),
        b"ok"
    );
}

#[test]
fn limits_can_be_told_from_errors() {
    assert!(render("{{ range 1000000000 }}x{{ end }}").expect_err("a bomb").is_limit());
    assert!(!render("{{ .Values.a.b }}").expect_err("a mistake").is_limit());
}
