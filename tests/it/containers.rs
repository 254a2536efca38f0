//! Every container is told by its content and gives up its records; inspect says what it is.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::product::{convert, export, path, run};

fn record(id: &str) -> Value {
    json!({
        "eventVersion": "1.10", "eventTime": "2025-03-05T10:00:00Z", "eventID": id,
        "eventSource": "dynamodb.amazonaws.com", "eventName": "GetItem", "awsRegion": "us-east-1",
        "requestParameters": {"tableName": "Orders", "key": {"note": "a \"b\" {c} [d] \\ é"}},
        "eventCategory": "Data", "recipientAccountId": "111122223333"
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// The name of a form, its bytes around three records a, b and c, and what inspect calls it.
pub fn forms() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let records = [record("a"), record("b"), record("c")];
    let texts: Vec<String> = records.iter().map(Value::to_string).collect();
    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
    let wrapped = json!({ "Records": records });
    let log_events: Vec<Value> = texts
        .iter()
        .map(|text| json!({"id": "1", "timestamp": 1, "message": text}))
        .collect();
    let subscription = json!({
        "messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "trail",
        "logStream": "s", "subscriptionFilters": ["f"], "logEvents": log_events
    });
    let lookup: Vec<Value> = texts
        .iter()
        .map(|text| json!({"EventId": "x", "EventName": "GetItem", "EventSource": "dynamodb.amazonaws.com", "CloudTrailEvent": text}))
        .collect();
    let bridge = |record: &Value| {
        json!({"version": "0", "id": "1", "detail-type": "AWS API Call via CloudTrail",
               "source": "aws.dynamodb", "detail": record})
    };
    let bridged: Vec<String> = records
        .iter()
        .map(|record| bridge(record).to_string())
        .collect();
    let queued: Vec<Value> = records
        .iter()
        .map(|record| json!({"messageId": "1", "body": bridge(record).to_string(), "eventSource": "aws:sqs"}))
        .collect();
    let notified: Vec<Value> = records
        .iter()
        .map(|record| json!({"Type": "Notification", "MessageId": "1", "Message": bridge(record).to_string()}))
        .collect();
    let queued_notices: Vec<Value> = notified
        .iter()
        .map(|notice| json!({"MessageId": "1", "Body": notice.to_string()}))
        .collect();
    let exported: String = texts
        .iter()
        .map(|text| format!("2025-03-05T10:00:01.234Z {text}\n"))
        .collect();
    let with_bom = [b"\xef\xbb\xbf", wrapped.to_string().as_bytes()].concat();
    let crlf = pretty(&wrapped).replace('\n', "\r\n");
    let zstd = zstd::bulk::compress(wrapped.to_string().as_bytes(), 3).expect("into memory");
    let members: Vec<u8> = texts
        .iter()
        .flat_map(|text| gzip(format!("{{\"Records\":[{text}]}}").as_bytes()))
        .collect();
    vec![
        ("records", wrapped.to_string().into_bytes(), "plain"),
        ("records-gzip", gzip(wrapped.to_string().as_bytes()), "gzip"),
        ("records-zstd", zstd, "zstd"),
        ("gzip-members", members, "gzip of 3 members"),
        ("pretty-crlf", crlf.into_bytes(), "plain"),
        ("byte-order-mark", with_bom, "plain"),
        ("array", pretty(&json!(records)).into_bytes(), "plain"),
        (
            "nested-arrays",
            json!([[records[0]], [[records[1]], records[2]]])
                .to_string()
                .into_bytes(),
            "plain",
        ),
        ("lines", texts.join("\n").into_bytes(), "plain"),
        (
            "lines-crlf-gzip",
            gzip((texts.join("\r\n") + "\r\n").as_bytes()),
            "gzip",
        ),
        ("concatenated", texts.concat().into_bytes(), "plain"),
        (
            "pretty-concatenated",
            records.iter().map(pretty).collect::<String>().into_bytes(),
            "plain",
        ),
        (
            "other-members-first",
            json!({"A": 1, "Records": records}).to_string().into_bytes(),
            "plain",
        ),
        (
            "lookup-events",
            json!({"Events": lookup, "NextToken": "{["})
                .to_string()
                .into_bytes(),
            "lookup_events",
        ),
        (
            "lookup-events-pretty",
            pretty(&json!({"Events": lookup})).into_bytes(),
            "lookup_events",
        ),
        (
            "subscription-gzip",
            gzip(subscription.to_string().as_bytes()),
            "cloudwatch_logs",
        ),
        (
            "filter-log-events",
            json!({"events": log_events, "searchedLogStreams": []})
                .to_string()
                .into_bytes(),
            "cloudwatch_logs",
        ),
        ("logs-export-gzip", gzip(exported.as_bytes()), "gzip"),
        (
            "eventbridge-lines",
            bridged.join("\n").into_bytes(),
            "eventbridge",
        ),
        (
            "sqs-lambda",
            json!({ "Records": queued }).to_string().into_bytes(),
            "sqs",
        ),
        (
            "sns-lines",
            notified
                .iter()
                .map(|n| n.to_string() + "\n")
                .collect::<String>()
                .into_bytes(),
            "sns",
        ),
        (
            "sqs-sns",
            json!({ "Messages": queued_notices })
                .to_string()
                .into_bytes(),
            "sns",
        ),
        (
            "other-tool",
            json!({"aws": {"cloudtrail": {"all": records}}})
                .to_string()
                .into_bytes(),
            "other_envelope",
        ),
    ]
}

#[test]
fn every_container_gives_up_its_records() {
    for (name, bytes, told) in forms() {
        let folder = tempfile::tempdir().expect("temp folder");
        // A name that says the opposite of the content.
        let file = folder.path().join(if bytes[0] == 0x1f {
            "x.json"
        } else {
            "x.json.gz"
        });
        std::fs::write(&file, &bytes).expect("written");
        let lake = folder.path().join("lake");
        let (ended, _) = convert(&file, &lake, &[]);
        assert_eq!(ended.code, 0, "{name}: {}", ended.stderr);
        let expected = [record("a"), record("b"), record("c")];
        assert_eq!(export(&lake), expected, "{name}");

        let inspected = run(&["inspect", path(&file)]);
        assert_eq!(inspected.code, 0, "{name}: {}", inspected.stderr);
        assert!(
            inspected.stdout.contains("3 records: 3 events"),
            "{name}: {}",
            inspected.stdout
        );
        assert!(
            inspected.stdout.contains(told),
            "{name}: {told} in {}",
            inspected.stdout
        );
        assert!(
            inspected.stdout.contains("dynamodb:GetItem"),
            "{name}: {}",
            inspected.stdout
        );
    }
}

/// Columns hold JSON text as AWS writes it, however a record was stored.
#[test]
fn stored_json_has_no_white_space_between_values() {
    let folder = tempfile::tempdir().expect("temp folder");
    let file = folder.path().join("pretty.json");
    std::fs::write(
        &file,
        serde_json::to_string_pretty(&record("a")).expect("JSON"),
    )
    .expect("written");
    let lake = folder.path().join("lake");
    convert(&file, &lake, &[]);
    let text = run(&["export", path(&lake)]).stdout;
    assert!(
        text.contains(r#""requestParameters":{"tableName":"Orders""#)
            || text.contains(r#""requestParameters":{"key":{"note""#),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

/// Records of other kinds are counted by kind and kept out; network activity of DynamoDB is kept.
#[test]
fn other_kinds_are_counted_and_kept_out() {
    let insight = json!({"eventVersion": "1.07", "eventTime": "2024-01-16T10:00:00Z", "eventType": "AwsCloudTrailInsight", "eventID": "i",
        "insightDetails": {"eventSource": "dynamodb.amazonaws.com", "eventName": "Scan"}, "eventCategory": "Insight"});
    let aggregated = json!({"eventVersion": "1.0", "accountId": "111122223333", "eventId": "g", "eventCategory": "Aggregated",
        "eventType": "AwsAggregatedEvent", "eventSource": "dynamodb.amazonaws.com"});
    let network = json!({"eventVersion": "1.09", "eventTime": "2024-07-15T23:57:12Z", "eventSource": "dynamodb.amazonaws.com",
        "eventName": "ListTables", "errorCode": "VpceAccessDenied", "eventID": "n", "eventType": "AwsVpceEvent",
        "vpcEndpointId": "vpce-1", "eventCategory": "NetworkActivity"});
    let folder = tempfile::tempdir().expect("temp folder");
    let file = folder.path().join("kinds.json");
    std::fs::write(
        &file,
        json!({"Records": [insight, aggregated, network, record("a")]}).to_string(),
    )
    .expect("written");
    let digest = json!({"awsAccountId": "111122223333", "digestStartTime": "2025-03-01T00:00:00Z", "logFiles": []});
    std::fs::write(folder.path().join("digest.json"), digest.to_string()).expect("written");
    let lake = folder.path().join("lake");
    let (ended, summary) = convert(&file, &lake, &[]);
    assert_eq!(ended.code, 0);
    assert_eq!(summary["records"]["seen"], 4);
    assert_eq!(
        summary["kinds"],
        json!({"insight": 1, "aggregated": 1, "network_activity": 1})
    );
    assert_eq!(
        summary["not_selected"],
        json!({"insight": 1, "aggregated": 1})
    );
    let mut ids: Vec<Value> = export(&lake)
        .iter()
        .map(|record| record["eventID"].clone())
        .collect();
    ids.sort_by_key(Value::to_string);
    assert_eq!(ids, ["a", "n"]);

    let inspected = run(&["inspect", path(folder.path())]);
    assert!(
        inspected
            .stdout
            .contains("an integrity digest, which is never log input"),
        "{}",
        inspected.stdout
    );
}

/// Inspect reads what convert leaves out by its name, too: it says what such a file is.
#[test]
fn inspect_tells_the_files_that_are_no_log_input() {
    let archive = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/sample-data/archive/AWSLogs/111122223333"
    );
    for (folder, told) in [
        ("CloudTrail-Insight", "2  insight"),
        ("CloudTrail-Aggregated", "2  aggregated"),
        (
            "CloudTrail-Digest",
            "an integrity digest, which is never log input",
        ),
        ("CloudTrail-NetworkActivity", "dynamodb:PutItem"),
    ] {
        let inspected = run(&["inspect", &format!("{archive}/{folder}")]);
        assert_eq!(inspected.code, 0, "{}", inspected.stderr);
        assert!(
            inspected.stdout.contains(told),
            "{told} in {}",
            inspected.stdout
        );
    }
}
