//! `vars`: values of fields, put in place of `$(NAME)`.

use crate::allowance::Allowance;
use crate::error::Error;
use crate::fieldspec::{Create, FieldSpec, FieldSpecError};
use crate::id::{Gvk, ResourceId};
use crate::kustomization::Var;
use crate::node::{self, split_field_path};
use crate::resource::Resource;
use crate::resources::Resources;
use crate::transform::TransformError;
use fluxide_goyaml::node::{Kind, Node, Style, tag};
use fluxide_goyaml::number::format_float;
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a variable cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VarError {
    /// Two variables of one name.
    #[error("var '{0}' already encountered")]
    Repeated(String),
    /// An object reference that fits several resources.
    #[error("found {count} resId matches for var {var} (unable to disambiguate)")]
    Ambiguous {
        /// How many.
        count: usize,
        /// The variable.
        var: String,
    },
    /// An object reference that fits no resource.
    #[error("var '{0}' cannot be mapped to a field in the set of known resources")]
    NoObject(String),
    /// A field that does not exist.
    #[error("field specified in var '{0}' not found in corresponding resource")]
    NoField(String),
}

/// The variables of an accumulation, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vars(BTreeMap<String, Var>);

impl Vars {
    /// Marks the resources that variables are about, and adds the variables.
    pub(crate) fn register(&mut self, vars: &[Var], resources: &mut Resources) -> Result<(), VarError> {
        for var in vars {
            let target = target_id(var);
            let fits = |resource: &Resource| {
                !resource.is_deleted()
                    && resource.any_id(|id| {
                        id.name == target.name
                            && id.gvk == target.gvk
                            && (target.namespace.is_empty()
                                || id.effective_namespace() == target.effective_namespace())
                    })
            };
            let mut found: Vec<&mut Resource> = resources.iter_mut().filter(|r| fits(r)).collect();
            match found.as_mut_slice() {
                [] => {}
                [resource] => resource.memory.vars.push(var.name.clone()),
                several => {
                    return Err(VarError::Ambiguous { count: several.len(), var: describe(var) });
                }
            }
        }
        vars.iter().try_for_each(|var| self.add(var.clone()))
    }

    /// Adds the variables of a base.
    pub(crate) fn merge(&mut self, other: Vars) -> Result<(), VarError> {
        other.0.into_values().try_for_each(|var| self.add(var))
    }

    fn add(&mut self, mut var: Var) -> Result<(), VarError> {
        if self.0.contains_key(&var.name) {
            return Err(VarError::Repeated(var.name));
        }
        if var.fieldref.field_path.is_empty() {
            var.fieldref.field_path = "metadata.name".into();
        }
        self.0.insert(var.name.clone(), var);
        Ok(())
    }

    /// Puts the values in place wherever the field specs say.
    pub(crate) fn resolve(&self, resources: &mut Resources, fields: &[FieldSpec]) -> Result<(), Error> {
        let mut values = BTreeMap::new();
        for var in self.0.values() {
            values.insert(var.name.as_str(), find_value(var, resources)?);
        }
        if values.is_empty() {
            return Ok(());
        }
        let mut allowance = resources.allowance;
        for resource in resources.iter_mut() {
            for field in fields {
                field
                    .apply(resource, Create::Never, &mut |node| substitute(node, &values, &mut allowance))
                    .map_err(TransformError::from)?;
            }
        }
        resources.allowance = allowance;
        Ok(())
    }
}

/// A value as Go holds it.
#[derive(Clone, Debug, PartialEq)]
enum VarValue {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A mapping or list, which is never put in place.
    Other,
}

fn find_value(var: &Var, resources: &Resources) -> Result<VarValue, VarError> {
    let resource = resources
        .iter()
        .find(|resource| resource.memory.vars.contains(&var.name))
        .ok_or_else(|| VarError::NoObject(describe(var)))?;
    let path = field_path(&var.fieldref.field_path);
    let no_field = || VarError::NoField(describe(var));
    let node = node::lookup(&resource.node, &path).ok().flatten().ok_or_else(no_field)?;
    if node.kind != Kind::Scalar {
        return Ok(VarValue::Other);
    }
    let text = &node.value;
    match node.tag() {
        tag::INT => text.parse().map(VarValue::Int).map_err(|_| no_field()),
        tag::FLOAT => text.parse().map(VarValue::Float).map_err(|_| no_field()),
        tag::BOOL => match text.as_str() {
            "true" | "True" | "TRUE" => Ok(VarValue::Bool(true)),
            "false" | "False" | "FALSE" => Ok(VarValue::Bool(false)),
            _ => Err(no_field()),
        },
        _ => Ok(VarValue::Text(text.to_string())),
    }
}

/// `a.b[0].c` in steps.
fn field_path(path: &str) -> Vec<String> {
    let mut steps = Vec::new();
    for step in split_field_path(path) {
        let split = step.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
        match split {
            Some((name, index)) if !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit()) => {
                if !name.is_empty() {
                    steps.push(name.to_owned());
                }
                steps.push(index.to_owned());
            }
            _ => steps.push(step),
        }
    }
    steps
}

