//! Validates basic event selectors as CloudTrail does, and translates them into rules.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::arn::{self, Extent};
use super::document::{Kind, boolean, list, object, only_members, text};
use super::error::{SelectorError, did_you_mean, quote};
use super::field::{Category, EXCLUDABLE_SOURCES};
use super::rule::{Conditions, ResourceRule, Rule};

/// Most basic selectors of a trail.
const MAX_SELECTORS: usize = 5;
/// Most data resources over all selectors of a trail; values for all resources do not count.
const MAX_DATA_RESOURCES: usize = 250;

const RESOURCE_TYPES: [&str; 3] = [arn::TABLE, arn::FUNCTION, arn::OBJECT];

/// One basic event selector; the default is what a member left out stands for.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct BasicSelector {
    read_write_type: ReadWriteType,
    include_management_events: bool,
    data_resources: Vec<DataResource>,
    exclude_management_event_sources: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
enum ReadWriteType {
    All,
    ReadOnly,
    WriteOnly,
}

impl ReadWriteType {
    const NAMES: [&'static str; 3] = ["All", "ReadOnly", "WriteOnly"];

    /// The `readOnly` that it asks for.
    fn read_only(self) -> Option<bool> {
        match self {
            ReadWriteType::All => None,
            ReadWriteType::ReadOnly => Some(true),
            ReadWriteType::WriteOnly => Some(false),
        }
    }
}

/// The values of one resource type; a type stands once in a selector.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DataResource {
    r#type: String,
    values: Vec<String>,
}

impl Default for BasicSelector {
    fn default() -> Self {
        BasicSelector {
            read_write_type: ReadWriteType::All,
            include_management_events: true,
            data_resources: Vec::new(),
            exclude_management_event_sources: Vec::new(),
        }
    }
}

/// Validates the selectors of the list at `place`.
pub(super) fn read(items: &[Value], place: &str) -> Result<Vec<BasicSelector>, SelectorError> {
    let mut selectors = Vec::new();
    let mut counted = 0;
    for (index, item) in items.iter().enumerate() {
        let place = format!("{place}[{index}]");
        if index == MAX_SELECTORS {
            let rule = format!(
                "a trail takes 1 to {MAX_SELECTORS} basic event selectors, not {}",
                items.len()
            );
            return Err(SelectorError::at(&place, rule));
        }
        selectors.push(selector(item, &place, &mut counted)?);
    }
    Ok(selectors)
}

fn selector(
    item: &Value,
    place: &str,
    counted: &mut usize,
) -> Result<BasicSelector, SelectorError> {
    let members = object(item, place)?;
    only_members(members, Kind::Basic.members(), place)?;
    let mut selector = BasicSelector::default();
    if let Some(value) = members.get("ReadWriteType") {
        selector.read_write_type = read_write_type(value, &format!("{place}.ReadWriteType"))?;
    }
    if let Some(value) = members.get("IncludeManagementEvents") {
        let place = format!("{place}.IncludeManagementEvents");
        selector.include_management_events = boolean(value, &place)?;
    }
    if let Some(value) = members.get("DataResources") {
        let place = format!("{place}.DataResources");
        selector.data_resources = data_resources(value, &place, counted)?;
    }
    if let Some(value) = members.get("ExcludeManagementEventSources") {
        let place = format!("{place}.ExcludeManagementEventSources");
        selector.exclude_management_event_sources = excluded_sources(value, &place)?;
    }
    Ok(selector)
}

fn read_write_type(value: &Value, place: &str) -> Result<ReadWriteType, SelectorError> {
    match text(value, place)? {
        "All" => Ok(ReadWriteType::All),
        "ReadOnly" => Ok(ReadWriteType::ReadOnly),
        "WriteOnly" => Ok(ReadWriteType::WriteOnly),
        other => Err(SelectorError::at(
            place,
            not_among("ReadWriteType", other, &ReadWriteType::NAMES),
        )),
    }
}

fn not_among(what: &str, found: &str, known: &[&str]) -> String {
    format!(
        "{what} is {}, not {}{}",
        known.join(" or "),
        quote(found),
        did_you_mean(found, known)
    )
}

