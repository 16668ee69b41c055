//! Fits a tool's parameter schema to what an upstream takes. A schema that needs no change is
//! copied, never parsed.

use serde_json::{Map, Value};

use crate::dialect::Dialect;

const EMPTY: &str = r#"{"type":"object","properties":{}}"#;

/// Keys that may not stand at the root of a schema for some upstreams.
const COMBINING: [&str; 6] = ["oneOf", "anyOf", "allOf", "enum", "const", "not"];

/// Deepest schema that is rewritten; a deeper one is passed as it is, so that no input can exhaust
/// the stack.
const MAX_DEPTH: usize = 64;

/// A schema that the upstream takes.
pub(crate) enum Fitted<'a> {
    /// As the client wrote it.
    Same(&'a str),
    /// Rewritten with something taken away.
    Simplified(String),
}

impl Fitted<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Same(json) => json,
            Self::Simplified(json) => json,
        }
    }
}

/// The parameters as this dialect takes them.
pub(crate) fn fit_parameters<'a>(parameters: &'a str, dialect: &Dialect) -> Fitted<'a> {
    if matches!(parameters, "{}" | "null") || !parameters.starts_with('{') {
        return Fitted::Same(EMPTY);
    }
    let suspicious = (!dialect.ref_siblings && parameters.contains("\"$ref\""))
        || (!dialect.combined_schema_root && COMBINING.iter().any(|key| parameters.contains(key)));
    if !suspicious {
        return Fitted::Same(parameters);
    }
    let Ok(Value::Object(mut schema)) = serde_json::from_str::<Value>(parameters) else {
        return Fitted::Same(parameters);
    };
    let mut changed = false;
    if !dialect.combined_schema_root {
        let before = schema.len();
        schema.retain(|key, _| !COMBINING.contains(&key.as_str()));
        changed |= schema.len() != before;
        schema
            .entry("type")
            .or_insert_with(|| Value::from("object"));
        schema
            .entry("properties")
            .or_insert_with(|| Value::Object(Map::new()));
    }
    let mut root = Value::Object(schema);
    if !dialect.ref_siblings {
        changed |= drop_ref_siblings(&mut root, MAX_DEPTH);
    }
    if changed {
        Fitted::Simplified(root.to_string())
    } else {
        Fitted::Same(parameters)
    }
}

/// Leaves `$ref` alone in its object. Returns whether something was taken away.
fn drop_ref_siblings(value: &mut Value, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    match value {
        Value::Object(map) => {
            let mut changed = false;
            // A property may be called `$ref`; only a string beside it makes it a reference.
            if map.len() > 1 && map.get("$ref").is_some_and(Value::is_string) {
                map.retain(|key, _| matches!(key.as_str(), "$ref" | "$defs" | "definitions"));
                changed = true;
            }
            for inner in map.values_mut() {
                changed |= drop_ref_siblings(inner, depth - 1);
            }
            changed
        }
        Value::Array(items) => {
            let mut changed = false;
            for item in items {
                changed |= drop_ref_siblings(item, depth - 1);
            }
            changed
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(parameters: &str, dialect: &Dialect, expected: &str) {
        assert_eq!(fit_parameters(parameters, dialect).as_str(), expected);
    }

    #[test]
    fn schemas_pass_unless_the_dialect_minds() {
        let odd = r##"{"type": "object", "anyOf":[{"$ref":"#/a","description":"x"}]}"##;
        check(odd, &Dialect::OPENAI, odd);
        check("{}", &Dialect::OPENAI, EMPTY);
        check("null", &Dialect::OPENAI, EMPTY);
        let refs = Dialect {
            ref_siblings: false,
            ..Dialect::OPENAI
        };
        check(
            odd,
            &refs,
            r##"{"anyOf":[{"$ref":"#/a"}],"type":"object"}"##,
        );
        let plain = Dialect {
            combined_schema_root: false,
            ..Dialect::OPENAI
        };
        check(odd, &plain, r#"{"properties":{},"type":"object"}"#);
        let inner = r#"{"type":"object","properties":{"a":{"anyOf":[]}}}"#;
        check(inner, &plain, inner);
    }
}
