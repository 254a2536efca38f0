//! The view `sightings` by a plain walk over the rows of `operations` and `events`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::product::{path, run};

const COUNTS: [&str; 10] = [
    "operations",
    "succeeded",
    "refused",
    "item_reads",
    "item_writes",
    "item_deletes",
    "changes",
    "on_control",
    "on_data",
    "on_streams",
];

/// What tells rows apart, in their order.
const KEYS: [&str; 8] = [
    "dt",
    "kind",
    "recipient_account_id",
    "aws_region",
    "table_name",
    "value",
    "principal",
    "is_service_made",
];

/// Texts in order, what is absent behind them.
type Key = Vec<(bool, String)>;

/// The view's rows in order, a line of JSON each.
pub fn sightings(lake: &Path) -> Vec<String> {
    let mut rows: BTreeMap<Key, Map<String, Value>> = BTreeMap::new();
    let operations = table(lake, "operations");
    for operation in operations.iter().filter(|row| counts(row)) {
        for (kind, column) in [
            ("principal", "principal"),
            ("address", "source_ip_address"),
            ("access_key", "access_key_id"),
        ] {
            let access = operation["access"].as_str();
            add(&mut rows, operation, [kind, column], access);
        }
    }
    let mut tables: BTreeMap<[String; 3], BTreeSet<String>> = BTreeMap::new();
    for operation in operations.iter().filter(|row| counts(row)) {
        let table = operation["table_name"].as_str().expect("it counts");
        let event = of_event(operation);
        tables.entry(event).or_default().insert(table.to_owned());
    }
    for event in table(lake, "events") {
        let is_call = ["data", "control", "streams"]
            .map(Value::from)
            .contains(&event["plane"]);
        if !is_call {
            continue;
        }
        if counts(&event) {
            add(&mut rows, &event, ["user_agent", "user_agent"], None);
        } else if event["table_name"].is_null() && event["operation_count"].as_i64() > Some(1) {
            for table in tables.get(&of_event(&event)).into_iter().flatten() {
                let mut event = event.clone();
                event["table_name"] = json!(table);
                add(&mut rows, &event, ["user_agent", "user_agent"], None);
            }
        }
    }
    rows.into_values()
        .map(|row| Value::Object(row).to_string())
        .collect()
}

fn of_event(row: &Value) -> [String; 3] {
    ["event_id", "recipient_account_id", "dt"].map(|column| row[column].to_string())
}

/// Rows of a table of the lake, as JSON.
fn table(lake: &Path, name: &str) -> Vec<Value> {
    let sql = format!("SELECT * FROM {name}");
    let ended = run(&["query", &sql, "--lake", path(lake), "--format", "ndjson"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// Whether the row is of a known day, about one table of the trail's own account.
fn counts(row: &Value) -> bool {
    let owner = &row["owner_account_id"];
    let is_own = match owner {
        Value::Null => !row["recipient_account_id"].is_null(),
        owner => *owner == row["recipient_account_id"],
    };
    is_own && !row["dt"].is_null() && !row["table_name"].is_null()
}

fn add(
    rows: &mut BTreeMap<Key, Map<String, Value>>,
    seen: &Value,
    [kind, column]: [&str; 2],
    access: Option<&str>,
) {
    let mut row = Map::new();
    for name in KEYS {
        let value = match name {
            "kind" => json!(kind),
            "value" => seen[column].clone(),
            name => seen[name].clone(),
        };
        row.insert(name.to_owned(), value);
    }
    let key = KEYS.map(|name| match &row[name] {
        Value::Null => (true, String::new()),
        Value::String(text) => (false, text.clone()),
        other => (false, other.to_string()),
    });
    let row = rows.entry(key.to_vec()).or_insert_with(|| {
        row.extend(COUNTS.map(|name| (name.to_owned(), json!(0))));
        row
    });
    let (outcome, plane) = (seen["outcome"].as_str(), seen["plane"].as_str());
    let of_access = |wanted: &str| outcome == Some("ok") && access == Some(wanted);
    for (name, is_one) in [
        ("operations", true),
        ("succeeded", outcome == Some("ok")),
        ("refused", outcome == Some("denied")),
        ("item_reads", of_access("read")),
        ("item_writes", of_access("write")),
        ("item_deletes", of_access("delete")),
        ("changes", of_access("control_write")),
        ("on_control", plane == Some("control")),
        ("on_data", plane == Some("data")),
        ("on_streams", plane == Some("streams")),
    ] {
        row[name] = json!(row[name].as_i64().expect("a count") + i64::from(is_one));
    }
    least(row, "first_seen", &seen["event_time"], |new, old| new < old);
    least(row, "last_seen", &seen["event_time"], |new, old| new > old);
    least(row, "event_id", &seen["event_id"], |new, old| new < old);
}

fn least(
    row: &mut Map<String, Value>,
    name: &str,
    value: &Value,
    is_better: fn(&str, &str) -> bool,
) {
    let old = row.entry(name).or_insert(Value::Null);
    let is_wanted = match (value.as_str(), old.as_str()) {
        (Some(new), Some(old)) => is_better(new, old),
        _ => old.is_null(),
    };
    if is_wanted {
        *old = value.clone();
    }
}
