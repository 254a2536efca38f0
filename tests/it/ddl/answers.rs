//! What the published queries should answer, by a plain walk over the records.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::records::UNREADABLE_IDENTITY;

/// Compares an engine's answers with those of a walk over the records.
pub fn assert_answers(answers: &Value, records: &[Value]) {
    for (name, expected) in expected_answers(records) {
        let pretty = |rows: &Value| serde_json::to_string_pretty(rows).expect("JSON");
        assert_eq!(pretty(&answers[name]), pretty(&expected), "{name}");
    }
    let rows = answers["everything"].as_array().expect("rows");
    let mut by_id = BTreeMap::new();
    for record in records {
        by_id.insert(text(record, "/eventID").expect("an id"), record);
    }
    assert_eq!(rows.len(), by_id.len());
    for (row, (id, record)) in rows.iter().zip(by_id) {
        assert_eq!(shown(row), documented(record), "{id}");
    }
}

fn text<'r>(record: &'r Value, pointer: &str) -> Option<&'r str> {
    record.pointer(pointer)?.as_str()
}

/// Rows of an answer: each of these columns with its value.
fn row<const N: usize>(columns: [(&str, Value); N]) -> Value {
    Value::Object(
        columns
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect(),
    )
}

fn expected_answers(records: &[Value]) -> Vec<(&'static str, Value)> {
    let mut records: Vec<&Value> = records.iter().collect();
    records.sort_by_key(|record| text(record, "/eventID"));
    let select = |name, is_wanted: &dyn Fn(&Value) -> bool, columns: &[(&str, &str)]| {
        (name, selected(&records, is_wanted, columns))
    };
    let attributes = "/userIdentity/sessionContext/attributes";
    let federation = "/userIdentity/sessionContext/webIdFederationData";
    vec![
        ("calls_by_principal", calls_by_principal(&records)),
        ("calls_by_role", calls_by_role(&records)),
        ("resources", resources(&records)),
        ("events", events(&records)),
        select(
            "denied",
            &|r| has(r, "/errorCode", &["AccessDenied", "AccessDeniedException"]),
            &[
                ("errorcode", "/errorCode"),
                ("errormessage", "/errorMessage"),
                ("accesskeyid", "/userIdentity/accessKeyId"),
                ("sourceipaddress", "/sourceIPAddress"),
            ],
        ),
        select(
            "without_mfa",
            &|r| has(r, &format!("{attributes}/mfaAuthenticated"), &["false"]),
            &[("creationdate", &format!("{attributes}/creationDate"))],
        ),
        select(
            "writes_of_a_day",
            &|r| r["readOnly"] == json!(false) && day(r) == "2025-03-30",
            &[("eventtime", "/eventTime")],
        ),
        select(
            "scans_of_a_table",
            &|r| {
                has(r, "/eventName", &["Scan", "Query", "GetItem"])
                    && r["requestParameters"]["tableName"] == "Orders"
                    && text(r, "/eventTime") >= Some("2025-03-01T00:00:00Z")
                    && text(r, "/eventTime") <= Some("2025-03-31T00:00:00Z")
            },
            &[],
        ),
        select(
            "federated",
            &|r| text(r, &format!("{federation}/federatedProvider")).is_some(),
            &[
                (
                    "federatedprovider",
                    &format!("{federation}/federatedProvider"),
                ),
                ("subject", &format!("{federation}/attributes/app:Sub")),
            ],
        ),
        select(
            "old_tls",
            &|r| has(r, "/tlsDetails/tlsVersion", &["TLSv1", "TLSv1.1"]),
            &[(
                "clientprovidedhostheader",
                "/tlsDetails/clientProvidedHostHeader",
            )],
        ),
    ]
}

/// Whether a text of the record is one of those wanted.
fn has(record: &Value, pointer: &str, wanted: &[&str]) -> bool {
    text(record, pointer).is_some_and(|found| wanted.contains(&found))
}

/// The event id and these texts of the records that are wanted.
fn selected(
    records: &[&Value],
    is_wanted: &dyn Fn(&Value) -> bool,
    columns: &[(&str, &str)],
) -> Value {
    let columns = [&[("eventid", "/eventID")], columns].concat();
    let wanted = records.iter().filter(|record| is_wanted(record));
    let rows = wanted.map(|record| {
        let values = columns
            .iter()
            .map(|(name, pointer)| ((*name).to_owned(), json!(text(record, pointer))));
        Value::Object(values.collect())
    });
    rows.collect()
}

