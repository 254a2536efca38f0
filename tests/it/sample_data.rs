//! The shipped sample: it is what its generator makes, it names nobody real, and its truth is true.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

#[path = "../../benches/generate/mod.rs"]
pub mod generate;

use generate::{BenchSpec, Fill, Truth};

const DOCUMENTATION_ACCOUNTS: [&str; 4] = [
    "111122223333",
    "123456789012",
    "444455556666",
    "777788889999",
];

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample-data")
}

/// All files under a folder by their path in it.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let name = entry
                .path()
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            found.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    assert!(!found.is_empty(), "nothing in {}", root.display());
    found
}

fn inflated(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// The objects of an archive: key and inflated text.
fn objects(archive: &Path) -> Vec<(String, String)> {
    files(archive)
        .into_iter()
        .map(|(key, bytes)| (key, inflated(&bytes)))
        .collect()
}

#[test]
fn the_generator_makes_the_shipped_bytes() {
    let made = tempfile::tempdir().unwrap();
    generate::sample(made.path()).unwrap();
    let made = files(made.path());
    let mut shipped = files(&shipped());
    for beside in ["README.md", "dynatrail.toml"] {
        shipped.remove(beside);
    }
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&made), names(&shipped));
    for (name, bytes) in &made {
        assert!(
            shipped[name] == *bytes,
            "{name} differs from what the generator makes"
        );
    }
}

/// Every text in a JSON value, member names too.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(members) => {
            for (name, value) in members {
                found.push(name.clone());
                texts(value, found);
            }
        }
        _ => {}
    }
}

/// Words of twelve digits, without the last groups of UUIDs.
fn account_ids(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut before = "";
    for word in text.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        let ends_a_uuid = before.len() == 4 && before.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_digit());
        if digits && !ends_a_uuid {
            found.push(word);
        }
        before = word;
    }
    found
}

#[test]
fn account_ids_are_found_in_keys_and_arns_but_not_in_uuids() {
    assert_eq!(account_ids("AWSLogs/210987654321/x"), ["210987654321"]);
    assert_eq!(
        account_ids("arn:aws:s3:::logs-210987654321"),
        ["210987654321"]
    );
    assert_eq!(account_ids("4ad2f5b0-1b1a-4f6e-9a63-210987654321"), [""; 0]);
}

#[test]
fn the_sample_has_only_documentation_accounts_addresses_and_keys() {
    for (key, text) in objects(&shipped().join("archive")) {
        let value: Value = serde_json::from_str(&text).unwrap();
        let mut found = vec![key.clone()];
        texts(&value, &mut found);
        for text in &found {
            for account in account_ids(text) {
                assert!(
                    DOCUMENTATION_ACCOUNTS.contains(&account),
                    "{account} in {key}"
                );
            }
            let is_key = text.len() == 20 && (text.starts_with("AKIA") || text.starts_with("ASIA"));
            assert!(!is_key || text.ends_with("EXAMPLE"), "{text} in {key}");
        }
        for record in value["Records"].as_array().into_iter().flatten() {
            let address = record["sourceIPAddress"].as_str().unwrap_or_default();
            let is_service = address.is_empty() || address.ends_with(".amazonaws.com");
            let networks = ["192.0.2.", "198.51.100.", "203.0.113.", "10."];
            let documented = networks.iter().any(|network| address.starts_with(network));
            assert!(is_service || documented, "{address} in {key}");
        }
    }
}

type Counts = BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>;

/// What a plain walk over an archive finds.
#[derive(Default)]
struct Found {
    folders: BTreeMap<String, BTreeMap<String, u64>>,
    dynamodb_events: Counts,
    dax_events: Counts,
    operations: Counts,
    duplicates: BTreeMap<String, u64>,
    /// Event IDs of the intruder's address.
    of_intruder: BTreeSet<String>,
}

