//! `merge` and `mergeOverwrite`, with the quirks of the library that sprig uses.

use super::default::is_empty;
use crate::Map;
use crate::error::Error;
use crate::function::Call;
use crate::value::Value;
use crate::value::walk::descend;

/// Fills what the target lacks, or has empty, from the source. Maps that are taken over are not copied.
pub(super) fn merge(call: &mut Call<'_>, target: &Map, source: &Map, depth: usize) -> Result<(), Error> {
    descend(depth, || {
        let entries = source.entries();
        call.charge(entries.len().saturating_mul(64))?;
        call.session.charge_steps(entries.len())?;
        for (key, value) in entries {
            // A nil map or list has a type, and is taken over.
            if matches!(value, Value::Nil) {
                continue;
            }
            let present = target.get(&key);
            match (&present, &value) {
                (Some(Value::Map(inner)), Value::Map(from)) => {
                    merge(call, inner, from, depth + 1)?;
                    if !inner.is_empty() {
                        continue;
                    }
                }
                (Some(existing), _) if !is_empty(existing) => continue,
                _ => {}
            }
            call.session.may_be_tied(target, &value);
            target.insert(key, value);
        }
        Ok(())
    })
}

/// Lets the source win, except that maps on both sides are merged.
pub(super) fn merge_overwrite(
    call: &mut Call<'_>,
    target: &Map,
    source: &Map,
    depth: usize,
) -> Result<(), Error> {
    descend(depth, || {
        let entries = source.entries();
        call.charge(entries.len().saturating_mul(64))?;
        call.session.charge_steps(entries.len())?;
        for (key, value) in entries {
            let present = target.get(&key);
            if let (Some(Value::Map(inner)), Value::Map(from)) = (&present, &value)
                && !value.is_nil()
            {
                merge_overwrite(call, inner, from, depth + 1)?;
                if !inner.is_empty() {
                    continue;
                }
            }
            call.session.may_be_tied(target, &value);
            target.insert(key, value);
        }
        Ok(())
    })
}
