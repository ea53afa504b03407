//! The charts of one rendering: which subcharts are switched on, under which names, with which defaults.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use fluxide_gotemplate::{Map, Value};
use fluxide_goyaml::Value as Yaml;
use fluxide_semver_range::{Constraint, Version};

use crate::chart::{Chart, Crd};
use crate::coalesce::{TypeMismatch, coalesce_values, merge_defaults, merge_tables};
use crate::convert::{copy, go_display, to_map, to_value};
use crate::metadata::{Dependency, Metadata};

/// A chart as it takes part in a rendering.
#[derive(Clone)]
pub(crate) struct Scope {
    chart: Arc<Chart>,
    /// The chart's own defaults as templates see them, once they were asked for. They are never changed.
    defaults: Rc<OnceCell<Map>>,
    name: String,
    place: Rc<Place>,
    wishes: Rc<RefCell<Wishes>>,
    /// The defaults with what was imported from subcharts; without imports they are the chart's own.
    values: Option<Map>,
    children: Vec<Scope>,
}

/// The dependencies of a chart: after they were processed those that are switched on, under their aliases.
///
/// Copies of a chart that nobody asked for by name share them, as they do in Helm: what is processed for one copy is
/// processed for all, so that the others keep the names of their subcharts and import nothing.
#[derive(Clone, Default)]
struct Wishes {
    dependencies: Option<Vec<Dependency>>,
    imported: bool,
}

/// Where a chart stands in the tree of charts.
///
/// What is below a copy of a chart may still stand below the original, as it does in Helm: a subchart of a subchart without
/// dependencies of its own has the path that it had before the aliases were applied.
struct Place {
    name: String,
    parent: RefCell<Option<Rc<Place>>>,
}

impl Place {
    fn new(name: &str, parent: Option<&Rc<Place>>) -> Rc<Place> {
        Rc::new(Place { name: name.to_owned(), parent: RefCell::new(parent.cloned()) })
    }

    fn path(&self) -> String {
        match &*self.parent.borrow() {
            None => self.name.clone(),
            Some(parent) => format!("{}/charts/{}", parent.path(), self.name),
        }
    }
}

impl Scope {
    /// The chart with its subcharts, switched on and off by the values, with the values imported that they export.
    pub(crate) fn process(
        chart: Arc<Chart>,
        values: &Map,
        warn: &mut dyn FnMut(String),
    ) -> Result<Scope, TypeMismatch> {
        let mut scope = Scope::unprocessed(chart, None);
        scope.switch(values, "", warn)?;
        scope.import(warn)?;
        Ok(scope)
    }

    fn unprocessed(chart: Arc<Chart>, parent: Option<&Rc<Place>>) -> Scope {
        let place = Place::new(chart.name(), parent);
        let subcharts = chart.subcharts.iter();
        let children = subcharts.map(|subchart| Scope::unprocessed(subchart.clone(), Some(&place))).collect();
        let dependencies = chart.metadata.dependencies.as_ref();
        let dependencies = dependencies.map(|list| list.iter().flatten().cloned().collect());
        let name = chart.name().to_owned();
        let wishes = Rc::new(RefCell::new(Wishes { dependencies, imported: false }));
        Scope { name, place, chart, defaults: Rc::default(), wishes, values: None, children }
    }

