//! Event selectors: case files in tests/select, and agreement with a slow, obvious evaluator.

mod random;
mod slow;

use std::cell::Cell;
use std::path::{Path, PathBuf};

use dynatrail::select::{Facts, MAX_DOCUMENT_BYTES, Reason, ResourceFact, SelectorError};
use dynatrail::select::{Selectors, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// One file: selectors with what they decide, or documents that are refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    /// What the file is about, with its source.
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    decided: Vec<Decided>,
    #[serde(default)]
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    selectors: Value,
    /// Left out: not asked. Null: any source can match.
    #[serde(default, deserialize_with = "present")]
    sources: Option<Option<Vec<String>>>,
    canonical: Option<Value>,
    /// Facts that all cases share.
    #[serde(default)]
    facts: Map<String, Value>,
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// Facts beside the shared ones; null takes one away.
    facts: Map<String, Value>,
    /// `yes`, `no`, or the name of the reason that makes it uncertain.
    verdict: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    document: Option<Value>,
    /// In place of `document`, where the spelling matters.
    text: Option<String>,
    /// A path, or line:column.
    place: String,
    words: Vec<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Vec<String>>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// The facts of a case, owned, spelt like members of a record.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OwnedFacts {
    category: Option<String>,
    event_source: Option<String>,
    event_name: Option<String>,
    event_type: Option<String>,
    read_only: Option<bool>,
    session_credential_from_console: bool,
    user_identity_arn: Option<String>,
    error_code: Option<String>,
    vpc_endpoint_id: Option<String>,
    resources: Vec<OwnedResource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnedResource {
    #[serde(rename = "type")]
    resource_type: Option<String>,
    #[serde(rename = "ARN")]
    arn: Option<String>,
}

fn decide(selectors: &Selectors, facts: &Value) -> Verdict {
    let owned: OwnedFacts = serde_json::from_value(facts.clone()).expect("facts are well formed");
    let resources: Vec<ResourceFact<'_>> = owned
        .resources
        .iter()
        .map(|resource| ResourceFact {
            resource_type: resource.resource_type.as_deref(),
            arn: resource.arn.as_deref(),
        })
        .collect();
    selectors.decide(&Facts {
        category: owned.category.as_deref(),
        event_source: owned.event_source.as_deref(),
        event_name: owned.event_name.as_deref(),
        event_type: owned.event_type.as_deref(),
        read_only: owned.read_only,
        session_credential_from_console: owned.session_credential_from_console,
        user_identity_arn: owned.user_identity_arn.as_deref(),
        error_code: owned.error_code.as_deref(),
        vpc_endpoint_id: owned.vpc_endpoint_id.as_deref(),
        resources: &resources,
    })
}

fn name_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Yes => "yes",
        Verdict::No => "no",
        Verdict::Uncertain(reason) => reason.as_str(),
    }
}

#[test]
fn case_files_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/select");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut wrong = Vec::new();
    let mut cases = 0;
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let file: CaseFile = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut found = Vec::new();
        for decided in &file.decided {
            cases += decided.cases.len() + 1;
            check_decided(decided, &mut found);
        }
        for refused in &file.refused {
            cases += 1;
            found.extend(check_refused(refused));
        }
        let file_name = path.file_name().unwrap().to_string_lossy().into_owned();
        wrong.extend(found.iter().map(|what| format!("{file_name}: {what}")));
    }
    assert!(cases > 100, "only {cases} cases were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check_decided(decided: &Decided, wrong: &mut Vec<String>) {
    let selectors = match Selectors::from_json(&decided.selectors.to_string()) {
        Ok(selectors) => selectors,
        Err(error) => return wrong.push(format!("{} refused: {error}", decided.selectors)),
    };
    if let Some(sources) = &decided.sources {
        let sources = sources.as_ref();
        let wanted = sources.map(|list| list.iter().map(String::as_str).collect::<Vec<_>>());
        if selectors.sources() != wanted {
            wrong.push(format!("sources {:?}", selectors.sources()));
        }
    }
    if let Some(canonical) = &decided.canonical {
        let found: Value = serde_json::from_str(&selectors.canonical_json()).unwrap();
        if found != *canonical {
            wrong.push(format!("canonical {found}"));
        }
    }
    for case in &decided.cases {
        let mut facts = decided.facts.clone();
        for (name, value) in &case.facts {
            if value.is_null() {
                facts.remove(name).expect("a fact taken away was there");
            } else {
                facts.insert(name.clone(), value.clone());
            }
        }
        let verdict = name_of(decide(&selectors, &Value::Object(facts)));
        if verdict != case.verdict {
            wrong.push(format!("{}: {verdict}, not {}", case.name, case.verdict));
        }
    }
}