fn excluded_sources(value: &Value, place: &str) -> Result<Vec<String>, SelectorError> {
    let mut sources = Vec::new();
    for (index, item) in list(value, place)?.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let source = text(item, &place)?;
        if !EXCLUDABLE_SOURCES.contains(&source) {
            let rule = not_among("an event source to exclude", source, EXCLUDABLE_SOURCES);
            return Err(SelectorError::at(&place, rule));
        }
        sources.push(source.to_owned());
    }
    sources.sort();
    sources.dedup();
    Ok(sources)
}

/// Reads the data resources of one selector and gathers the values of each type.
fn data_resources(
    value: &Value,
    place: &str,
    counted: &mut usize,
) -> Result<Vec<DataResource>, SelectorError> {
    let mut by_type: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, item) in list(value, place)?.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let members = object(item, &place)?;
        only_members(members, &["Type", "Values"], &place)?;
        let resource_type = resource_type(members, &place)?;
        let values = by_type.entry(resource_type.to_owned()).or_default();
        values.extend(resource_values(members, resource_type, &place, counted)?);
    }
    let mut resources = Vec::with_capacity(by_type.len());
    for (r#type, mut values) in by_type {
        values.sort();
        values.dedup();
        resources.push(DataResource { r#type, values });
    }
    Ok(resources)
}

fn resource_type<'v>(
    members: &'v Map<String, Value>,
    place: &str,
) -> Result<&'v str, SelectorError> {
    let value = members
        .get("Type")
        .ok_or_else(|| SelectorError::at(place, "a data resource needs the member Type"))?;
    let place = format!("{place}.Type");
    let resource_type = text(value, &place)?;
    if RESOURCE_TYPES.contains(&resource_type) {
        return Ok(resource_type);
    }
    let rule = not_among(
        "the type of a basic selector's data resource",
        resource_type,
        &RESOURCE_TYPES,
    );
    Err(SelectorError::at(
        &place,
        format!("{rule}; other types need advanced event selectors"),
    ))
}

fn resource_values(
    members: &Map<String, Value>,
    resource_type: &str,
    place: &str,
    counted: &mut usize,
) -> Result<Vec<String>, SelectorError> {
    let items = members
        .get("Values")
        .ok_or_else(|| SelectorError::at(place, "a data resource needs the member Values"))?;
    let place = format!("{place}.Values");
    let items = list(items, &place)?;
    if items.is_empty() {
        let rule = "a data resource needs at least one value, such as \"arn:aws:dynamodb\"";
        return Err(SelectorError::at(&place, rule));
    }
    let mut values = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let value = text(item, &place)?;
        let extent = arn::basic_extent(resource_type, value)
            .map_err(|rule| SelectorError::at(&place, rule))?;
        *counted += usize::from(extent == Extent::Some);
        if *counted > MAX_DATA_RESOURCES {
            let rule = format!(
                "a trail takes at most {MAX_DATA_RESOURCES} data resources over all its selectors"
            );
            return Err(SelectorError::at(&place, rule));
        }
        values.push(value.to_owned());
    }
    Ok(values)
}

impl BasicSelector {
    /// The rules that together decide as this selector does.
    pub fn rules(&self) -> Vec<Rule> {
        let read_only = self.read_write_type.read_only();
        let mut rules = Vec::new();
        if self.include_management_events {
            let mut rule = Rule::of(Category::Management, read_only);
            if !self.exclude_management_event_sources.is_empty() {
                rule.event_source = Some(Conditions {
                    not_equals: self.exclude_management_event_sources.clone(),
                    ..Conditions::default()
                });
            }
            rules.push(rule);
        }
        for resource in &self.data_resources {
            let mut rule = Rule::of(Category::Data, read_only);
            rule.resource = Some(resource.rule());
            rules.push(rule);
        }
        rules
    }
}

impl DataResource {
    /// S3 values are prefixes, Lambda's are exact; of DynamoDB's it is not known.
    fn rule(&self) -> ResourceRule {
        let is_for_all = |value: &String| arn::basic_extent(&self.r#type, value) == Ok(Extent::All);
        let mut arns = Conditions::default();
        let mut uncertain_prefixes = Vec::new();
        if !self.values.iter().any(is_for_all) {
            match self.r#type.as_str() {
                arn::OBJECT => arns.starts_with = self.values.clone(),
                arn::TABLE => {
                    arns.equals = self.values.clone();
                    uncertain_prefixes = self.values.clone();
                }
                _ => arns.equals = self.values.clone(),
            }
        }
        let mut rule = ResourceRule::new(self.r#type.clone(), arns);
        rule.uncertain_prefixes = uncertain_prefixes;
        rule
    }
}
