//! The slow, obvious reader that the fast one must agree with: serde_json and a recursive walk.

use std::io::Read;

use serde_json::Value;

/// All CloudTrail records of a file, in order: whatever wrapper or envelope stands around them.
pub fn records(bytes: &[u8]) -> Vec<Value> {
    let mut inflated = Vec::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::MultiGzDecoder::new(bytes)
            .read_to_end(&mut inflated)
            .expect("whole gzip");
    } else {
        inflated.extend_from_slice(bytes);
    }
    let text = String::from_utf8(inflated).expect("UTF-8");
    let mut records = Vec::new();
    for value in serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter()
    {
        match value {
            Ok(value) => walk(value, &mut records),
            Err(_) => break,
        }
    }
    records
}

fn walk(value: Value, records: &mut Vec<Value>) {
    match value {
        Value::Array(elements) => elements.into_iter().for_each(|e| walk(e, records)),
        Value::String(text) => {
            if let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(&text) {
                walk(value, records);
            }
        }
        Value::Object(members) => {
            let names = [
                "eventVersion",
                "eventName",
                "eventSource",
                "eventID",
                "eventCategory",
                "userIdentity",
            ];
            let is_queue_message = members.contains_key("body") || members.contains_key("Body");
            if !is_queue_message && names.iter().any(|name| members.contains_key(*name)) {
                records.push(Value::Object(members));
            } else {
                members
                    .into_iter()
                    .for_each(|(_, member)| walk(member, records));
            }
        }
        _ => {}
    }
}

/// The record without its null members: they may come back absent.
pub fn without_nulls(mut record: Value) -> Value {
    if let Value::Object(members) = &mut record {
        members.retain(|_, member| !member.is_null());
    }
    record
}

/// Whether a record is of DynamoDB, its Streams or DAX.
pub fn is_dynamodb(record: &Value) -> bool {
    matches!(
        record["eventSource"].as_str(),
        Some("dynamodb.amazonaws.com" | "streams.dynamodb.amazonaws.com" | "dax.amazonaws.com")
    )
}

/// Whether a record counts API activity instead of being an API event.
pub fn is_aggregate(record: &Value) -> bool {
    matches!(
        record["eventCategory"].as_str(),
        Some("Insight" | "Aggregated")
    ) || matches!(
        record["eventType"].as_str(),
        Some("AwsCloudTrailInsight" | "AwsAggregatedEvent")
    )
}
