//! How the values of a user and the defaults of a chart and its subcharts become one table.
//!
//! Tables are shared by reference here as they are in Helm: a global table that a subchart adds to is the same table for
//! its parent and its siblings from the second level on. Charts depend on it.

use fluxide_gotemplate::{Map, Value};
use thiserror::Error;

use crate::convert::{copy, go_display};
use crate::scope::Scope;

/// The key of the values that every chart sees.
const GLOBAL: &str = "global";

/// A value is not a table where a subchart needs one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("type mismatch on {name}: {shown}")]
pub struct TypeMismatch {
    /// The subchart.
    pub name: String,
    /// The value, as Helm prints it.
    pub shown: String,
}

/// Whether nulls are kept for a later round, or take away what they stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nulls {
    Keep,
    Remove,
}

/// The user's values over the defaults of the chart and its subcharts; nulls of the user remove defaults.
///
/// `values` is not changed. What is odd and no error is told to `warn`.
pub(crate) fn coalesce_values(
    scope: &Scope,
    values: &Map,
    warn: &mut dyn FnMut(String),
) -> Result<Map, TypeMismatch> {
    let target = copy(values);
    Coalesce { warn }.chart(scope, &target, "", Nulls::Remove)?;
    Ok(target)
}

/// The defaults of the chart and its subcharts, with their nulls.
pub(crate) fn merge_defaults(scope: &Scope, warn: &mut dyn FnMut(String)) -> Result<Map, TypeMismatch> {
    let target = Map::new();
    Coalesce { warn }.chart(scope, &target, "", Nulls::Keep)?;
    Ok(target)
}

/// Merges `from` into `into`, which wins. Nulls stay. Tables that `into` lacks are taken by reference.
pub(crate) fn merge_tables(into: &Map, from: &Map, warn: &mut dyn FnMut(String)) {
    Coalesce { warn }.tables(into, from, "", Nulls::Keep);
}

struct Coalesce<'w> {
    warn: &'w mut dyn FnMut(String),
}