fn events(records: &[&Value]) -> Value {
    let rows = records.iter().map(|record| {
        row([
            ("event_id", record["eventID"].clone()),
            ("event_time_ms", json!(time(record).as_millisecond())),
            ("read_only", record["readOnly"].clone()),
            ("dt", json!(day(record))),
        ])
    });
    rows.collect()
}

fn calls_by_principal(records: &[&Value]) -> Value {
    let mut calls: BTreeMap<_, u64> = BTreeMap::new();
    for record in records {
        if record["eventSource"] == "dynamodb.amazonaws.com"
            && text(record, "/eventTime") >= Some("2025-03-01T00:00:00Z")
        {
            let call = (
                text(record, "/userIdentity/arn"),
                text(record, "/eventName"),
            );
            *calls.entry(call).or_default() += 1;
        }
    }
    let rows = calls.into_iter().map(|((arn, event), calls)| {
        row([
            ("arn", json!(arn)),
            ("eventname", json!(event)),
            ("calls", json!(calls)),
        ])
    });
    rows.collect()
}

fn calls_by_role(records: &[&Value]) -> Value {
    let mut calls: BTreeMap<_, u64> = BTreeMap::new();
    for record in records {
        if record["userIdentity"]["type"] == "AssumedRole" {
            let role = text(
                record,
                "/userIdentity/sessionContext/sessionIssuer/userName",
            );
            *calls.entry(role).or_default() += 1;
        }
    }
    let rows = calls
        .into_iter()
        .map(|(role, calls)| row([("role", json!(role)), ("calls", json!(calls))]));
    rows.collect()
}

fn resources(records: &[&Value]) -> Value {
    let mut rows = Vec::new();
    for record in records {
        for resource in record["resources"].as_array().into_iter().flatten() {
            rows.push(row([
                ("eventid", record["eventID"].clone()),
                ("arn", resource["ARN"].clone()),
                ("accountid", resource["accountId"].clone()),
                ("type", resource["type"].clone()),
            ]));
        }
    }
    Value::Array(rows)
}

fn time(record: &Value) -> jiff::Timestamp {
    let time = text(record, "/eventTime").and_then(|time| time.parse().ok());
    time.expect("a time")
}

/// The UTC date of a record, YYYY-MM-DD.
fn day(record: &Value) -> String {
    time(record).to_string()[..10].to_owned()
}

/// Columns that hold JSON text, which keeps the case of its members.
const JSON_TEXTS: [&str; 5] = [
    "requestparameters",
    "responseelements",
    "additionaleventdata",
    "serviceeventdetails",
    "edgedevicedetails",
];

/// Members that the documented columns have no place for.
const UNDOCUMENTED: [&str; 7] = [
    "managementEvent",
    "sourceIdentity",
    "ARNPrefix",
    "credentialId",
    "inScopeOf",
    "unknownMember",
    // Another case than the documented member's.
    "accountid",
];

/// What the view should show of a record.
fn documented(record: &Value) -> Value {
    let mut shown = lower_case(record);
    if let Some(read_only) = shown.get("readonly").and_then(Value::as_bool) {
        shown["readonly"] = json!(read_only.to_string());
    }
    shown["timestamp"] = json!(day(record).replace('-', "/"));
    comparable(shown)
}

/// A value with its members in lower case, outside of JSON text and of maps.
fn lower_case(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .filter(|(name, _)| !UNDOCUMENTED.contains(&name.as_str()));
            let members = members.map(|(name, value)| {
                let name = name.to_lowercase();
                let is_map = name == "attributes" && value.get("mfaAuthenticated").is_none();
                match is_map || JSON_TEXTS.contains(&name.as_str()) {
                    true => (name, value.clone()),
                    false => (name, lower_case(value)),
                }
            });
            Value::Object(members.collect())
        }
        Value::Array(values) => values.iter().map(lower_case).collect(),
        value => value.clone(),
    }
}

/// What an engine showed, with its JSON texts read.
fn shown(row: &Value) -> Value {
    let mut row = row.clone();
    for name in JSON_TEXTS {
        if let Some(text) = row[name].as_str() {
            row[name] = serde_json::from_str(text).expect("JSON text");
        }
    }
    comparable(row)
}

/// Without members that are null or hold nothing but nulls: a struct has all of its fields.
fn comparable(mut row: Value) -> Value {
    if row["eventid"] == UNREADABLE_IDENTITY {
        row["useridentity"] = Value::Null;
    }
    without_nulls(&row)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), without_nulls(value)));
            let members = members.filter(|(_, value)| !value.is_null() && *value != json!({}));
            Value::Object(members.collect::<Map<_, _>>())
        }
        Value::Array(values) => values.iter().map(without_nulls).collect(),
        value => value.clone(),
    }
}