    /// A copy under another name and parent, with copies of its children but not of theirs.
    fn copy_as(&self, name: &str, parent: &Rc<Place>) -> Scope {
        let place = Place::new(name, Some(parent));
        let children = self.children.iter();
        let children = children
            .map(|child| Scope { place: Place::new(&child.name, Some(&place)), ..child.clone() })
            .collect();
        let wishes = Rc::new(RefCell::new(self.wishes.borrow().clone()));
        Scope { name: name.to_owned(), place, wishes, children, ..self.clone() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn chart(&self) -> &Arc<Chart> {
        &self.chart
    }

    pub(crate) fn children(&self) -> &[Scope] {
        &self.children
    }

    /// The defaults, free to be changed. `None` when the chart has no values.
    pub(crate) fn copy_of_defaults(&self) -> Option<Map> {
        match (&self.values, &self.chart.values) {
            (Some(values), _) => Some(copy(values)),
            (None, None) => None,
            (None, Some(table)) => Some(copy(self.defaults.get_or_init(|| to_map(table)))),
        }
    }

    /// The defaults with what was imported, if anything was. Nobody changes them any more.
    pub(crate) fn changed_defaults(&self) -> Option<&Map> {
        self.values.as_ref()
    }

    /// Chart.yaml as it is after processing: under its alias, with the dependencies that are switched on.
    pub(crate) fn metadata(&self) -> Metadata {
        let wishes = self.wishes.borrow();
        let dependencies = wishes.dependencies.as_ref().map(|list| list.iter().cloned().map(Some).collect());
        Metadata { name: self.name.clone(), dependencies, ..self.chart.metadata.clone() }
    }

    /// The files below `crds/`, the chart's own before those of its subcharts.
    pub(crate) fn crds(&self, crds: &mut Vec<Crd>) {
        let path = self.path();
        crds.extend(
            self.chart
                .own_crds()
                .map(|file| Crd { path: format!("{path}/{}", file.name), file: file.clone() }),
        );
        self.children.iter().for_each(|child| child.crds(crds));
    }

    /// The path of the chart in the tree of charts: `web/charts/db`.
    pub(crate) fn path(&self) -> String {
        self.place.path()
    }

    /// Takes subcharts as the dependencies name them, and drops those that conditions and tags switch off.
    fn switch(&mut self, values: &Map, path: &str, warn: &mut dyn FnMut(String)) -> Result<(), TypeMismatch> {
        let Some(mut dependencies) = self.wishes.borrow_mut().dependencies.take() else { return Ok(()) };
        let present = std::mem::take(&mut self.children);
        let mut children = Vec::with_capacity(present.len());
        // Subcharts that no dependency asks for are used as they are.
        for child in &present {
            if !dependencies.iter().any(|dependency| child.fits(dependency)) {
                children.push(child.clone());
            }
        }
        for dependency in &mut dependencies {
            if let Some(child) = present.iter().find(|child| child.fits(dependency)) {
                children.push(child.copy_as(dependency.effective_name(), &self.place));
            }
            if !dependency.alias.is_empty() {
                dependency.name.clone_from(&dependency.alias);
            }
            dependency.enabled = true;
        }
        self.children = children;
        let values = coalesce_values(self, values, warn)?;
        switch_by_tags(&mut dependencies, &values, warn);
        switch_by_conditions(&mut dependencies, &values, path, warn);
        let off: Vec<String> = dependencies
            .iter()
            .filter(|dependency| !dependency.enabled)
            .map(|dependency| dependency.name.clone())
            .collect();
        self.children.retain(|child| !off.contains(&child.name));
        dependencies.retain(|dependency| !off.contains(&dependency.name));
        for child in &mut self.children {
            child.place.parent.replace(Some(self.place.clone()));
            let below = format!("{path}{}.", child.name);
            child.switch(&values, &below, warn)?;
        }
        self.wishes.borrow_mut().dependencies = (!dependencies.is_empty()).then_some(dependencies);
        Ok(())
    }

    fn fits(&self, dependency: &Dependency) -> bool {
        if self.chart.name() != dependency.name {
            return false;
        }
        let range = Constraint::parse(&dependency.version);
        match (Version::parse(&self.chart.metadata.version), range) {
            (Ok(version), Ok(range)) => range.matches(&version),
            _ => false,
        }
    }

    /// Takes over the values that subcharts export, below the chart's own.
    fn import(&mut self, warn: &mut dyn FnMut(String)) -> Result<(), TypeMismatch> {
        for child in &mut self.children {
            child.import(warn)?;
        }
        if self.wishes.borrow().dependencies.is_none() {
            return Ok(());
        }
        let defaults = merge_defaults(self, warn)?;
        let imported = Map::new();
        let mut wishes = self.wishes.borrow_mut();
        let imported_before = std::mem::replace(&mut wishes.imported, true);
        for dependency in wishes.dependencies.iter_mut().flatten() {
            let mut rewritten = Vec::new();
            // What was imported for one copy has a form that is not understood for another.
            let items: &[Yaml] = if imported_before { &[] } else { dependency.import_values.as_slice() };
            for item in items {
                let (child, parent) = match item {
                    Yaml::String(name) => (format!("exports.{name}"), ".".to_owned()),
                    Yaml::Object(map) => {
                        let text = |key: &str| match map.get(key) {
                            Some(Yaml::String(text)) => text.clone(),
                            other => go_display(&to_value(other.unwrap_or(&Yaml::Null))),
                        };
                        (text("child"), text("parent"))
                    }
                    _ => continue,
                };
                let pair = [("child", &child), ("parent", &parent)];
                let pair = pair.map(|(key, value)| (key.to_owned(), Yaml::String(value.clone())));
                rewritten.push(Yaml::Object(pair.into_iter().collect()));
                match table_at(&defaults, &format!("{}.{child}", dependency.name)) {
                    Some(table) => {
                        // Helm hands on a new table for an empty one, which the next import does not fill for the child.
                        let table = if table.is_empty() { Map::new() } else { table };
                        merge_tables(&imported, &at_path(&parent, table), warn);
                    }
                    None => warn(format!(
                        "ImportValues missing table from chart {}: {child} is not a table",
                        dependency.name
                    )),
                }
            }
            dependency.import_values = rewritten;
        }
        drop(wishes);
        let values = copy(&defaults);
        merge_tables(&values, &imported, warn);
        self.values = Some(values);
        Ok(())
    }
}

/// Tags of the top level: one that is true switches on, else one that is false switches off.
fn switch_by_tags(dependencies: &mut [Dependency], values: &Map, warn: &mut dyn FnMut(String)) {
    let Some(Value::Map(tags)) = values.get("tags") else { return };
    for dependency in dependencies {
        let (mut on, mut off) = (false, false);
        for tag in &dependency.tags {
            match tags.get(tag) {
                Some(Value::Bool(true)) => on = true,
                Some(Value::Bool(false)) => off = true,
                Some(_) => warn(format!("tag {tag} of dependency {} is not a boolean", dependency.name)),
                None => {}
            }
        }
        dependency.enabled = on || !off;
    }
}

/// The first condition that is a boolean decides.
fn switch_by_conditions(
    dependencies: &mut [Dependency],
    values: &Map,
    path: &str,
    warn: &mut dyn FnMut(String),
) {
    for dependency in dependencies {
        for condition in dependency.condition.trim().split(',').filter(|condition| !condition.is_empty()) {
            match value_at(values, &format!("{path}{condition}")) {
                Some(Value::Bool(enabled)) => {
                    dependency.enabled = enabled;
                    break;
                }
                Some(_) => {
                    warn(format!("condition {condition} of dependency {} is not a boolean", dependency.name));
                }
                None => {}
            }
        }
    }
}

/// The table at a dotted path.
pub(crate) fn table_at(values: &Map, path: &str) -> Option<Map> {
    path.split('.').try_fold(values.clone(), |table, key| match table.get(key) {
        Some(Value::Map(inner)) => Some(inner),
        _ => None,
    })
}

/// The value at a dotted path that is no table.
fn value_at(values: &Map, path: &str) -> Option<Value> {
    let (table, key) = match path.rsplit_once('.') {
        None => (values.clone(), path),
        Some((tables, key)) => (table_at(values, tables)?, key),
    };
    table.get(key).filter(|value| !matches!(value, Value::Map(_)))
}

/// The table put at a dotted path; `.` is the root.
fn at_path(path: &str, table: Map) -> Map {
    if path == "." {
        return table;
    }
    path.split('.').rev().fold(table, |inner, key| [(key.into(), Value::Map(inner))].into_iter().collect())
}