impl Coalesce<'_> {
    fn chart(&mut self, scope: &Scope, target: &Map, prefix: &str, nulls: Nulls) -> Result<(), TypeMismatch> {
        self.defaults(scope, target, prefix, nulls);
        let below = concat(prefix, scope.name());
        for child in scope.children() {
            let name = child.name();
            let table = match target.get(name) {
                None => {
                    let table = Map::new();
                    target.insert(name, Value::Map(table.clone()));
                    table
                }
                Some(Value::Map(table)) => table,
                Some(other) => return Err(TypeMismatch { name: name.to_owned(), shown: as_boolean(&other) }),
            };
            self.globals(&table, target, &below);
            self.chart(child, &table, &below, nulls)?;
        }
        Ok(())
    }

    /// Takes the chart's own defaults for what the target does not have.
    fn defaults(&mut self, scope: &Scope, target: &Map, prefix: &str, nulls: Nulls) {
        let Some(defaults) = scope.copy_of_defaults() else { return };
        let prefix = concat(prefix, scope.name());
        for (key, default) in defaults.entries() {
            match (target.get(&key), default) {
                (Some(Value::Nil), _) if nulls == Nulls::Remove => {
                    target.remove(&key);
                }
                (Some(Value::Map(table)), Value::Map(default)) => {
                    // Nulls for a subchart are decided when it is its turn.
                    let is_child =
                        scope.children().iter().any(|child| child.name().as_bytes() == key.as_bytes());
                    let nulls = if is_child { Nulls::Keep } else { nulls };
                    if nulls == Nulls::Remove {
                        remove_nulls(&default);
                    }
                    let prefix = concat(&prefix, &key.to_str_lossy());
                    self.tables(&table, &default, &prefix, nulls);
                }
                (Some(Value::Map(_)), Value::Nil) => {}
                (Some(Value::Map(_)), _) => {
                    (self.warn)(format!(
                        "warning: skipped value for {prefix}.{}: Not a table.",
                        key.to_str_lossy()
                    ));
                }
                (Some(_), _) => {}
                (None, Value::Nil) if nulls == Nulls::Remove => {}
                (None, default) => {
                    if let (Value::Map(table), Nulls::Remove) = (&default, nulls) {
                        remove_nulls(table);
                    }
                    target.insert(key, default);
                }
            }
        }
    }

    /// Hands the globals of a chart down to a subchart; the chart's own win.
    fn globals(&mut self, child: &Map, parent: &Map, prefix: &str) {
        let child_globals = match child.get(GLOBAL) {
            None => Map::new(),
            Some(Value::Map(globals)) => globals,
            Some(_) => {
                return (self.warn)(format!(
                    "warning: skipping globals because destination {GLOBAL} is not a table."
                ));
            }
        };
        let parent_globals = match parent.get(GLOBAL) {
            None => Map::new(),
            Some(Value::Map(globals)) => globals,
            Some(_) => {
                return (self.warn)(format!(
                    "warning: skipping globals because source {GLOBAL} is not a table."
                ));
            }
        };
        for (key, value) in parent_globals.entries() {
            match (value, child_globals.get(&key)) {
                (Value::Map(table), None) => {
                    child_globals.insert(key, Value::Map(shallow_copy(&table)));
                }
                (Value::Map(table), Some(Value::Map(own))) => {
                    let table = shallow_copy(&table);
                    let prefix = concat(prefix, &key.to_str_lossy());
                    self.tables(&table, &own, &prefix, Nulls::Keep);
                    child_globals.insert(key, Value::Map(table));
                }
                (Value::Map(_), Some(_)) => {
                    let key = fluxide_gotext::quote_str(&key.to_str_lossy());
                    (self.warn)(format!("Conflict: cannot merge map onto non-map for {key}. Skipping."));
                }
                (_, Some(Value::Map(_))) => {
                    (self.warn)(format!("key {} is table. Skipping", key.to_str_lossy()));
                }
                (value, _) => {
                    child_globals.insert(key, value);
                }
            }
        }
        child.insert(GLOBAL, Value::Map(child_globals));
    }

    /// Merges `from` into `into`, which wins.
    fn tables(&mut self, into: &Map, from: &Map, prefix: &str, nulls: Nulls) {
        // A table merged into itself, which sharing makes possible, is done.
        if into.is_same(from) {
            return;
        }
        // The nulls of the winner are noted in the other table, as Helm does; that table may be seen elsewhere.
        let entries = from.entries();
        for (key, value) in into.entries() {
            if matches!(value, Value::Nil) {
                from.insert(key, Value::Nil);
            }
        }
        for (key, value) in entries {
            let full = || concat(prefix, &key.to_str_lossy());
            match (into.get(&key), value) {
                // The null of the user takes the default away; without a default it stays.
                (Some(Value::Nil), Value::Nil) => {}
                (Some(Value::Nil), _) => {
                    if nulls == Nulls::Remove {
                        into.remove(&key);
                    }
                }
                (None, value) => {
                    into.insert(key, value);
                }
                (Some(Value::Map(own)), Value::Map(other)) => self.tables(&own, &other, &full(), nulls),
                (Some(_), Value::Map(other)) => {
                    let shown = Value::Map(other);
                    (self.warn)(format!(
                        "warning: cannot overwrite table with non table for {} ({})",
                        full(),
                        go_display(&shown)
                    ));
                }
                (Some(Value::Map(_)), Value::Nil) => {}
                (Some(Value::Map(_)), other) => {
                    (self.warn)(format!(
                        "warning: destination for {} is a table. Ignoring non-table value ({})",
                        full(),
                        go_display(&other)
                    ));
                }
                (Some(_), _) => {}
            }
        }
    }
}

fn shallow_copy(map: &Map) -> Map {
    map.entries().into_iter().collect()
}

fn remove_nulls(map: &Map) {
    for (key, value) in map.entries() {
        match value {
            Value::Nil => {
                map.remove(&key);
            }
            Value::Map(table) => remove_nulls(&table),
            _ => {}
        }
    }
}

fn concat(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// A value as Go prints it where a boolean was announced (`%t`).
fn as_boolean(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Nil => "%!t(<nil>)".to_owned(),
        Value::List(list) => {
            let items: Vec<String> = list.to_vec().iter().map(element_as_boolean).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let members = map.entries().into_iter();
            let members = members
                .map(|(key, value)| format!("{}:{}", as_boolean(&key.into()), element_as_boolean(&value)));
            format!("map[{}]", members.collect::<Vec<_>>().join(" "))
        }
        other => format!("%!t({}={})", other.type_name(), go_display(other)),
    }
}

fn element_as_boolean(value: &Value) -> String {
    if matches!(value, Value::Nil) { "<nil>".to_owned() } else { as_boolean(value) }
}
