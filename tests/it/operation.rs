//! Normalisation of DynamoDB events and of who made them: case files, real records, hostile input.

use std::path::{Path, PathBuf};

use dynatrail::event::dynamodb::catalogue::{Access, call};
use dynatrail::event::dynamodb::operation::{
    DynamoDb, Envelope, MAX_OPERATIONS, Operation, normalise,
};
use dynatrail::event::dynamodb::outcome::{CancelReasons, Denied, Outcome};
use dynatrail::event::parse::{Json, Parser};
use dynatrail::event::principal::{Principal, principal};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text<'d>(record: Json<'d>, name: &str) -> Option<&'d str> {
    record
        .get(name)
        .and_then(Json::as_str)
        .filter(|t| !t.is_empty())
}

/// Normalises a record as its decoder would, and hands event and principal to `read`.
fn with_normalised<R>(record: &Value, read: impl FnOnce(DynamoDb<'_>, Principal<'_>) -> R) -> R {
    let record = serde_json::to_string(record).expect("a value has a text");
    with_normalised_text(&record, read)
}

fn with_normalised_text<R>(record: &str, read: impl FnOnce(DynamoDb<'_>, Principal<'_>) -> R) -> R {
    Parser::default()
        .parse(record.as_bytes(), |record| {
            let caller = principal(record.get("userIdentity"));
            let envelope = Envelope {
                event_source: text(record, "eventSource").unwrap_or("dynamodb.amazonaws.com"),
                event_name: text(record, "eventName").unwrap_or_default(),
                aws_region: text(record, "awsRegion"),
                recipient_account_id: text(record, "recipientAccountId"),
                user_account_id: caller.account_id,
                error_code: text(record, "errorCode"),
                error_message: text(record, "errorMessage"),
                request_parameters: record.get("requestParameters"),
                response_elements: record.get("responseElements"),
                resources: record.get("resources"),
            };
            read(normalise(&envelope), caller)
        })
        .expect("the record is JSON")
}

/// Builds an object of those members that hold something.
pub fn sparse(members: Vec<(&str, Value)>) -> Value {
    let kept = members.into_iter().filter(|(_, value)| {
        !matches!(value, Value::Null | Value::Bool(false))
            && value.as_array().is_none_or(|list| !list.is_empty())
    });
    Value::Object(kept.map(|(name, value)| (name.to_owned(), value)).collect())
}

pub fn parsed(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| {
        serde_json::from_str(text).expect("the column holds JSON")
    })
}

fn show_event(event: &DynamoDb<'_>) -> Value {
    let denied = event.denied.as_ref().map(|denied| {
        sparse(vec![
            ("action", json!(denied.action)),
            ("resource", json!(denied.resource)),
            ("reason", json!(denied.reason)),
            ("policy_type", json!(denied.policy_type)),
            ("is_explicit", json!(denied.is_explicit)),
        ])
    });
    let operations: Vec<Value> = event
        .operations
        .iter()
        .map(|operation| show_operation(operation, event.outcome))
        .collect();
    sparse(vec![
        ("plane", json!(event.plane.as_str())),
        ("outcome", json!(event.outcome.as_str())),
        ("denied", json!(denied)),
        ("owner", json!(event.owner_account_id)),
        ("operations", json!(operations)),
        ("not_understood", json!(event.not_understood)),
    ])
}

/// The outcome is shown where it differs from the event's.
fn show_operation(operation: &Operation<'_>, event: Outcome) -> Value {
    let outcome = (operation.outcome != event).then(|| operation.outcome.as_str());
    sparse(vec![
        ("operation", json!(operation.operation)),
        ("access", json!(operation.access.as_str())),
        ("role", json!(operation.role.map(|role| role.as_str()))),
        ("table", json!(operation.table_name)),
        ("arn", json!(operation.table_arn)),
        ("index", json!(operation.index_name)),
        ("key", parsed(operation.key.as_deref())),
        ("attributes", parsed(operation.attributes.as_deref())),
        ("statement", json!(operation.statement.is_some())),
        ("conditional", json!(operation.is_conditional)),
        ("filter", json!(operation.has_filter)),
        ("select", json!(operation.select)),
        ("limit", json!(operation.item_limit)),
        ("segment", json!(operation.segment)),
        ("total_segments", json!(operation.total_segments)),
        ("outcome", json!(outcome)),
        ("cancel_reason", json!(operation.cancel_reason)),
    ])
}

fn show_principal(caller: &Principal<'_>) -> Value {
    let mfa = caller.mfa_authenticated.map(|mfa| mfa.to_string());
    sparse(vec![
        ("user_type", json!(caller.user_type)),
        ("principal_id", json!(caller.principal_id)),
        ("arn", json!(caller.arn)),
        ("account_id", json!(caller.account_id)),
        ("access_key_id", json!(caller.access_key_id)),
        ("user_name", json!(caller.user_name)),
        ("session_name", json!(caller.session_name)),
        ("session_issuer_arn", json!(caller.session_issuer_arn)),
        ("principal", json!(caller.principal)),
        ("invoked_by", json!(caller.invoked_by)),
        ("is_service_made", json!(caller.is_service_made)),
        ("mfa_authenticated", json!(mfa)),
        ("source_identity", json!(caller.source_identity)),
        ("identity_provider", json!(caller.identity_provider)),
        ("on_behalf_of_user_id", json!(caller.on_behalf_of_user_id)),
    ])
}

