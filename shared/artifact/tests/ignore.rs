//! Ignore rules against the decisions of the library Flux uses.

use std::fs;

use fluxide_artifact::ignore::{IGNORE_FILE, IgnoreRules};
use serde_json::Value;

#[test]
fn same_decisions() {
    let corpus = include_str!("corpus/ignore.jsonl");
    let mut failures = Vec::new();
    let mut cases = 0;
    for (number, line) in corpus.lines().enumerate() {
        cases += 1;
        let case: Value = serde_json::from_str(line).unwrap();
        let input = &case["in"];
        let spec_ignore = input["ignore"].as_str();
        let bucket = input["op"] == "bucket";
        let tree = tempfile::tempdir().unwrap();
        let mut root_file = None;
        for (path, content) in input["files"].as_object().into_iter().flatten() {
            let content = content.as_str().unwrap();
            if path == IGNORE_FILE {
                root_file = Some(content);
            }
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let rules = if bucket {
            IgnoreRules::for_bucket(root_file, spec_ignore)
        } else {
            IgnoreRules::for_tree(tree.path(), spec_ignore).unwrap()
        };
        let expected = case["out"].as_array().unwrap();
        for (path, expected) in input["paths"].as_array().unwrap().iter().zip(expected) {
            let path = path.as_str().unwrap();
            let (name, is_directory) = match path.strip_suffix('/') {
                Some(name) => (name, true),
                None => (path, false),
            };
            // Not a matter of the rules: the controller skips these two.
            let skipped = bucket && (is_directory || name == IGNORE_FILE);
            let actual = skipped || rules.is_ignored(name, is_directory);
            if actual != *expected {
                failures.push(format!("line {}: {path}: {actual}, not {expected}\n  {input}", number + 1));
            }
        }
    }
    assert!(cases > 100, "the corpus is there");
    assert!(failures.is_empty(), "{} failures, the first:\n{}", failures.len(), failures[0]);
}
