//! Variables of the process and the files they name, so that tests need neither.

use std::collections::BTreeMap;

use crate::AuthError;

/// Where identities of the process are looked for.
#[derive(Clone, Debug, Default)]
pub struct Environment(Option<BTreeMap<String, String>>);

impl Environment {
    /// The variables of this process.
    pub fn process() -> Self {
        Environment(None)
    }

    /// These variables and no others.
    pub fn of(variables: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Environment(Some(variables.iter().map(own).collect()))
    }

    /// A variable that is set to something.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match &self.0 {
            Some(variables) => variables.get(name).cloned(),
            None => std::env::var(name).ok(),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The text of the file a variable names.
    pub fn file(&self, name: &str) -> Result<Option<String>, AuthError> {
        let Some(path) = self.get(name) else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(&path).map_err(|error| {
            AuthError::Settings(format!("cannot read {path}, which {name} names: {error}"))
        })?;
        Ok(Some(text.trim().to_owned()))
    }
}