fn substitute(
    node: &mut Node,
    values: &BTreeMap<&str, VarValue>,
    allowance: &mut Allowance,
) -> Result<(), FieldSpecError> {
    if node::is_null(node) {
        return Ok(());
    }
    match node.kind {
        Kind::Scalar => {
            if node::is_string(node) {
                expand_node(node, values, allowance)?;
            }
        }
        Kind::Mapping => {
            for (key, value) in node.pairs_mut() {
                if !node::is_string(key) {
                    let text = format!("invalid map key: value='{}', tag='{}'", key.value, key.tag());
                    return Err(FieldSpecError::Set(text));
                }
                if node::is_string(value) {
                    expand_node(value, values, allowance)?;
                }
            }
        }
        _ => {
            for item in &mut node.content {
                if !node::is_string(item) {
                    return Err(FieldSpecError::Set("invalid value type expect a string".into()));
                }
                expand_node(item, values, allowance)?;
            }
        }
    }
    Ok(())
}

fn expand_node(
    node: &mut Node,
    values: &BTreeMap<&str, VarValue>,
    allowance: &mut Allowance,
) -> Result<(), FieldSpecError> {
    let longest =
        values.values().map(|value| if let VarValue::Text(text) = value { text.len() } else { 24 }).max();
    let references = node.value.matches("$(").count();
    allowance
        .spend_each(references, longest.unwrap_or_default())
        .map_err(|err| FieldSpecError::Set(err.to_string()))?;
    let (kind, text) = match expand(&node.value, values) {
        VarValue::Text(text) => (tag::STR, text),
        VarValue::Int(value) => (tag::INT, value.to_string()),
        VarValue::Float(value) => (tag::FLOAT, value.to_string()),
        VarValue::Bool(value) => (tag::BOOL, value.to_string()),
        VarValue::Other => return Ok(()),
    };
    node.set_tag(kind);
    node.value = text.into();
    node.style = Style::PLAIN;
    Ok(())
}

/// Replaces `$(NAME)`; a text that is nothing else takes the value's type. `$$` is `$`, and what is unknown stays.
fn expand(text: &str, values: &BTreeMap<&str, VarValue>) -> VarValue {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        if after.is_empty() {
            break;
        }
        out.push_str(&rest[..at]);
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
            continue;
        }
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        let Some((name, more)) = name else {
            let end = after.chars().next().map_or(0, char::len_utf8);
            out.push('$');
            out.push_str(&after[..end]);
            rest = &after[end..];
            continue;
        };
        let whole = text.len() == name.len() + 3;
        match values.get(name) {
            Some(value) if whole && *value != VarValue::Other => return value.clone(),
            Some(VarValue::Text(value)) => out.push_str(value),
            Some(VarValue::Int(value)) => out.push_str(&value.to_string()),
            Some(VarValue::Float(value)) => out.push_str(&format_float(*value)),
            Some(VarValue::Bool(value)) => out.push_str(&value.to_string()),
            Some(VarValue::Other) | None => out.push_str(&format!("$({name})")),
        }
        rest = more;
    }
    out.push_str(rest);
    VarValue::Text(out)
}

fn target_id(var: &Var) -> ResourceId {
    let target = &var.objref;
    let mut gvk =
        Gvk { group: target.group.clone(), version: target.version.clone(), kind: target.kind.clone() };
    match target.api_version.split('/').collect::<Vec<_>>().as_slice() {
        [""] => {}
        [version] => gvk.version = (*version).to_owned(),
        [group, version] => {
            gvk.group = (*group).to_owned();
            gvk.version = (*version).to_owned();
        }
        _ => {}
    }
    ResourceId { gvk, name: target.name.clone(), namespace: target.namespace.clone(), cluster_scoped: false }
}

/// Variables as they were written, as Go prints their structs.
pub(crate) fn describe_all(vars: &[Var]) -> String {
    let shown: Vec<String> = vars
        .iter()
        .map(|Var { name, objref, fieldref }| {
            let (group, version, kind) = (objref.group.clone(), objref.version.clone(), objref.kind.clone());
            format!("{{{name} {} {{{}}}}}", Gvk { group, version, kind }, fieldref.field_path)
        })
        .collect();
    format!("[{}]", shown.join(" "))
}

/// A variable as Go prints its struct.
fn describe(var: &Var) -> String {
    format!("{{{} {} {{{}}}}}", var.name, target_id(var).gvk, var.fieldref.field_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands() {
        let values = BTreeMap::from([("A", VarValue::Text("x".into())), ("N", VarValue::Int(5))]);
        let text = |input: &str| match expand(input, &values) {
            VarValue::Text(text) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(text("$(A)-$(N)"), "x-5");
        assert_eq!(text("$(N)"), "Int(5)");
        assert_eq!(text("$$(A) $(B) $x $( $"), "$(A) $(B) $x $( $");
    }
}
