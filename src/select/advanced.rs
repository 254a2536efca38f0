//! Validates advanced event selectors as CloudTrail does for a trail.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::arn;
use super::document::{Kind, list, object, only_members, text};
use super::error::{SelectorError, did_you_mean, quote};
use super::field::{Category, Field, Operator, Values, allowed};
use super::rule::{Conditions, ResourceRule, Rule};

/// Most values over all operators, fields and selectors of a trail.
const MAX_VALUES: usize = 500;
/// Longest value, in characters.
const MAX_VALUE_CHARS: usize = 2048;
/// Longest name of a selector, in characters.
const MAX_NAME_CHARS: usize = 1000;

/// One advanced event selector; its name, which selects nothing, is left out.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AdvancedSelector {
    fields: BTreeMap<Field, Conditions>,
}

/// Validates the selectors of the list at `place`.
pub(super) fn read(items: &[Value], place: &str) -> Result<Vec<AdvancedSelector>, SelectorError> {
    let mut selectors = Vec::with_capacity(items.len());
    let mut values = 0;
    for (index, item) in items.iter().enumerate() {
        selectors.push(selector(item, &format!("{place}[{index}]"), &mut values)?);
    }
    Ok(selectors)
}

fn selector(
    item: &Value,
    place: &str,
    values: &mut usize,
) -> Result<AdvancedSelector, SelectorError> {
    let members = object(item, place)?;
    only_members(members, Kind::Advanced.members(), place)?;
    if let Some(name) = members.get("Name") {
        let place = format!("{place}.Name");
        if text(name, &place)?.chars().count() > MAX_NAME_CHARS {
            let rule = format!("a name has at most {MAX_NAME_CHARS} characters");
            return Err(SelectorError::at(&place, rule));
        }
    }
    let place_of_list = format!("{place}.FieldSelectors");
    let items = members.get("FieldSelectors").ok_or_else(|| {
        SelectorError::at(
            place,
            "an advanced selector needs the member FieldSelectors",
        )
    })?;
    let mut placed = Vec::new();
    let mut fields = BTreeMap::new();
    for (index, item) in list(items, &place_of_list)?.iter().enumerate() {
        let place = format!("{place_of_list}[{index}]");
        let (field, conditions) = field_selector(item, &place, values)?;
        if fields.insert(field, conditions).is_some() {
            let rule = format!(
                "the field {:?} stands twice in one selector; put its operators into one field \
                 selector, or write another selector",
                field.as_str()
            );
            return Err(SelectorError::at(&format!("{place}.Field"), rule));
        }
        placed.push((field, place));
    }
    if fields.is_empty() {
        return Err(SelectorError::at(
            &place_of_list,
            "a selector needs at least one field selector",
        ));
    }
    check_fields(&fields, &placed, &place_of_list)?;
    fields.values_mut().for_each(Conditions::put_in_order);
    Ok(AdvancedSelector { fields })
}

/// Reads one field selector by itself: names, operators, and values as texts.
fn field_selector(
    item: &Value,
    place: &str,
    values: &mut usize,
) -> Result<(Field, Conditions), SelectorError> {
    let members = object(item, place)?;
    let operators = Operator::ALL.map(Operator::as_str);
    only_members(members, &[&["Field"][..], &operators].concat(), place)?;
    let name = members
        .get("Field")
        .ok_or_else(|| SelectorError::at(place, "a field selector needs the member Field"))?;
    let place_of_name = format!("{place}.Field");
    let name = text(name, &place_of_name)?;
    let field = Field::from_name(name).ok_or_else(|| {
        let known = Field::ALL.map(Field::as_str);
        let rule = format!(
            "unknown field {}{}; known are {}",
            quote(name),
            did_you_mean(name, &known),
            known.join(", ")
        );
        SelectorError::at(&place_of_name, rule)
    })?;
    let mut conditions = Conditions::default();
    let mut is_empty = true;
    for operator in Operator::ALL {
        if let Some(items) = members.get(operator.as_str()) {
            let place = format!("{place}.{}", operator.as_str());
            *conditions.values_mut(operator) = operator_values(items, &place, values)?;
            is_empty = false;
        }
    }
    if is_empty {
        let rule = format!(
            "a field selector needs an operator: {}",
            operators.join(", ")
        );
        return Err(SelectorError::at(place, rule));
    }
    Ok((field, conditions))
}

