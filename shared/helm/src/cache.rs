//! Parsed templates kept with a chart, so that rendering it again does not parse again.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use fluxide_gotemplate::Templates;

use crate::file::ChartFile;

/// How many sets of templates are kept: values that switch subcharts on and off need sets of their own.
const KEPT: usize = 4;

/// The parsed templates of the last renderings of a chart. Copies of a chart share them.
#[derive(Clone, Default)]
pub(crate) struct TemplateCache {
    sets: Arc<Mutex<Vec<Parsed>>>,
}

struct Parsed {
    strict: bool,
    /// The path of each template and its very bytes.
    sources: Vec<(String, Arc<[u8]>)>,
    set: Templates,
}

impl TemplateCache {
    /// The templates parsed from exactly these files, or what `parse` makes of them.
    pub(crate) fn get_or_parse<'f, I, E>(
        &self,
        strict: bool,
        sources: impl Fn() -> I,
        parse: impl FnOnce(bool) -> Result<Templates, E>,
    ) -> Result<Templates, E>
    where
        I: Iterator<Item = (&'f String, &'f ChartFile)>,
    {
        let same = |parsed: &Parsed| {
            let mut count = 0;
            let all = sources().enumerate().all(|(at, (path, file))| {
                count = at + 1;
                parsed
                    .sources
                    .get(at)
                    .is_some_and(|(known, data)| known == path && Arc::ptr_eq(data, &file.data))
            });
            parsed.strict == strict && all && count == parsed.sources.len()
        };
        let lock = || self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().iter().find(|parsed| same(parsed)) {
            return Ok(found.set.clone());
        }
        let set = parse(strict)?;
        let sources = sources().map(|(path, file)| (path.clone(), file.data.clone())).collect();
        let mut sets = lock();
        if sets.len() == KEPT {
            sets.remove(0);
        }
        sets.push(Parsed { strict, sources, set: set.clone() });
        Ok(set)
    }
}

impl fmt::Debug for TemplateCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TemplateCache")
    }
}