fn case_files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operation");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder of case files is there")
        .map(|entry| entry.expect("readable entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    files
}

/// A case is `{"name", "record", "event"?, "principal"?}`; each expectation is complete: members
/// that are null, false or empty are left out.
#[test]
fn records_give_the_operations_and_principals_of_their_case_files() {
    let mut failures = Vec::new();
    let mut count = 0;
    for file in case_files() {
        let text = std::fs::read_to_string(&file).expect("readable case file");
        let cases: Vec<Map<String, Value>> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for case in cases {
            count += 1;
            let (event, caller) = with_normalised(&case["record"], |event, caller| {
                (show_event(&event), show_principal(&caller))
            });
            for (what, found) in [("event", event), ("principal", caller)] {
                if let Some(expected) = case.get(what).filter(|expected| **expected != found) {
                    failures.push(format!(
                        "{}: {}\n  expected {expected}\n  found    {found}",
                        file.display(),
                        case["name"]
                    ));
                }
            }
        }
    }
    assert!(count > 60, "only {count} cases");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The genuine records: every shape in them is understood, but for the accounts that were masked.
#[test]
fn corpus_records_are_understood() {
    let root = std::env::var_os("DYNATRAIL_CORPUS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
        PathBuf::from,
    );
    if !root.is_dir() {
        println!("skipped: no corpus at {}", root.display());
        return;
    }
    let mut records = Vec::new();
    collect(&root, &mut records);
    assert!(
        !records.is_empty(),
        "no DynamoDB record in {}",
        root.display()
    );
    for record in &records {
        with_normalised(record, |event, _| {
            let tableless = ["ListTables", "ListGlobalTables"];
            let name = record["eventName"].as_str().expect("an event name");
            for operation in &event.operations {
                let has_table = operation.table_name.is_some() && operation.table_arn.is_some();
                assert_eq!(has_table, !tableless.contains(&name), "{record}");
            }
            let has_error = record.get("errorCode").is_some_and(Value::is_string);
            assert_eq!(event.outcome == Outcome::Ok, !has_error, "{record}");
            for name in &event.not_understood {
                assert_eq!(
                    *name, "resources.accountId differs from the ARN",
                    "{record}"
                );
            }
        });
    }
    println!("{} records", records.len());
}

fn collect(path: &Path, records: &mut Vec<Value>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).expect("readable folder") {
            collect(&entry.expect("readable entry").path(), records);
        }
    } else if let Ok(text) = std::fs::read_to_string(path) {
        match serde_json::from_str(&text) {
            Ok(value) => find_records(&value, records),
            Err(_) => {
                let lines = text
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok());
                lines.for_each(|value: Value| find_records(&value, records));
            }
        }
    }
}

fn find_records(value: &Value, records: &mut Vec<Value>) {
    match value {
        Value::Object(members) => {
            let source = members.get("eventSource").and_then(Value::as_str);
            if matches!(source, Some("dynamodb.amazonaws.com" | "dax.amazonaws.com")) {
                records.push(value.clone());
            } else {
                members
                    .values()
                    .for_each(|member| find_records(member, records));
            }
        }
        Value::Array(elements) => elements.iter().for_each(|e| find_records(e, records)),
        _ => {}
    }
}

#[test]
fn a_flood_of_entries_is_cut_and_counted() {
    let entry = json!({"operation": "Put", "tableName": "Music"});
    let record = json!({
        "eventName": "TransactWriteItems",
        "requestParameters": {"requestItems": vec![entry; MAX_OPERATIONS + 1]},
    });
    with_normalised(&record, |event, _| {
        assert_eq!(event.operations.len(), MAX_OPERATIONS);
        assert!(event.not_understood.contains(&"operations beyond 1000"));
    });
}

