//! The tables of field specs that transformers work from: the built-in ones, and what `configurations` add.

use crate::fieldspec::{ConflictingFieldSpecs, FieldSpec, merge_all};
use crate::id::Gvk;
use std::sync::{Arc, LazyLock};
use thiserror::Error;

/// Two tables cannot be merged.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("failed to merge {table} fieldSpec: {source}")]
pub struct ConfigError {
    table: &'static str,
    source: ConflictingFieldSpecs,
}

impl ConfigError {
    pub(crate) fn new(table: &'static str, source: ConflictingFieldSpecs) -> ConfigError {
        ConfigError { table, source }
    }
}

/// Who refers to a kind by name, and in which fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameReference {
    pub(crate) target: Gvk,
    pub(crate) referrers: Vec<FieldSpec>,
}

/// All tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransformerConfig {
    pub(crate) name_prefix: Vec<FieldSpec>,
    pub(crate) name_suffix: Vec<FieldSpec>,
    pub(crate) namespace: Vec<FieldSpec>,
    pub(crate) common_labels: Vec<FieldSpec>,
    pub(crate) labels: Vec<FieldSpec>,
    pub(crate) template_labels: Vec<FieldSpec>,
    pub(crate) common_annotations: Vec<FieldSpec>,
    pub(crate) name_reference: Vec<NameReference>,
    pub(crate) var_reference: Vec<FieldSpec>,
    pub(crate) images: Vec<FieldSpec>,
    pub(crate) replicas: Vec<FieldSpec>,
}

/// Table, target (`group|version|kind`, for name references), group, version, kind, `+` for create, path.
static DEFAULTS: LazyLock<Arc<TransformerConfig>> = LazyLock::new(|| {
    let mut config = TransformerConfig::default();
    for line in include_str!("../tables/fieldspecs.tsv").lines() {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        let (table, target) = (next(), next());
        let gvk = Gvk { group: next().into(), version: next().into(), kind: next().into() };
        let create = next() == "+";
        let spec = FieldSpec::new(gvk, next(), create);
        if table == "nameReference" {
            let mut parts = target.split('|').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            let target = Gvk { group: part(), version: part(), kind: part() };
            match config.name_reference.last_mut().filter(|last| last.target == target) {
                Some(last) => last.referrers.push(spec),
                None => config.name_reference.push(NameReference { target, referrers: vec![spec] }),
            }
        } else if let Some(specs) = config.table_mut(table) {
            specs.push(spec);
        }
    }
    Arc::new(config)
});

/// The names of the tables of field specs as they are written in files, and as errors write them.
const TABLES: [(&str, &str); 10] = [
    ("namePrefix", "NamePrefix"),
    ("nameSuffix", "NameSuffix"),
    ("namespace", "NameSpace"),
    ("commonAnnotations", "CommonAnnotations"),
    ("commonLabels", "CommonLabels"),
    ("labels", "Labels"),
    ("templateLabels", "TemplateLabels"),
    ("varReference", "VarReference"),
    ("images", "Images"),
    ("replicas", "Replicas"),
];

impl TransformerConfig {
    /// The built-in tables.
    pub(crate) fn defaults() -> Arc<TransformerConfig> {
        DEFAULTS.clone()
    }

    /// The name of a table, given in any letter case.
    pub(crate) fn table_name(name: &str) -> Option<&'static str> {
        TABLES.iter().map(|(table, _)| *table).find(|table| table.eq_ignore_ascii_case(name))
    }

    /// A table by the name it has in files.
    pub(crate) fn table_mut(&mut self, name: &str) -> Option<&mut Vec<FieldSpec>> {
        Some(match name {
            "namePrefix" => &mut self.name_prefix,
            "nameSuffix" => &mut self.name_suffix,
            "namespace" => &mut self.namespace,
            "commonAnnotations" => &mut self.common_annotations,
            "commonLabels" => &mut self.common_labels,
            "labels" => &mut self.labels,
            "templateLabels" => &mut self.template_labels,
            "varReference" => &mut self.var_reference,
            "images" => &mut self.images,
            "replicas" => &mut self.replicas,
            _ => return None,
        })
    }

    /// Adds the entries of `other` that mean something new.
    pub(crate) fn merge(&mut self, other: &TransformerConfig) -> Result<(), ConfigError> {
        let mut incoming = other.clone();
        for (name, table) in TABLES {
            if let (Some(specs), Some(more)) = (self.table_mut(name), incoming.table_mut(name)) {
                merge_all(specs, more).map_err(|source| ConfigError { table, source })?;
                specs.sort_by_cached_key(|spec| spec.gvk.sort_key());
            }
        }
        for reference in &other.name_reference {
            self.merge_reference(reference)?;
        }
        self.name_reference.sort_by_cached_key(|reference| reference.target.sort_key());
        Ok(())
    }

    fn merge_reference(&mut self, other: &NameReference) -> Result<(), ConfigError> {
        let mut found = false;
        for reference in self.name_reference.iter_mut().filter(|reference| reference.target == other.target) {
            found = true;
            merge_all(&mut reference.referrers, &other.referrers)
                .map_err(|source| ConfigError { table: "NameReference", source })?;
        }
        if !found {
            self.name_reference.push(other.clone());
        }
        Ok(())
    }
}

/// The tables in force: most builds never change the built-in ones, and share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedConfig(Option<Arc<TransformerConfig>>);

impl SharedConfig {
    /// The tables, which are empty until something was merged.
    pub(crate) fn get(&self) -> Arc<TransformerConfig> {
        self.0.clone().unwrap_or_default()
    }

    /// The tables, if anything was merged.
    pub(crate) fn merged(&self) -> Option<Arc<TransformerConfig>> {
        self.0.clone()
    }

    /// Merges other tables in.
    pub(crate) fn merge(&mut self, other: &Arc<TransformerConfig>) -> Result<(), ConfigError> {
        match &mut self.0 {
            None if Arc::ptr_eq(&DEFAULTS, other) => self.0 = Some(other.clone()),
            Some(own) if Arc::ptr_eq(own, other) && Arc::ptr_eq(own, &DEFAULTS) => {}
            // Merging into nothing matters too: of two specs with the same path the wider one is dropped if it
            // comes later.
            own => Arc::make_mut(own.get_or_insert_default()).merge(other)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_built_in_tables() {
        let config = TransformerConfig::defaults();
        assert_eq!(config.common_labels.len(), 32);
        assert_eq!(config.name_reference.len(), 16);
        assert_eq!(config.name_reference[0].target.kind, "StorageClass");
        assert_eq!(config.images.len(), 6);
        assert_eq!(config.var_reference.len(), 72);
    }

    #[test]
    fn merging_the_same_changes_nothing() {
        let mut config = (*TransformerConfig::defaults()).clone();
        config.merge(&TransformerConfig::defaults()).unwrap();
        assert_eq!(config, *TransformerConfig::defaults());
    }
}
