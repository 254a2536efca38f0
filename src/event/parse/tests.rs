//! Holds values and their texts against another JSON crate.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// Holds every value and its text against serde_json's.
fn agrees(value: Json<'_>, text: &RawValue) {
    let text = text.get();
    assert_eq!(value.raw(), text);
    let expected: serde_json::Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(value.as_str(), expected.as_str(), "{text}");
    assert_eq!(value.as_bool(), expected.as_bool(), "{text}");
    assert_eq!(value.is_null(), expected.is_null(), "{text}");
    match value.kind() {
        Kind::Object => {
            let members: Vec<(&str, Json<'_>)> = value.members().collect();
            let expected: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).expect("an object");
            assert_eq!(members.len(), expected.len(), "{text}");
            for (name, member) in members {
                agrees(member, expected[name]);
            }
        }
        Kind::Array => {
            let elements: Vec<Json<'_>> = value.elements().collect();
            let expected: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
            assert_eq!(elements.len(), expected.len(), "{text}");
            for (element, expected) in elements.into_iter().zip(expected) {
                agrees(element, expected);
            }
        }
        _ => {}
    }
}

fn check(text: &str) {
    let expected: &RawValue = serde_json::from_str(text).expect("valid");
    Parser::default()
        .parse(text.as_bytes(), |value| agrees(value, expected))
        .expect("parses");
}

#[test]
fn values_and_their_texts_agree_with_serde_json() {
    for text in [
        r#"{}"#,
        r#" [ ] "#,
        r#"{"a":{},"b":[],"c":[[],{}],"d":""}"#,
        r#" { "a" : [ 1 , -2.50 , true , null , "x\"y\\" ] , "b" : { "c" : "é\u00e9" } } "#,
        "{\"k\":\"\\/\\b\\n\",\"tail\":[{\"x\":1},{\"x\":[2,3]}],\"z\":5.0}",
        r#"{"\\":[[[]],[{ }],[[1,{"\"":2}],3 ]],"\\\"":{"a":{"b":{"c":[ ]}}},"z":"\\\\"}"#,
        r#""only a string""#,
        r#" 42 "#,
    ] {
        check(text);
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let text = "[ab\\\\\"{}\\[\\]:, é😀\n]{0,40}";
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f32>().prop_map(|n| f64::from(n).into()),
        text.prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map(text, inner, 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_values_and_their_texts_agree_with_serde_json(value in any_json()) {
        check(&value.to_string());
        check(&format!("{value:#}"));
    }
}

#[test]
fn odd_numbers_and_lone_surrogates_keep_their_text() {
    let mut parser = Parser::default();
    let text =
        r#"{"a":18446744073709551616,"b":1e400,"c":"x\ud800y","d":-0.10E+5,"e":"\ud83d\ude00"}"#;
    parser
        .parse(text.as_bytes(), |value| {
            let raw = |name| value.get(name).expect("member").raw();
            assert_eq!(raw("a"), "18446744073709551616");
            assert_eq!(raw("b"), "1e400");
            assert_eq!(raw("c"), r#""x\ud800y""#);
            assert_eq!(raw("d"), "-0.10E+5");
            assert_eq!(value.get("c").and_then(Json::as_str), Some("x\u{fffd}y"));
            assert_eq!(value.get("e").and_then(Json::as_str), Some("😀"));
        })
        .expect("parses");
}

#[test]
fn broken_texts_are_refused() {
    let mut parser = Parser::default();
    for text in [
        "",
        "{",
        r#"{"a":}"#,
        r#"{"a":01}"#,
        r#"{"a":1}x"#,
        r#"{"a":1e}"#,
        "{\"a\":\"\n\"}",
    ] {
        assert!(
            matches!(
                parser.parse(text.as_bytes(), |_| ()),
                Err(ParseError::Syntax { .. })
            ),
            "{text}"
        );
    }
    let deep = "[".repeat(MAX_NESTING + 10) + &"]".repeat(MAX_NESTING + 10);
    assert_eq!(
        parser.parse(deep.as_bytes(), |_| ()),
        Err(ParseError::TooDeep)
    );
    assert_eq!(
        parser.parse(b"{\"a\":\"\xff\"}", |_| ()),
        Err(ParseError::Utf8(6))
    );
    assert!(parser.parse(b"{\"still\":\"works\"}", |_| ()).is_ok());
}

#[test]
fn an_object_that_is_known_is_passed_over() {
    let mut parser = Parser::default();
    let known = r#"{"type":"Root","arn":"é\"x","list":[{"a":1}]}"#;
    for (before, behind) in [
        (
            r#"{"eventVersion":"1.11","userIdentity":"#,
            r#","eventTime":"t\n","z":[1,{"b":"c"}]}"#,
        ),
        (r#"{ "userIdentity" : "#, r#" , "n" : 5.0 , "m" : 1e400 }"#),
    ] {
        let text = format!("{before}{known}{behind}");
        let range = before.len()..before.len() + known.len();
        let raws = |value: Json<'_>| -> Vec<(String, String)> {
            let members = value.members();
            members
                .map(|(name, member)| (name.to_owned(), member.raw().to_owned()))
                .collect()
        };
        let whole = parser.parse(text.as_bytes(), raws).expect("parses");
        let hints = Hints {
            known_object: Some(range),
            has_no_backslash: false,
        };
        let but = parser.parse_but(text.as_bytes(), hints, |value| {
            let identity = value.get("userIdentity").expect("the member");
            assert_eq!(identity.raw(), known);
            raws(value)
        });
        assert_eq!(but.expect("parses"), whole);
    }
}
