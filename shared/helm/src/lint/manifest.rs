//! What a linter looks at in rendered text: its documents, and what they say of themselves.

use fluxide_gotemplate::go::json_stream_error;
use fluxide_gotext::quote_str;
use fluxide_goyaml::{Value, sigs, stream};

use crate::decode::decode_value;

/// The parts of an object that are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) name: String,
    namespace: String,
}

/// The objects of a text, up to the first that cannot be read.
pub(super) fn documents(text: &str) -> Vec<Result<Object, String>> {
    if let Some(objects) = json_documents(text) {
        return objects;
    }
    let (documents, error) = match stream::documents(text.as_bytes()) {
        Ok(documents) => (documents, None),
        Err(error) => (before_bad_separator(text), Some(error.to_string())),
    };
    let mut objects = Vec::new();
    for document in documents {
        match Object::read(&document) {
            Ok(None) => {}
            Ok(Some(object)) => objects.push(Ok(object)),
            Err(problem) => {
                // What looks like JSON is read as such first, and its complaint is told.
                let is_json = objects.is_empty() && text.trim_start().starts_with('{');
                let problem =
                    if is_json { json_stream_error(text.as_bytes()).unwrap_or(problem) } else { problem };
                objects.push(Err(problem));
                return objects;
            }
        }
    }
    objects.extend(error.map(Err));
    objects
}

/// The documents that were read before a separator with text behind it; the one that it ends is lost.
fn before_bad_separator(text: &str) -> Vec<Vec<u8>> {
    let mut documents = Vec::new();
    let mut document = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("---").map(str::trim) {
            Some(behind) if !(behind.is_empty() || behind.starts_with('#')) => return documents,
            Some(_) if document.is_empty() => {}
            Some(_) => documents.push(std::mem::take(&mut document)),
            None => document.extend_from_slice(line.as_bytes()),
        }
    }
    documents
}

/// The objects of a text that is nothing but JSON.
fn json_documents(text: &str) -> Option<Vec<Result<Object, String>>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let objects = values.map(|value| value.ok().map(|value| Object::of(&Value::from(value)).transpose()));
    objects.collect::<Option<Vec<_>>>().map(|objects| objects.into_iter().flatten().collect())
}

impl Object {
    fn read(document: &[u8]) -> Result<Option<Object>, String> {
        let refused = |error| format!("error converting YAML to JSON: {error}");
        let value = sigs::from_yaml(document).map_err(refused)?;
        // Not everything that YAML can say can be said in JSON.
        sigs::yaml_to_json(document).map_err(refused)?;
        Object::of(&value)
    }

    fn of(value: &Value) -> Result<Option<Object>, String> {
        if *value == Value::Null {
            return Ok(None);
        }
        let mut object = Object::default();
        decode_value(value, "rules.k8sYamlStruct", |decoder, key, value| match key {
            "apiversion" => decoder.string("apiVersion", value, &mut object.api_version),
            "kind" => decoder.string("Kind", value, &mut object.kind),
            "metadata" => decoder.field("Metadata", |decoder| {
                decoder.structure(value, "rules.k8sYamlMetadata", |decoder, key, value| match key {
                    "namespace" => decoder.string("Namespace", value, &mut object.namespace),
                    "name" => decoder.string("Name", value, &mut object.name),
                    _ => {}
                });
            }),
            _ => {}
        })?;
        Ok(Some(object))
    }

    /// Controllers need a selector, somewhere in the text.
    pub(super) fn check_selector(&self, text: &str) -> Result<(), String> {
        let selects = matches!(self.kind.as_str(), "Deployment" | "ReplicaSet" | "DaemonSet" | "StatefulSet");
        if selects && !text.contains("matchLabels") && !text.contains("matchExpressions") {
            return Err(format!(
                "a {} must contain matchLabels or matchExpressions, and {} does not",
                self.kind,
                quote_str(&self.name)
            ));
        }
        Ok(())
    }

    /// Items of a list cannot be kept.
    pub(super) fn check_list(&self, text: &str) -> Result<(), String> {
        if self.kind != "List" {
            return Ok(());
        }
        let list = sigs::from_yaml(text.as_bytes())
            .map_err(|error| format!("unable to parse YAML: error converting YAML to JSON: {error}"))?;
        let member = |value: &Value, name: &str| match value {
            Value::Object(map) => {
                map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
            }
            _ => None,
        };
        let kept = |item: &Value| {
            let annotations = member(item, "metadata").and_then(|metadata| member(&metadata, "annotations"));
            matches!(annotations, Some(Value::Object(map)) if map.contains_key("helm.sh/resource-policy"))
        };
        match member(&list, "items") {
            Some(Value::Array(items)) if items.iter().any(kept) => {
                Err("annotation 'helm.sh/resource-policy' within List objects are ignored".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// The first line that is not blank must not be indented.
pub(super) fn check_indent(text: &str) -> Result<(), String> {
    let first = text.split('\n').find(|line| !line.trim().is_empty()).unwrap_or_default();
    let first = first.strip_suffix('\r').unwrap_or(first);
    if first.starts_with([' ', '\t']) {
        return Err(format!(
            "document starts with an illegal indent: {}, which may cause parsing problems",
            quote_str(first)
        ));
    }
    Ok(())
}
