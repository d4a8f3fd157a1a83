//! YAML with CloudFormation's short intrinsics (`!Ref X`) to JSON with the long ones (`{"Ref": "X"}`),
//! so that everything after this knows one form.

use serde_json::{Map, Value, json};
use serde_norway::Value as Yaml;
use serde_norway::value::TaggedValue;

use super::TemplateError;

/// Parses `text` and rewrites every tag into its long form.
pub(super) fn parse(text: &str) -> Result<Value, TemplateError> {
    convert(serde_norway::from_str(text)?, "")
}

fn convert(yaml: Yaml, path: &str) -> Result<Value, TemplateError> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => convert_number(&number, path)?,
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(index, item)| convert(item, &join(path, &index.to_string())))
                .collect::<Result<_, _>>()?,
        ),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let key = convert_key(key, path)?;
                let value = convert(value, &join(path, &key))?;
                map.insert(key, value);
            }
            Value::Object(map)
        }
        Yaml::Tagged(tagged) => convert_tag(*tagged, path)?,
    })
}

fn convert_number(number: &serde_norway::Number, path: &str) -> Result<Value, TemplateError> {
    let exact = number.as_u64().map(Value::from).or_else(|| number.as_i64().map(Value::from));
    exact
        .or_else(|| number.as_f64().and_then(serde_json::Number::from_f64).map(Value::Number))
        .ok_or_else(|| invalid(path, "not a finite number"))
}

/// Keys are text in a template; `Version: …` and the like arrive as such, bare numbers and booleans are kept as written.
fn convert_key(key: Yaml, path: &str) -> Result<String, TemplateError> {
    match key {
        Yaml::String(text) => Ok(text),
        Yaml::Number(number) => Ok(number.to_string()),
        Yaml::Bool(flag) => Ok(flag.to_string()),
        _ => Err(invalid(path, "a key that is not a scalar")),
    }
}

fn convert_tag(tagged: TaggedValue, path: &str) -> Result<Value, TemplateError> {
    let tag = tagged.tag.to_string();
    let name = tag.trim_start_matches('!');
    let long = match name {
        "Ref" | "Condition" => name.to_owned(),
        _ => format!("Fn::{name}"),
    };
    let argument = convert(tagged.value, &join(path, &long))?;
    Ok(match (name, argument) {
        // The short form `!GetAtt A.B` is the only one whose argument is written differently.
        ("GetAtt", Value::String(text)) => match text.split_once('.') {
            Some((resource, attribute)) => json!({ long: [resource, attribute] }),
            None => return Err(invalid(path, "!GetAtt without an attribute")),
        },
        (_, argument) => json!({ long: argument }),
    })
}

/// The path of `key` under `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A value at `path` that cannot be honoured.
pub(super) fn invalid(path: &str, reason: impl Into<String>) -> TemplateError {
    TemplateError::Invalid { path: path.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_intrinsic_become_the_long_one() {
        let short = "a: !Ref X\nb: !GetAtt Q.Arn\nc: !Sub ['${x}', {x: !Ref Y}]\nd: !Join [',', [!Ref Z, z]]\n";
        let long = concat!(
            "a: {Ref: X}\nb: {'Fn::GetAtt': [Q, Arn]}\n",
            "c: {'Fn::Sub': ['${x}', {x: {Ref: Y}}]}\nd: {'Fn::Join': [',', [{Ref: Z}, z]]}\n"
        );
        assert_eq!(parse(short).unwrap(), parse(long).unwrap());
        assert_eq!(parse(short).unwrap()["b"], json!({"Fn::GetAtt": ["Q", "Arn"]}));
    }

    #[test]
    fn scalars_keep_their_type() {
        let value = parse("a: 30\nb: '30'\nc: true\nd: -1\ne: 1.5\nf:\n2012: y\n").unwrap();
        assert_eq!(value, json!({"a": 30, "b": "30", "c": true, "d": -1, "e": 1.5, "f": null, "2012": "y"}));
    }

    #[test]
    fn a_getatt_without_attribute_is_refused_with_its_place() {
        let error = parse("Resources: {Q: [x, !GetAtt Y]}").unwrap_err();
        assert_eq!(error.to_string(), "Resources.Q.1: !GetAtt without an attribute");
    }
}