/// What is wrong with the refusal, if anything.
fn check_refused(refused: &Refused) -> Option<String> {
    let text = match (&refused.text, &refused.document) {
        (Some(text), None) => text.clone(),
        (None, Some(document)) => document.to_string(),
        _ => panic!("a refused case has a text or a document"),
    };
    let (place, rule) = match Selectors::from_json(&text) {
        Ok(_) => return Some(format!("accepted {text}")),
        Err(SelectorError::Rule { place, rule }) => (place, rule),
        Err(SelectorError::Text {
            line,
            column,
            source,
        }) => (format!("{line}:{column}"), source.to_string()),
        Err(error @ SelectorError::TooLong { .. }) => (String::new(), error.to_string()),
    };
    let is_right = place == refused.place && refused.words.iter().all(|word| rule.contains(word));
    (!is_right).then(|| format!("{text} is refused with {place}: {rule}"))
}

#[test]
fn refuses_documents_beyond_the_limits() {
    let values = |count: usize| -> Vec<String> { (0..count).map(|n| format!("Op{n}")).collect() };
    let selector = |names: Vec<String>| {
        json!({"FieldSelectors": [
            {"Field": "eventCategory", "Equals": ["Data"]},
            {"Field": "resources.type", "Equals": ["AWS::DynamoDB::Table"]},
            {"Field": "eventName", "Equals": names}]})
    };
    let place = |document: Value| match Selectors::from_json(&document.to_string()) {
        Ok(_) => "accepted".to_owned(),
        Err(SelectorError::Rule { place, .. }) => place,
        Err(error) => error.to_string(),
    };
    let two = |count| json!([selector(values(248)), selector(values(count))]);
    assert_eq!(place(two(248)), "accepted");
    assert_eq!(place(two(249)), "[1].FieldSelectors[2].Equals[248]");
    assert_eq!(place(json!([selector(vec!["é".repeat(2048)])])), "accepted");
    assert_eq!(
        place(json!([selector(vec!["é".repeat(2049)])])),
        "[0].FieldSelectors[2].Equals[0]"
    );
    let named = |chars: usize| {
        let mut selector = selector(values(1));
        selector["Name"] = Value::from("n".repeat(chars));
        json!([selector])
    };
    assert_eq!(place(named(1000)), "accepted");
    assert_eq!(place(named(1001)), "[0].Name");

    let table = |n: usize| format!("arn:aws:dynamodb:us-east-1:123456789012:table/t{n}");
    let basic = |from: usize, to: usize| {
        json!({"DataResources": [
            {"Type": "AWS::DynamoDB::Table", "Values": (from..to).map(table).collect::<Vec<_>>()},
            {"Type": "AWS::Lambda::Function", "Values": ["arn:aws:lambda"]}]})
    };
    assert_eq!(place(json!([basic(0, 125), basic(125, 250)])), "accepted");
    assert_eq!(
        place(json!([basic(0, 125), basic(125, 251)])),
        "[1].DataResources[0].Values[125]"
    );
    assert_eq!(place(json!([{}, {}, {}, {}, {}])), "accepted");
    assert_eq!(place(json!([{}, {}, {}, {}, {}, {}])), "[5]");

    let blank = " ".repeat(MAX_DOCUMENT_BYTES - 2) + "{}";
    assert!(Selectors::from_json(&blank).is_ok());
    assert!(matches!(
        Selectors::from_json(&(blank + " ")),
        Err(SelectorError::TooLong { .. })
    ));
}

/// Every document that has one node of `value` replaced by `other`.
fn with_one_node_replaced(value: &Value, other: &Value) -> Vec<Value> {
    let mut documents = vec![other.clone()];
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                for replaced in with_one_node_replaced(item, other) {
                    let mut items = items.clone();
                    items[index] = replaced;
                    documents.push(Value::Array(items));
                }
            }
        }
        Value::Object(members) => {
            for (name, item) in members {
                for replaced in with_one_node_replaced(item, other) {
                    let mut members = members.clone();
                    members.insert(name.clone(), replaced);
                    documents.push(Value::Object(members));
                }
            }
        }
        _ => {}
    }
    documents
}

