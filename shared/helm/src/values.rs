//! Values: tables of YAML values, read from files and merged with later ones winning.

use std::collections::BTreeMap;

use fluxide_goyaml::{Value, sigs, stream};

/// A table of values by name.
pub type Table = BTreeMap<String, Value>;

/// Reads a values file. Several documents are merged in order; every number is a float, as in Helm.
///
/// ```
/// use fluxide_helm::values::read_values;
/// let values = read_values(b"replicas: 2\n---\nimage: {tag: v1}\n")?;
/// assert_eq!(values.len(), 2);
/// # Ok::<(), String>(())
/// ```
pub fn read_values(yaml: &[u8]) -> Result<Table, String> {
    let mut values = Table::new();
    let documents =
        stream::documents(yaml).map_err(|error| format!("error reading yaml document: {error}"))?;
    for document in documents {
        let table = sigs::unmarshal_map(&document)
            .map_err(|error| format!("cannot unmarshal yaml document: {error}"))?;
        if values.is_empty() {
            values = table;
        } else {
            merge(&mut values, table);
        }
    }
    Ok(values)
}

/// Merges a later table into an earlier one: tables are merged member by member, anything else is replaced. Nulls stay.
pub fn merge(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_win_and_nulls_stay() {
        let values =
            read_values(b"a: {x: 1, y: 2}\nb: [1]\nc: 1\n---\na: {y: null, z: 3}\nb: []\nc: {d: 1}\n")
                .unwrap();
        let expected = read_values(b"a: {x: 1, y: null, z: 3}\nb: []\nc: {d: 1}\n").unwrap();
        assert_eq!(values, expected);
        assert_eq!(read_values(b"").unwrap(), Table::new());
        assert_eq!(read_values(b"# nothing\n").unwrap(), Table::new());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let error = read_values(b"- a\n").unwrap_err();
        let expected = "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot \
                        unmarshal array into Go value of type map[string]interface {}";
        assert_eq!(error, expected);
    }
}