fn add(counts: &mut Counts, path: [&str; 3], times: u64) {
    let inner = counts
        .entry(path[0].to_owned())
        .or_default()
        .entry(path[1].to_owned())
        .or_default();
    *inner.entry(path[2].to_owned()).or_default() += times;
}

fn walk(archive: &Path) -> Found {
    let mut found = Found::default();
    for name in ["dynamodb", "dax", "other"] {
        found.duplicates.insert(name.to_owned(), 0);
    }
    let mut seen = HashSet::new();
    for (key, text) in objects(archive) {
        let folder = key
            .split('/')
            .find(|part| part.starts_with("CloudTrail"))
            .unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        let no_records = Vec::new();
        let records = value["Records"].as_array().unwrap_or(&no_records);
        let sums = found.folders.entry(folder.to_owned()).or_default();
        *sums.entry("objects".to_owned()).or_default() += 1;
        *sums.entry("records".to_owned()).or_default() += records.len() as u64;
        *sums.entry("inflated_bytes".to_owned()).or_default() += text.len() as u64;
        if folder != "CloudTrail" {
            continue;
        }
        for record in records {
            let id = (
                record["recipientAccountId"].to_string(),
                record["eventID"].to_string(),
            );
            walk_record(record, seen.insert(id), &mut found);
        }
    }
    found
}

fn walk_record(record: &Value, is_first: bool, found: &mut Found) {
    let text = |name: &str| record[name].as_str().unwrap_or_default();
    let source = text("eventSource").trim_end_matches(".amazonaws.com");
    if !is_first {
        let name = if matches!(source, "dynamodb" | "dax") {
            source
        } else {
            "other"
        };
        *found.duplicates.get_mut(name).unwrap() += 1;
        return;
    }
    if text("sourceIPAddress").starts_with("203.0.113.") {
        found.of_intruder.insert(text("eventID").to_owned());
    }
    let path = [
        &text("eventTime")[..10],
        text("recipientAccountId"),
        text("eventName"),
    ];
    match source {
        "dynamodb" => add(&mut found.dynamodb_events, path, 1),
        "dax" => add(&mut found.dax_events, path, 1),
        _ => return,
    }
    let outcome = record["errorCode"].as_str().unwrap_or("success");
    for (table, operation) in accesses(record) {
        add(&mut found.operations, [&table, operation, outcome], 1);
    }
}

/// The table in an ARN (`…:table/name/…`), or the bare name itself.
fn table_in(text: &str) -> String {
    let name = text.split_once(":table/").map_or(text, |(_, rest)| rest);
    name.split(['/', ' ']).next().unwrap().to_owned()
}

fn member<'a>(entry: &'a Value, name: &str) -> &'a Value {
    let members = entry.as_object().unwrap();
    let found = members
        .iter()
        .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name));
    found.map_or(&Value::Null, |(_, value)| value)
}

fn accesses(record: &Value) -> Vec<(String, &'static str)> {
    let request = &record["requestParameters"];
    let name = record["eventName"].as_str().unwrap();
    let single = match name {
        "GetItem" => "get",
        "PutItem" => "put",
        "UpdateItem" => "update",
        "DeleteItem" => "delete",
        "Query" => "query",
        "Scan" => "scan",
        "GetRecords" => "get_records",
        _ => return entries(name, request),
    };
    let named = request["tableName"]
        .as_str()
        .or(request["shardIterator"].as_str());
    // Denied calls have no parameters; the sentence names the table.
    vec![(
        table_in(named.or(record["errorMessage"].as_str()).unwrap()),
        single,
    )]
}