#[test]
fn documents_with_a_node_of_another_kind_are_refused_or_read_back() {
    let advanced = json!({"AdvancedEventSelectors": [{"Name": "n", "FieldSelectors": [
        {"Field": "eventCategory", "Equals": ["Data"]},
        {"Field": "resources.type", "Equals": ["AWS::DynamoDB::Table"]},
        {"Field": "resources.ARN", "NotEquals": ["arn:aws:dynamodb:us-east-1:123456789012:table/t"]}]}]});
    let basic = json!([{"ReadWriteType": "All", "IncludeManagementEvents": false,
        "DataResources": [{"Type": "AWS::DynamoDB::Table", "Values": ["arn:aws:dynamodb"]}],
        "ExcludeManagementEventSources": ["kms.amazonaws.com"]}]);
    let mut refused = 0;
    for document in [advanced, basic] {
        for other in [
            json!(null),
            json!(true),
            json!(-1.5e300),
            json!("eventCategory"),
            json!([]),
            json!({}),
        ] {
            for changed in with_one_node_replaced(&document, &other) {
                match Selectors::from_json(&changed.to_string()) {
                    Ok(read) => {
                        let again = Selectors::from_json(&read.canonical_json()).unwrap();
                        assert_eq!(again, read, "{changed}");
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(refused > 100, "only {refused} were refused");
    let nested = "[".repeat(1 << 20);
    assert!(matches!(
        Selectors::from_json(&nested),
        Err(SelectorError::Text { .. })
    ));
}

#[test]
fn every_reason_has_its_own_name_and_a_sentence() {
    let names: std::collections::BTreeSet<&str> =
        Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert!(reason.explanation().ends_with('.'));
        assert!(
            reason
                .as_str()
                .bytes()
                .all(|b| b == b'_' || b.is_ascii_lowercase())
        );
    }
}

/// The document with every list turned round.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().rev().map(reversed).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, item)| (name.clone(), reversed(item)))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// What must hold of one document and one record's facts; 0 no, 1 uncertain, 2 yes.
fn check_random(
    document: &Value,
    selectors: &Selectors,
    turned: &Selectors,
    facts: &Value,
) -> Result<u8, TestCaseError> {
    let verdict = decide(selectors, facts);
    let level = match verdict {
        Verdict::No => 0,
        Verdict::Uncertain(_) => 1,
        Verdict::Yes => 2,
    };
    prop_assert_eq!(level, slow::slow_decide(document, facts), "{}", facts);
    prop_assert_eq!(decide(turned, facts), verdict, "turned round, {}", facts);
    if let Some(sources) = selectors.sources() {
        let source = facts["eventSource"].as_str();
        let is_source = source.is_some_and(|source| sources.contains(&source));
        prop_assert!(
            is_source || verdict == Verdict::No,
            "{:?}, {}",
            sources,
            facts
        );
    }
    Ok(level)
}

#[test]
fn decides_as_the_slow_evaluator_on_random_selectors() {
    let config = ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let seen = Cell::new([0_u32; 3]);
    let records = prop::collection::vec(random::facts(), 10);
    let outcome = runner.run(&(random::document(), records), |(document, records)| {
        let selectors = Selectors::from_json(&document.to_string())
            .map_err(|error| TestCaseError::fail(format!("refused {document}: {error}")))?;
        let canonical = selectors.canonical_json();
        prop_assert_eq!(&Selectors::from_json(&canonical).unwrap(), &selectors);
        let turned = Selectors::from_json(&reversed(&document).to_string()).unwrap();
        prop_assert_eq!(turned.canonical_json(), canonical);
        for facts in &records {
            let level = check_random(&document, &selectors, &turned, facts)?;
            let mut counts = seen.get();
            counts[usize::from(level)] += 1;
            seen.set(counts);
        }
        Ok(())
    });
    outcome.unwrap();
    let seen = seen.get();
    println!("no, uncertain, yes: {seen:?}");
    assert!(
        seen.iter().all(|count| *count > 300),
        "verdicts seen: {seen:?}"
    );
}
