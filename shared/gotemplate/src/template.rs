//! Sets of associated templates.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::error::Error;
use crate::exec;
use crate::function::Functions;
use crate::parse::{self, Tree};
use crate::session::Session;
use crate::text::Text;
use crate::value::Value;
use fluxide_gotext::quote;

/// What a key that a map does not have gives: Go's option `missingkey`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingKey {
    /// No value, through any further fields: prints `<no value>`.
    #[default]
    Invalid,
    /// The zero value of the map's element type.
    Zero,
    /// An error.
    Error,
}

/// A set of templates that can call each other by name. Cloning is cheap, and a clone's later definitions are its own.
#[derive(Clone)]
pub struct Templates {
    name: Text,
    layer: Arc<Layer>,
    functions: Functions,
    missing_key: MissingKey,
}

/// Definitions on top of others, so that a set can be extended without copying it.
#[derive(Default)]
struct Layer {
    below: Option<Arc<Layer>>,
    trees: HashMap<Text, Arc<Tree>>,
}

/// The templates that one text defines.
pub(crate) type Parsed = HashMap<Text, Arc<Tree>>;

impl Templates {
    /// An empty set whose own name, for error messages, is `name`.
    pub fn new(name: &str, functions: Functions, missing_key: MissingKey) -> Templates {
        Templates { name: Text::from(name), layer: Arc::default(), functions, missing_key }
    }

    /// Parses a text as the template of the given name, and adds it and the templates it defines.
    ///
    /// A later definition replaces an earlier one of the same name, unless its body is blank.
    pub fn parse(&mut self, name: impl Into<Text>, text: impl Into<Text>) -> Result<(), Error> {
        let parsed = self.parse_text(&name.into(), text.into())?;
        self.add(&parsed);
        Ok(())
    }

    /// Executes a template and returns its output.
    pub fn execute(
        &self,
        name: impl AsRef<[u8]>,
        data: &Value,
        session: &mut Session,
    ) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.execute_into(name.as_ref(), data, session, &mut out)?;
        Ok(out)
    }

    fn execute_into(
        &self,
        name: &[u8],
        data: &Value,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Some(tree) = self.lookup(name) else {
            return Err(Error::new(format!(
                "template: no template {} associated with template {}",
                String::from_utf8_lossy(&quote(name)),
                String::from_utf8_lossy(&quote(&self.name))
            )));
        };
        exec::execute(self, &tree, data, session, out)
    }

    /// Whether a template of the name is defined.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.lookup(name.as_ref()).is_some()
    }

    /// The names of all defined templates, sorted.
    pub fn names(&self) -> Vec<Text> {
        let mut names = Vec::new();
        let mut layer = Some(&self.layer);
        while let Some(current) = layer {
            names.extend(current.trees.keys().cloned());
            layer = current.below.as_ref();
        }
        names.sort();
        names.dedup();
        names
    }

    /// The functions that the templates can call.
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// What missing keys give.
    pub fn missing_key(&self) -> MissingKey {
        self.missing_key
    }

    /// The set's own name.
    pub fn name(&self) -> &Text {
        &self.name
    }

    pub(crate) fn parse_text(&self, name: &Text, text: Text) -> Result<Parsed, Error> {
        parse::parse(name, text, &self.functions)
    }

    pub(crate) fn add(&mut self, parsed: &Parsed) {
        let additions: Vec<_> = parsed
            .iter()
            .filter(|(name, tree)| !(tree.is_blank() && self.lookup(name).is_some()))
            .map(|(name, tree)| (name.clone(), tree.clone()))
            .collect();
        match Arc::get_mut(&mut self.layer) {
            Some(layer) => layer.trees.extend(additions),
            None => {
                self.layer = Arc::new(Layer {
                    below: Some(self.layer.clone()),
                    trees: additions.into_iter().collect(),
                });
            }
        }
    }

    pub(crate) fn lookup(&self, name: &[u8]) -> Option<Arc<Tree>> {
        let mut layer = Some(&self.layer);
        while let Some(current) = layer {
            if let Some(tree) = current.trees.get(name) {
                return Some(tree.clone());
            }
            layer = current.below.as_ref();
        }
        None
    }

    /// Executes the template of the given name among those just parsed, even when it is blank and so replaced nothing.
    pub(crate) fn execute_parsed(
        &self,
        parsed: &Parsed,
        name: &[u8],
        data: &Value,
        session: &mut Session,
    ) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        if let Some(tree) = parsed.get(name) {
            exec::execute(self, tree, data, session, &mut out)?;
        }
        Ok(out)
    }

    pub(crate) fn execute_text(
        &self,
        name: &[u8],
        data: &Value,
        session: &mut Session,
    ) -> Result<Text, Error> {
        let mut out = session.buffers.pop().unwrap_or_default();
        let result = self.execute_into(name, data, session, &mut out);
        let text = result.map(|()| Text::from(out.as_slice()));
        // A few buffers are kept for the next templates whose output becomes a value.
        if session.buffers.len() < 8 && out.capacity() <= 64 << 10 {
            out.clear();
            session.buffers.push(out);
        }
        text
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates")
            .field("name", &self.name)
            .field("templates", &self.names())
            .finish_non_exhaustive()
    }
}
