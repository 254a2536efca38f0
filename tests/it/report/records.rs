//! Makes whole CloudTrail records of the short ones in case files, and an archive of them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

const DATA_READS: [&str; 5] = [
    "GetItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "TransactGetItems",
];

const DATA_WRITES: [&str; 8] = [
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactWriteItems",
    "ExecuteStatement",
    "BatchExecuteStatement",
    "ExecuteTransaction",
];

const STREAMS: [&str; 2] = ["GetRecords", "GetShardIterator"];

/// The members that a short record may have.
const MEMBERS: [&str; 8] = [
    "at", "who", "call", "request", "response", "error", "with", "repeat",
];

/// Whole records, in order.
pub fn expand(short: &Value) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/identities.json");
    let identities = std::fs::read_to_string(path).expect("the identities");
    let identities: Value = serde_json::from_str(&identities).expect("JSON");
    let mut records = Vec::new();
    for short in short.as_array().expect("a list of records") {
        for member in short.as_object().expect("an object").keys() {
            assert!(
                MEMBERS.contains(&member.as_str()),
                "unknown member {member:?}"
            );
        }
        let times = short["repeat"]["times"].as_i64().unwrap_or(1);
        let every_s = short["repeat"]["every_s"].as_i64().unwrap_or(0);
        for copy in 0..times {
            let number = records.len() + 1;
            records.push(record(short, &identities, copy, copy * every_s, number));
        }
    }
    records
}

fn record(short: &Value, identities: &Value, copy: i64, after_s: i64, number: usize) -> Value {
    let text = |member: &str| short[member].as_str();
    let begin: jiff::Timestamp = text("at").and_then(|at| at.parse().ok()).expect("a time");
    let at = begin + jiff::SignedDuration::from_secs(after_s);
    let (service, name) = text("call")
        .and_then(|c| c.split_once(':'))
        .expect("a call");
    let who = text("who").unwrap_or("app");
    let identity = &identities[who];
    assert!(identity.is_object(), "nobody is called {who:?}");
    let is_read = DATA_READS.contains(&name);
    let is_data = (service == "dynamodb" && (is_read || DATA_WRITES.contains(&name)))
        || (service == "streams.dynamodb" && STREAMS.contains(&name));
    let request = filled(&short["request"], copy);
    let reads = ["Describe", "List", "Get"];
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "eventSource": format!("{service}.amazonaws.com"),
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "198.51.100.7",
        "userAgent": "aws-sdk-java/2.29",
        "requestParameters": request,
        "responseElements": filled(&short["response"], copy),
        "requestID": format!("REQUEST{number:012}"),
        "eventID": format!("00000000-0000-4000-8000-{number:012}"),
        "readOnly": is_read || reads.iter().any(|start| name.starts_with(start)),
        "eventType": "AwsApiCall",
        "managementEvent": !is_data,
        "recipientAccountId": "111122223333",
        "eventCategory": if is_data { "Data" } else { "Management" },
    });
    match &short["error"] {
        Value::String(code) => record["errorCode"] = json!(code),
        Value::Array(error) => {
            record["errorCode"] = error[0].clone();
            record["errorMessage"] = error[1].clone();
        }
        _ => {}
    }
    if let (true, Some(table)) = (is_data, request["tableName"].as_str()) {
        let arn = match table.starts_with("arn:") {
            true => table.to_owned(),
            false => format!("arn:aws:dynamodb:us-east-1:111122223333:table/{table}"),
        };
        record["resources"] =
            json!([{"accountId": "111122223333", "type": "AWS::DynamoDB::Table", "ARN": arn}]);
    }
    for (member, value) in short["with"].as_object().into_iter().flatten() {
        record[member] = filled(value, copy);
    }
    record
}

/// `{n}` in texts becomes the copy's number.
fn filled(value: &Value, copy: i64) -> Value {
    let fill = |text: &str| text.replace("{n}", &copy.to_string());
    match value {
        Value::String(text) => Value::from(fill(text)),
        Value::Array(elements) => elements.iter().map(|e| filled(e, copy)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (fill(name), filled(value, copy)))
            .collect(),
        other => other.clone(),
    }
}

/// Writes one object an account, region and day, delivered five minutes before midnight.
pub fn write_archive(records: &[Value], archive: &Path) {
    let mut objects: BTreeMap<[String; 3], Vec<&Value>> = BTreeMap::new();
    for record in records {
        let text = |member: &str| record[member].as_str().unwrap_or_default().to_owned();
        let day = text("eventTime")[..10].to_owned();
        let key = [text("recipientAccountId"), text("awsRegion"), day];
        objects.entry(key).or_default().push(record);
    }
    std::fs::create_dir_all(archive).expect("a folder");
    for ([account, region, day], records) in objects {
        let folder = archive
            .join("AWSLogs")
            .join(&account)
            .join("CloudTrail")
            .join(&region)
            .join(day.replace('-', "/"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let day = day.replace('-', "");
        let name = format!("{account}_CloudTrail_{region}_{day}T2355Z_AAAAAAAAAAAAAAAA.json.gz");
        let file = std::fs::File::create(folder.join(name)).expect("a file");
        let mut gzip = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let text = json!({ "Records": records }).to_string();
        gzip.write_all(text.as_bytes()).expect("a file is written");
        gzip.finish().expect("a file is written");
    }
}
