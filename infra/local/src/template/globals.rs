//! SAM's `Globals`: properties that every function has unless it says otherwise.

use serde_json::{Map, Value};

/// `own` over `global`, by SAM's rules: a scalar of the function wins, maps are merged key by key,
/// lists are joined with the global part first.
pub(super) fn merge(global: &Value, own: Value) -> Value {
    match (global, own) {
        (Value::Object(base), Value::Object(over)) if !is_intrinsic(base) && !is_intrinsic(&over) => {
            let mut merged = base.clone();
            for (key, value) in over {
                let value = match merged.get(&key) {
                    Some(below) => merge(below, value),
                    None => value,
                };
                merged.insert(key, value);
            }
            Value::Object(merged)
        }
        (Value::Array(first), Value::Array(then)) => Value::Array(first.iter().cloned().chain(then).collect()),
        (_, own) => own,
    }
}

/// An intrinsic stands for a scalar: two of them are never merged into one map.
fn is_intrinsic(map: &Map<String, Value>) -> bool {
    map.len() == 1 && map.keys().all(|key| key == "Ref" || key.starts_with("Fn::"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn functions_win_maps_merge_and_lists_are_joined() {
        let global = json!({
            "Timeout": 30, "Layers": ["a"],
            "Environment": {"Variables": {"A": {"Ref": "X"}, "B": "global", "C": {"Fn::Sub": "s"}}}
        });
        let own = json!({
            "Timeout": 900, "Layers": ["b"], "MemorySize": 256,
            "Environment": {"Variables": {"B": "own", "C": {"Ref": "Y"}}}
        });
        assert_eq!(
            merge(&global, own),
            json!({
                "Timeout": 900, "Layers": ["a", "b"], "MemorySize": 256,
                "Environment": {"Variables": {"A": {"Ref": "X"}, "B": "own", "C": {"Ref": "Y"}}}
            })
        );
    }

    #[test]
    fn a_scalar_may_replace_a_map() {
        assert_eq!(merge(&json!({"A": {"B": 1}}), json!({"A": "x"})), json!({"A": "x"}));
    }
}
