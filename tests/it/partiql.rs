//! PartiQL statements as CloudTrail logs them: a table of readings, limits, any text at all.

use std::path::Path;

use dynatrail::event::dynamodb::partiql;
use dynatrail::event::dynamodb::partiql_condition::MAX_CONDITION_DEPTH;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::operation::{parsed, sparse};

#[test]
fn statements_are_read() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operation/partiql/statements.json"),
    )
    .expect("the table of statements is there");
    let cases: Vec<(String, Value)> = serde_json::from_str(&text).expect("pairs");
    let mut failures = Vec::new();
    for (statement, expected) in &cases {
        let found = partiql::read(statement);
        let shown = sparse(vec![
            ("verb", json!(found.verb.map(|verb| verb.as_str()))),
            ("table", json!(found.table)),
            ("index", json!(found.index)),
            ("key", parsed(found.key.as_deref())),
            ("attributes", json!(found.attributes)),
            ("conditional", json!(found.is_conditional)),
            ("filter", json!(found.has_filter)),
            ("unclear", json!(!found.is_understood)),
        ]);
        if shown != *expected {
            failures.push(format!(
                "{statement}\n  expected {expected}\n  found    {shown}"
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn statements_are_read_within_limits() {
    let deep = |depth: usize| {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        format!("SELECT * FROM Music WHERE {open}Artist = 'x'{close}")
    };
    assert!(partiql::read(&deep(MAX_CONDITION_DEPTH)).is_understood);
    assert!(!partiql::read(&deep(MAX_CONDITION_DEPTH + 1)).is_understood);
    assert!(!partiql::read(&deep(5_000)).is_understood);
    let nots = format!("SELECT * FROM Music WHERE {}a = 1", "NOT ".repeat(5_000));
    assert!(!partiql::read(&nots).is_understood);
    let long = format!(
        "DELETE FROM Music WHERE Artist = '{}'",
        "x".repeat(partiql::MAX_STATEMENT_BYTES)
    );
    let long = partiql::read(&long);
    assert_eq!(long.verb.map(|verb| verb.as_str()), Some("PartiQLDelete"));
    assert!(!long.is_understood);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_statement_is_survived(statement in prop_oneof![
        "\\PC{0,80}",
        "(SELECT|INSERT INTO|UPDATE|DELETE FROM|EXISTS|WHERE|AND|OR|NOT|a|\"b\"|'c'|[(){}<>\\[\\]=,.:?*;'\" -]|\\*\\*\\*\\(Redacted\\)| ){0,40}",
    ]) {
        let found = partiql::read(&statement);
        parsed(found.key.as_deref());
    }
}
