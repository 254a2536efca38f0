//! Random lakes: the view `sightings` says what a slow walk over them does, with and without its files.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{forget_some, rebuild, rows, slow, state};
use crate::product::convert;
use crate::report::records;

/// A short record of the report cases, of few values that meet often.
fn short_record() -> impl Strategy<Value = Value> {
    let who = prop::sample::select(vec![
        "alice",
        "bob",
        "app",
        "app2",
        "autoscaling",
        "foreign",
    ]);
    let call = 0..6_usize;
    let table = prop::sample::select(vec!["orders", "carts"]);
    let agent = prop::sample::select(vec![
        json!("aws-cli/2.15"),
        json!("Boto3/1.0"),
        json!("ü'\"\u{202e}"),
        Value::Null,
    ]);
    let address = prop::sample::select(vec!["198.51.100.7", "203.0.113.9", "AWS Internal"]);
    let fails = prop::sample::select(vec![None, None, Some("AccessDeniedException")]);
    (1..5_u32, 0..24_u32, who, call, table, agent, address, fails).prop_map(
        |(day, hour, who, call, table, agent, address, fails)| {
            let key = json!({"id": "A-1"});
            let both = json!({"orders": {"keys": [key, {"id": "A-2"}]}, "carts": {"keys": [key]}});
            let (call, request) = match call {
                0 => ("dynamodb:GetItem", json!({"tableName": table, "key": key})),
                1 => ("dynamodb:PutItem", json!({"tableName": table, "key": key})),
                2 => ("dynamodb:UpdateTable", json!({"tableName": table})),
                3 => ("dynamodb:BatchGetItem", json!({"requestItems": both})),
                4 => ("dynamodb:ListTables", json!({})),
                _ => ("glue:GetTable", json!({"name": table})),
            };
            let mut record = json!({
                "at": format!("2025-03-{day:02}T{hour:02}:00:00Z"),
                "who": who, "call": call, "request": request,
                "with": {"userAgent": agent, "sourceIPAddress": address},
            });
            if let Some(error) = fails {
                record["error"] = json!(error);
            }
            record
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_lakes_are_answered_as_a_slow_walk_does(short in prop::collection::vec(short_record(), 1..60)) {
        let folder = tempfile::tempdir().expect("a folder");
        let (archive, lake) = (folder.path().join("archive"), folder.path().join("lake"));
        records::write_archive(&records::expand(&Value::Array(short)), &archive);
        convert(&archive, &lake, &["--all"]);
        let expected = slow::sightings(&lake);
        prop_assert_eq!(&rows(&lake), &expected);
        rebuild(&lake, &[]);
        prop_assert_eq!(&rows(&lake), &expected);
        if state(&lake).len() > 1 {
            forget_some(&lake);
            prop_assert_eq!(&rows(&lake), &expected);
        }
    }
}