fn operator_values(
    items: &Value,
    place: &str,
    values: &mut usize,
) -> Result<Vec<String>, SelectorError> {
    let items = list(items, place)?;
    if items.is_empty() {
        return Err(SelectorError::at(
            place,
            "an operator needs at least one value",
        ));
    }
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let value = text(item, &place)?;
        let chars = value.chars().count();
        if chars == 0 || chars > MAX_VALUE_CHARS {
            let rule = format!("a value has 1 to {MAX_VALUE_CHARS} characters, not {chars}");
            return Err(SelectorError::at(&place, rule));
        }
        *values += 1;
        if *values > MAX_VALUES {
            let rule = format!("a trail takes at most {MAX_VALUES} values over all its selectors");
            return Err(SelectorError::at(&place, rule));
        }
        texts.push(value.to_owned());
    }
    Ok(texts)
}

/// Holds the fields of one selector against its category.
fn check_fields(
    fields: &BTreeMap<Field, Conditions>,
    placed: &[(Field, String)],
    place: &str,
) -> Result<(), SelectorError> {
    let category = category(fields, placed, place)?;
    for field in category.required() {
        if !fields.contains_key(field) {
            let rule = format!(
                "a {} selector needs a field selector for {:?}",
                category.as_str(),
                field.as_str()
            );
            return Err(SelectorError::at(place, rule));
        }
    }
    for (field, place) in placed {
        let Some((operators, values)) = allowed(category, *field) else {
            return Err(refused_field(category, *field, place));
        };
        check_operators(&fields[field], operators, *field, category, place)?;
        check_values(&fields[field], values, *field, place)?;
    }
    if let Some(arns) = fields.get(&Field::ResourcesArn) {
        let place = place_of(placed, Field::ResourcesArn);
        let resource_type = &fields[&Field::ResourcesType].equals[0];
        for operator in [Operator::Equals, Operator::NotEquals] {
            for (index, value) in arns.values(operator).iter().enumerate() {
                arn::check_whole(resource_type, value).map_err(|rule| {
                    SelectorError::at(&format!("{place}.{}[{index}]", operator.as_str()), rule)
                })?;
            }
        }
    }
    Ok(())
}

/// The place of a field's field selector.
fn place_of(placed: &[(Field, String)], wanted: Field) -> &str {
    placed
        .iter()
        .find(|(field, _)| *field == wanted)
        .map(|(_, place)| place.as_str())
        .expect("every field of a selector has its place")
}

/// The category that the selector's `eventCategory` names.
fn category(
    fields: &BTreeMap<Field, Conditions>,
    placed: &[(Field, String)],
    place: &str,
) -> Result<Category, SelectorError> {
    let known = Category::NAMES.join(", ");
    let conditions = fields.get(&Field::EventCategory).ok_or_else(|| {
        let rule = format!("a selector needs the field \"eventCategory\" with Equals {known}");
        SelectorError::at(place, rule)
    })?;
    let place = place_of(placed, Field::EventCategory);
    if let Some(operator) = first_other(conditions, &[Operator::Equals]) {
        return Err(SelectorError::at(
            &format!("{place}.{}", operator.as_str()),
            "\"eventCategory\" takes only Equals",
        ));
    }
    if let Some(_second) = conditions.equals.get(1) {
        return Err(SelectorError::at(
            &format!("{place}.Equals[1]"),
            "a selector has one event category; write another selector for another",
        ));
    }
    let name = &conditions.equals[0];
    Category::from_name(name).ok_or_else(|| {
        let rule = if Category::EVENT_DATA_STORE_ONLY.contains(&name.as_str()) {
            format!("only event data stores take the category {name:?}; a trail takes {known}")
        } else {
            format!(
                "unknown event category {}{}; a trail takes {known}",
                quote(name),
                did_you_mean(name, &Category::NAMES)
            )
        };
        SelectorError::at(&format!("{place}.Equals[0]"), rule)
    })
}

fn refused_field(category: Category, field: Field, place: &str) -> SelectorError {
    let taken: Vec<&str> = Field::ALL
        .into_iter()
        .filter(|field| allowed(category, *field).is_some())
        .map(Field::as_str)
        .collect();
    let store = if field.is_for_event_data_store(category) {
        " (only event data stores take it)"
    } else {
        ""
    };
    let rule = format!(
        "a {} selector of a trail does not take the field {:?}{store}; it takes {}",
        category.as_str(),
        field.as_str(),
        taken.join(", ")
    );
    SelectorError::at(&format!("{place}.Field"), rule)
}

