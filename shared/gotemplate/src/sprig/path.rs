//! Slash-separated paths; those of the operating system are the same ones here.

use super::argument::{STRING, text};
use crate::function::{Function, Functions};
use crate::value::Value;

pub(super) fn register(functions: &mut Functions) {
    for (name, os_name, function) in [
        ("base", "osBase", (|path| base(path)) as fn(&[u8]) -> Vec<u8>),
        ("clean", "osClean", |path| clean(path)),
        ("dir", "osDir", |path| directory(path)),
        ("ext", "osExt", |path| extension(path)),
    ] {
        functions.insert(name, Function::new(&[STRING], move |_, a| Ok(Value::string(function(text(a, 0))))));
        functions.alias(os_name, name);
    }
    functions.insert("isAbs", Function::new(&[STRING], |_, a| Ok(Value::Bool(text(a, 0).starts_with(b"/")))));
    functions.alias("osIsAbs", "isAbs");
}

/// `path.Base`.
pub(crate) fn base(path: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return b".".to_vec();
    }
    let slashes = path.iter().rev().take_while(|byte| **byte == b'/').count();
    let path = &path[..path.len() - slashes];
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if name.is_empty() { b"/".to_vec() } else { name.to_vec() }
}

/// `path.Clean`.
fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if kept.last().is_some_and(|last| *last != b"..") {
                    kept.pop();
                } else if !rooted {
                    kept.push(part);
                }
            }
            part => kept.push(part),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/".as_slice(), &joined].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}

/// `path.Dir`.
fn directory(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    clean(&path[..end])
}

/// `path.Ext`.
fn extension(path: &[u8]) -> Vec<u8> {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.iter().rposition(|byte| *byte == b'.').map_or_else(Vec::new, |at| name[at..].to_vec())
}