#[test]
fn equal_keys_are_equal_texts() {
    let key_of = |key: &str| {
        let record = format!(
            r#"{{"eventName":"GetItem","requestParameters":{{"tableName":"T","key":{key}}}}}"#
        );
        with_normalised_text(&record, |event, _| {
            event.operations[0].key.as_deref().map(str::to_owned)
        })
    };
    let canonical = r#"{"artist":"AC/DC \"é\"","year":"7"}"#;
    for key in [
        canonical,
        r#"{"year":"7","artist":"AC/DC \"é\""}"#,
        "{ \"artist\" : \"AC\\/DC \\\"\\u00e9\\\"\",\n \"year\":\"7\" }",
        r#"{"artist":{"S":"AC/DC \"é\""},"year":{"N":"7"}}"#,
    ] {
        assert_eq!(key_of(key).as_deref(), Some(canonical), "{key}");
    }
    assert_eq!(key_of(r#"{"id":5.0}"#).as_deref(), Some(r#"{"id":5.0}"#));
    assert_ne!(key_of(r#"{"id":"\ud800"}"#), key_of(r#"{"id":"\ud801"}"#));
}

#[test]
fn error_codes_have_outcomes() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operation/errors/outcomes.json"),
    )
    .expect("the table of error codes is there");
    let outcomes: Map<String, Value> = serde_json::from_str(&text).expect("outcome to codes");
    for (outcome, codes) in &outcomes {
        for code in codes.as_array().expect("a list of codes") {
            let code = code.as_str().expect("a code");
            assert_eq!(Outcome::of_call(Some(code)).as_str(), outcome, "{code}");
        }
    }
    assert_eq!(Outcome::of_call(None), Outcome::Ok);
}

#[test]
fn cut_lists_of_reasons_lose_their_last_word() {
    let list = CancelReasons::parse("Transaction cancelled [None, ConditionalCheckFailed, Non");
    let list = list.expect("a list");
    assert_eq!(list.reasons, ["None", "ConditionalCheckFailed"]);
    assert!(list.is_cut);
    assert!(CancelReasons::parse("Transaction cancelled").is_none());
}

#[test]
fn cut_sentences_name_no_half_resource() {
    let sentence = |length: usize| {
        let start = "User: arn:aws:iam::111122223333:user/u is not authorized to perform: \
                     dynamodb:GetItem on resource: arn:aws:dynamodb:us-east-1:111122223333:table/";
        format!("{start}{}", "t".repeat(length - start.len()))
    };
    let whole = sentence(200);
    assert!(Denied::parse(&whole).is_some_and(|denied| denied.resource.is_some()));
    let cut = sentence(1024);
    assert!(Denied::parse(&cut).is_some_and(|denied| denied.resource.is_none()));
}

/// The delete paths and the read paths of an investigation.
#[test]
fn delete_and_read_paths_are_complete() {
    for (name, access) in [
        ("DeleteItem", Access::Delete),
        ("DeleteTable", Access::Delete),
        ("ExportTableToPointInTime", Access::Read),
        ("GetRecords", Access::Read),
        ("Scan", Access::Read),
        ("DeleteBackup", Access::ControlWrite),
    ] {
        let call = call("dynamodb.amazonaws.com", name);
        assert_eq!(call.access, access, "{name}");
        assert!(call.is_known, "{name}");
    }
    assert!(!call("dynamodb.amazonaws.com", "scan").is_known);
    assert!(!call("dax.amazonaws.com", "CreateTable").is_known);
}

/// Any JSON, with the member names that normalisation looks for.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "tableName",
        "TableName",
        "tableArn",
        "sourceTableArn",
        "targetTableName",
        "key",
        "Keys",
        "items",
        "item",
        "requestItems",
        "transactItems",
        "statements",
        "statement",
        "operation",
        "Put",
        "Delete",
        "putRequest",
        "get",
        "updateExpression",
        "expressionAttributeNames",
        "attributeUpdates",
        "expected",
        "limit",
        "select",
        "indexName",
        "omitted",
        "ARN",
        "accountId",
        "type",
        "arn",
        "principalId",
        "sessionContext",
        "sessionIssuer",
        "invokedBy",
        "attributes",
        "mfaAuthenticated",
        "shardIterator",
        "streamArn",
        "S",
        "N",
        "#n",
        "a b",
        "arn:aws:dynamodb:us-east-1:111122223333:table/Music/index/i",
        "SET #n = :v, b[0].c",
        "arn:aws:sts::111122223333:assumed-role/r/s",
        "SELECT a FROM \"T\" WHERE b = 'x' OR (",
        "é\u{1}",
        "AssumedRole",
        "",
    ])
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_record_has_operations(
        event_name in prop::sample::select(vec![
            "GetItem", "Query", "BatchGetItem", "BatchWriteItem", "TransactWriteItems",
            "TransactGetItems", "ExecuteStatement", "BatchExecuteStatement", "GetRecords",
            "RestoreTableFromBackup", "CreateTable", "Unheard",
        ]),
        error_code in prop::option::of(prop::sample::select(vec![
            "AccessDenied", "TransactionCanceledException", "ThrottlingException",
        ])),
        error_message in "(User: u is not authorized to perform: )?[ -~]{0,40}\\[?[a-zA-Z, ]*\\]?",
        parameters in any_json(),
        resources in any_json(),
        identity in any_json(),
    ) {
        let record = json!({
            "eventName": event_name, "awsRegion": "us-east-1",
            "recipientAccountId": "111122223333", "errorCode": error_code,
            "errorMessage": error_message, "requestParameters": parameters,
            "resources": resources, "userIdentity": identity,
        });
        with_normalised(&record, |event, _| {
            assert!(!event.operations.is_empty());
            for operation in &event.operations {
                // Parsing proves that these are JSON.
                parsed(operation.attributes.as_deref());
                let key = parsed(operation.key.as_deref());
                assert!(key.as_object().is_none_or(|key| !key.is_empty()));
                if let Some(arn) = operation.table_arn.as_deref() {
                    let name = operation.table_name.as_deref().unwrap_or_default();
                    assert!(!name.is_empty() && arn.ends_with(name), "{arn} is not of {name}");
                }
            }
        });
    }
}