/// The accesses of a call that has `requestItems` or a statement.
fn entries(name: &str, request: &Value) -> Vec<(String, &'static str)> {
    if let Some(statement) = request["statement"].as_str() {
        return vec![of_statement(statement)];
    }
    match &request["requestItems"] {
        Value::Array(entries) => entries.iter().map(|entry| of_entry(name, entry)).collect(),
        Value::Object(tables) => {
            let of_table = |(table, value): (&String, &Value)| {
                let entries = value["keys"]
                    .as_array()
                    .or(value.as_array())
                    .unwrap()
                    .iter();
                let kinds = entries.map(|entry| {
                    let is_put = entry.get("putRequest").is_some();
                    let is_delete = entry.get("deleteRequest").is_some();
                    if is_put {
                        "put"
                    } else if is_delete {
                        "delete"
                    } else {
                        "get"
                    }
                });
                kinds.map(|kind| (table.clone(), kind)).collect::<Vec<_>>()
            };
            tables.iter().flat_map(of_table).collect()
        }
        _ => Vec::new(),
    }
}

fn of_entry(name: &str, entry: &Value) -> (String, &'static str) {
    if let Some(statement) = entry["statement"].as_str() {
        return of_statement(statement);
    }
    let operation = match member(entry, "operation").as_str() {
        Some("Put") => "put",
        Some("Update") => "update",
        Some("Delete") => "delete",
        Some("ConditionCheck") => "condition_check",
        Some("Get") => "get",
        None if name == "BatchGetItem" => "get",
        other => panic!("an entry of {name} with operation {other:?}"),
    };
    (
        table_in(member(entry, "tableName").as_str().unwrap()),
        operation,
    )
}

fn of_statement(statement: &str) -> (String, &'static str) {
    let verb = match statement.split(' ').next().unwrap() {
        "SELECT" => "select",
        "INSERT" => "insert",
        "UPDATE" => "update",
        "DELETE" => "delete",
        other => panic!("a statement that begins with {other}"),
    };
    (statement.split('"').nth(1).unwrap().to_owned(), verb)
}

/// Compares a walk over the archive in a folder with the truth beside it.
fn check_truth(archive: &Path, truth: &Path) -> (Found, Value) {
    let truth: Value = serde_json::from_slice(&fs::read(truth).unwrap()).unwrap();
    let found = walk(archive);
    assert_eq!(json!(found.folders), truth["folders"]);
    assert_eq!(json!(found.dynamodb_events), truth["dynamodb_events"]);
    assert_eq!(json!(found.dax_events), truth["dax_events"]);
    assert_eq!(json!(found.duplicates), truth["duplicates"]);
    assert_eq!(json!(found.operations), truth["operations"]);
    (found, truth)
}

#[test]
fn the_truth_of_the_sample_is_what_a_plain_walk_finds() {
    let (found, truth) = check_truth(&shipped().join("archive"), &shipped().join("truth.json"));
    let mut steps = BTreeSet::new();
    for step in truth["incident"]["steps"].as_array().unwrap() {
        for id in step["event_ids"].as_array().unwrap() {
            assert!(
                steps.insert(id.as_str().unwrap().to_owned()),
                "{id} is in two steps"
            );
        }
    }
    assert_eq!(steps, found.of_intruder);
}

#[test]
fn benchmark_archives_follow_from_their_spec_and_their_truth_is_true() {
    let spec = |fill: Fill| BenchSpec {
        share: 0.5,
        objects: 20,
        fill,
        days: 3,
        seed: 7,
        command: String::from("a test"),
    };
    for fill in [Fill::InflatedBytes(100_000), Fill::Records(2)] {
        let made = tempfile::tempdir().unwrap();
        let (one, other) = (made.path().join("one"), made.path().join("other"));
        let truth: Truth = generate::bench(&one, &spec(fill)).unwrap();
        assert_eq!(truth.folders["CloudTrail"].objects, 20);
        check_truth(&one.join("AWSLogs"), &one.join("truth.json"));
        let single = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        single
            .install(|| generate::bench(&other, &spec(fill)))
            .unwrap();
        assert!(files(&one) == files(&other), "two runs of one spec differ");
        assert!(
            generate::bench(&one, &spec(fill)).is_err(),
            "an archive is there already"
        );
    }
}
