//! The slow twin of the selectors: a plain reading of CloudTrail's documentation over JSON values.
//!
//! Where the documentation leaves several readings, all are asked; only if they agree is the
//! answer sure.

use serde_json::{Value, json};

fn agreed(readings: Vec<bool>) -> u8 {
    if readings.iter().all(|logged| *logged) {
        2
    } else {
        u8::from(readings.iter().any(|logged| *logged))
    }
}

/// 0 no, 1 uncertain, 2 yes; the minimum is and, the maximum is or.
pub fn slow_decide(document: &Value, facts: &Value) -> u8 {
    let of = |list: &Value, decide: fn(&Value, &Value) -> u8| {
        let selectors = list.as_array().unwrap().iter();
        selectors
            .map(|selector| decide(selector, facts))
            .max()
            .unwrap()
    };
    match document.get("EventSelectors") {
        Some(list) => of(list, slow_basic),
        None => of(&document["AdvancedEventSelectors"], slow_advanced),
    }
}

fn slow_advanced(selector: &Value, facts: &Value) -> u8 {
    let fields = selector["FieldSelectors"].as_array().unwrap();
    let arn = fields
        .iter()
        .find(|field| field["Field"] == "resources.ARN");
    let mut verdict = 2;
    for field in fields {
        let name = field["Field"].as_str().unwrap();
        let matched = match name {
            "eventCategory" if facts["category"].is_null() => 1,
            "eventCategory" => agreed(vec![matches(field, &facts["category"])]),
            "readOnly" => match facts["readOnly"].as_bool() {
                Some(is_read) => agreed(vec![matches(field, &Value::from(is_read.to_string()))]),
                None => agreed(vec![
                    matches(field, &json!("true")),
                    matches(field, &json!("false")),
                ]),
            },
            "sessionCredentialFromConsole" => {
                let from_console = facts[name] == true;
                let value = if from_console {
                    json!("true")
                } else {
                    Value::Null
                };
                agreed(vec![matches(field, &value)])
            }
            "resources.type" => {
                let no_arn = json!({});
                slow_resources(&field["Equals"][0], &[arn.unwrap_or(&no_arn)], facts)
            }
            "resources.ARN" => 2,
            "userIdentity.arn" => agreed(vec![matches(field, &facts["userIdentityArn"])]),
            _ => agreed(vec![matches(field, &facts[name])]),
        };
        verdict = verdict.min(matched);
    }
    verdict
}

/// One field selector against one value (null: missing).
fn matches(field: &Value, value: &Value) -> bool {
    let any = |operator: &str, test: fn(&str, &str) -> bool| {
        let values = field[operator].as_array().cloned().unwrap_or_default();
        values.iter().any(|wanted| {
            let wanted = wanted.as_str().unwrap();
            value.as_str().is_some_and(|found| test(found, wanted))
        })
    };
    let equals = |found: &str, wanted: &str| found == wanted;
    let starts = |found: &str, wanted: &str| found.starts_with(wanted);
    let ends = |found: &str, wanted: &str| found.ends_with(wanted);
    let has_select = ["Equals", "StartsWith", "EndsWith"]
        .iter()
        .any(|operator| field.get(operator).is_some());
    let selected = any("Equals", equals) || any("StartsWith", starts) || any("EndsWith", ends);
    let deselected =
        any("NotEquals", equals) || any("NotStartsWith", starts) || any("NotEndsWith", ends);
    (!has_select || selected) && !deselected
}

/// The selected type with the ARN's field selector, of which there may be several readings.
fn slow_resources(wanted: &Value, arns: &[&Value], facts: &Value) -> u8 {
    let source = facts["eventSource"].as_str().unwrap_or_default();
    let is_of_dynamodb = wanted.as_str().unwrap().starts_with("AWS::DynamoDB::");
    if is_of_dynamodb && !source.ends_with("dynamodb.amazonaws.com") {
        return 0;
    }
    let all: Vec<&Value> = facts["resources"].as_array().unwrap().iter().collect();
    let typed: Vec<&Value> = all
        .iter()
        .copied()
        .filter(|entry| entry["type"] == *wanted)
        .collect();
    let mut readings = Vec::new();
    for arn in arns {
        let mut select = (*arn).clone();
        let mut deselect = (*arn).clone();
        if let (Some(select), Some(deselect)) = (select.as_object_mut(), deselect.as_object_mut()) {
            select.retain(|operator, _| !operator.starts_with("Not"));
            deselect.retain(|operator, _| operator.starts_with("Not"));
        }
        let selected = |entry: &&Value| matches(&select, &entry["ARN"]);
        let passed = |entry: &&Value| matches(&deselect, &entry["ARN"]);
        readings.push(typed.iter().any(|entry| selected(entry) && passed(entry)));
        readings.push(typed.iter().any(selected) && typed.iter().all(passed));
        readings.push(!typed.is_empty() && all.iter().any(selected) && all.iter().all(passed));
    }
    if wanted == "AWS::DynamoDB::Stream" {
        let is_stream_call = ["GetRecords", "GetShardIterator"]
            .contains(&facts["eventName"].as_str().unwrap_or_default());
        let documented: Vec<bool> = match (is_stream_call, typed.is_empty()) {
            (false, _) => vec![false],
            (true, false) => readings.clone(),
            (true, true) => vec![true, false],
        };
        readings.extend(documented);
    }
    agreed(readings)
}

fn slow_basic(selector: &Value, facts: &Value) -> u8 {
    let category = |wanted: &str| match facts["category"].as_str() {
        Some(found) => agreed(vec![found == wanted]),
        None => 1,
    };
    let read_write = match (
        selector["ReadWriteType"].as_str(),
        facts["readOnly"].as_bool(),
    ) {
        (None | Some("All"), _) => 2,
        (Some(_), None) => 1,
        (Some(wanted), Some(is_read)) => agreed(vec![(wanted == "ReadOnly") == is_read]),
    };
    let excluded = selector["ExcludeManagementEventSources"].as_array();
    let is_excluded = excluded.is_some_and(|list| list.contains(&facts["eventSource"]));
    let mut verdict = 0;
    if selector["IncludeManagementEvents"] != false && !is_excluded {
        verdict = category("Management").min(read_write);
    }
    for resource in selector["DataResources"].as_array().unwrap_or(&Vec::new()) {
        let values = resource["Values"].as_array().unwrap();
        let exact = json!({"Equals": values});
        let prefix = json!({"StartsWith": values});
        let everything = json!({});
        let bare = [
            "arn:aws:dynamodb",
            "arn:aws:lambda",
            "arn:aws:s3",
            "arn:aws:s3:::",
        ];
        let arns = if values
            .iter()
            .any(|value| bare.contains(&value.as_str().unwrap()))
        {
            vec![&everything]
        } else {
            match resource["Type"].as_str().unwrap() {
                "AWS::DynamoDB::Table" => vec![&exact, &prefix],
                "AWS::Lambda::Function" => vec![&exact],
                _ => vec![&prefix],
            }
        };
        let logged = slow_resources(&resource["Type"], &arns, facts);
        verdict = verdict.max(category("Data").min(read_write).min(logged));
    }
    verdict
}