/// The first operator in use that is not among `operators`.
fn first_other(conditions: &Conditions, operators: &[Operator]) -> Option<Operator> {
    Operator::ALL
        .into_iter()
        .find(|operator| !conditions.values(*operator).is_empty() && !operators.contains(operator))
}

fn check_operators(
    conditions: &Conditions,
    operators: &[Operator],
    field: Field,
    category: Category,
    place: &str,
) -> Result<(), SelectorError> {
    let Some(operator) = first_other(conditions, operators) else {
        return Ok(());
    };
    let taken: Vec<&str> = operators.iter().map(|operator| operator.as_str()).collect();
    let store = if field == Field::EventSource && category == Category::Management {
        " (event data stores take any)"
    } else {
        ""
    };
    let rule = format!(
        "{:?} of a {} selector takes only {}, not {}{store}",
        field.as_str(),
        category.as_str(),
        taken.join(" and "),
        operator.as_str()
    );
    Err(SelectorError::at(
        &format!("{place}.{}", operator.as_str()),
        rule,
    ))
}

fn check_values(
    conditions: &Conditions,
    values: Values,
    field: Field,
    place: &str,
) -> Result<(), SelectorError> {
    for operator in Operator::ALL {
        for (index, value) in conditions.values(operator).iter().enumerate() {
            check_value(value, index, values, field).map_err(|rule| {
                SelectorError::at(&format!("{place}.{}[{index}]", operator.as_str()), rule)
            })?;
        }
    }
    Ok(())
}

fn check_value(value: &str, index: usize, values: Values, field: Field) -> Result<(), String> {
    match values {
        Values::Any | Values::Arn => Ok(()),
        Values::OneOf(known) if known.contains(&value) => Ok(()),
        Values::OneOf(known) => Err(format!(
            "{:?} takes {}, not {}{}",
            field.as_str(),
            known.join(", "),
            quote(value),
            did_you_mean(value, known)
        )),
        Values::Single | Values::ResourceType if index > 0 => Err(format!(
            "{:?} takes one value; write another selector for another",
            field.as_str()
        )),
        Values::Single => Ok(()),
        Values::ResourceType => arn::check_type(value),
    }
}

impl AdvancedSelector {
    /// The rule that decides as this selector does.
    pub fn rule(&self) -> Rule {
        let of = |field: Field| self.fields.get(&field).cloned();
        let category = Category::from_name(&self.fields[&Field::EventCategory].equals[0])
            .expect("the category was checked");
        let resource = of(Field::ResourcesType).map(|mut types| {
            let arns = of(Field::ResourcesArn).unwrap_or_default();
            ResourceRule::new(types.equals.remove(0), arns)
        });
        let read_only = of(Field::ReadOnly).and_then(|conditions| {
            let wants = |value: &str| conditions.equals.iter().any(|wanted| wanted == value);
            match (wants("true"), wants("false")) {
                (true, false) => Some(true),
                (false, true) => Some(false),
                _ => None,
            }
        });
        Rule {
            category,
            read_only,
            resource,
            event_name: of(Field::EventName),
            event_source: of(Field::EventSource),
            event_type: of(Field::EventType),
            session_credential_from_console: of(Field::SessionCredentialFromConsole),
            user_identity_arn: of(Field::UserIdentityArn),
            error_code: of(Field::ErrorCode),
            vpc_endpoint_id: of(Field::VpcEndpointId),
        }
    }
}

/// Writes the selector as CloudTrail has it, without its name.
impl Serialize for AdvancedSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct FieldSelector<'s> {
            #[serde(rename = "Field")]
            field: Field,
            #[serde(flatten)]
            conditions: &'s Conditions,
        }
        let fields: Vec<FieldSelector<'_>> = self
            .fields
            .iter()
            .map(|(field, conditions)| FieldSelector {
                field: *field,
                conditions,
            })
            .collect();
        let mut members = serializer.serialize_map(Some(1))?;
        members.serialize_entry("FieldSelectors", &fields)?;
        members.end()
    }
}
