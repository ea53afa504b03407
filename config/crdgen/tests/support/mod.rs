//! What several tests of the definitions need.

use serde_json::Value;

/// Everything in `part` is in `whole`.
pub fn contains(whole: &Value, part: &Value, place: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                let place = format!("{place}/{key}");
                let found = whole.get(key).unwrap_or_else(|| panic!("{place} is lost"));
                contains(found, value, &place);
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{place}");
            for (index, value) in part.iter().enumerate() {
                contains(&whole[index], value, &format!("{place}/{index}"));
            }
        }
        _ => assert_eq!(whole, part, "{place}"),
    }
}
