//! Evaluates one selector against the facts of a record, in three values.

use serde::Serialize;

use super::arn;
use super::field::{Category, Operator};
use super::{Facts, Reason, ResourceFact, Verdict};

/// Event sources of DynamoDB's data events; Streams calls come from the first, some tools name
/// the second.
const DYNAMODB_SOURCES: &[&str] = &["dynamodb.amazonaws.com", "streams.dynamodb.amazonaws.com"];

/// Data events of DynamoDB Streams.
const STREAM_CALLS: [&str; 2] = ["GetRecords", "GetShardIterator"];

/// The values of one field, by operator; each list sorted and without repetition.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Conditions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub equals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts_with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ends_with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_equals: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_starts_with: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_ends_with: Vec<String>,
}

impl Conditions {
    pub fn values(&self, operator: Operator) -> &Vec<String> {
        match operator {
            Operator::Equals => &self.equals,
            Operator::StartsWith => &self.starts_with,
            Operator::EndsWith => &self.ends_with,
            Operator::NotEquals => &self.not_equals,
            Operator::NotStartsWith => &self.not_starts_with,
            Operator::NotEndsWith => &self.not_ends_with,
        }
    }

    pub fn values_mut(&mut self, operator: Operator) -> &mut Vec<String> {
        match operator {
            Operator::Equals => &mut self.equals,
            Operator::StartsWith => &mut self.starts_with,
            Operator::EndsWith => &mut self.ends_with,
            Operator::NotEquals => &mut self.not_equals,
            Operator::NotStartsWith => &mut self.not_starts_with,
            Operator::NotEndsWith => &mut self.not_ends_with,
        }
    }

    /// Sorts the values, which [`Conditions::selects`] relies on, and drops repeated ones.
    pub fn put_in_order(&mut self) {
        for operator in Operator::ALL {
            let values = self.values_mut(operator);
            values.sort();
            values.dedup();
        }
    }

    fn is_without_select(&self) -> bool {
        self.equals.is_empty() && self.starts_with.is_empty() && self.ends_with.is_empty()
    }

    /// Equals, StartsWith, EndsWith: one true pair is enough; a missing value has none.
    fn selects(&self, value: Option<&str>) -> bool {
        self.is_without_select()
            || value.is_some_and(|value| {
                is_among(value, &self.equals)
                    || begins(value, &self.starts_with)
                    || ends(value, &self.ends_with)
            })
    }

    /// NotEquals, NotStartsWith, NotEndsWith: one hit blocks; a missing value is not hit.
    fn blocks(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| {
            is_among(value, &self.not_equals)
                || begins(value, &self.not_starts_with)
                || ends(value, &self.not_ends_with)
        })
    }

    fn hold(&self, value: Option<&str>) -> bool {
        self.selects(value) && !self.blocks(value)
    }
}

fn is_among(value: &str, sorted: &[String]) -> bool {
    sorted
        .binary_search_by(|item| item.as_str().cmp(value))
        .is_ok()
}

fn begins(value: &str, prefixes: &[String]) -> bool {
    prefixes
        .iter()
        .any(|prefix| value.starts_with(prefix.as_str()))
}

fn ends(value: &str, suffixes: &[String]) -> bool {
    suffixes
        .iter()
        .any(|suffix| value.ends_with(suffix.as_str()))
}

/// One selector; a field that it does not name is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub category: Category,
    /// The `readOnly` asked for; `None` takes both.
    pub read_only: Option<bool>,
    pub resource: Option<ResourceRule>,
    pub event_name: Option<Conditions>,
    pub event_source: Option<Conditions>,
    pub event_type: Option<Conditions>,
    pub session_credential_from_console: Option<Conditions>,
    pub user_identity_arn: Option<Conditions>,
    pub error_code: Option<Conditions>,
    pub vpc_endpoint_id: Option<Conditions>,
}

impl Rule {
    /// The rule for all events of a category.
    pub fn of(category: Category, read_only: Option<bool>) -> Rule {
        Rule {
            category,
            read_only,
            resource: None,
            event_name: None,
            event_source: None,
            event_type: None,
            session_credential_from_console: None,
            user_identity_arn: None,
            error_code: None,
            vpc_endpoint_id: None,
        }
    }

    /// Whether all the rule's fields match.
    pub fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let category = match facts.category {
            Some(category) if category == self.category.as_str() => Verdict::Yes,
            Some(_) => return Verdict::No,
            // CloudTrail knows the category of every event; only old records do not tell it.
            None => Verdict::Uncertain(Reason::CategoryMissing),
        };
        if !self.texts_hold(facts) {
            return Verdict::No;
        }
        let read_only = match (self.read_only, facts.read_only) {
            (None, _) => Verdict::Yes,
            (Some(_), None) => Verdict::Uncertain(Reason::ReadOnlyMissing),
            (Some(wanted), Some(found)) if wanted == found => Verdict::Yes,
            (Some(_), Some(_)) => return Verdict::No,
        };
        let resource = match &self.resource {
            Some(resource) => resource.decide(facts),
            None => Verdict::Yes,
        };
        category.and(read_only).and(resource)
    }

    /// The fields of one text, about which nothing is uncertain.
    fn texts_hold(&self, facts: &Facts<'_>) -> bool {
        let holds = |conditions: &Option<Conditions>, value: Option<&str>| match conditions {
            Some(conditions) => conditions.hold(value),
            None => true,
        };
        // The member is there only where it is true; without it NotEquals "true" holds.
        let from_console = facts.session_credential_from_console.then_some("true");
        self.implied_sources().is_none_or(|implied| {
            facts
                .event_source
                .is_some_and(|source| implied.contains(&source))
        }) && holds(&self.event_source, facts.event_source)
            && holds(&self.event_name, facts.event_name)
            && holds(&self.event_type, facts.event_type)
            && holds(&self.session_credential_from_console, from_console)
            && holds(&self.user_identity_arn, facts.user_identity_arn)
            && holds(&self.error_code, facts.error_code)
            && holds(&self.vpc_endpoint_id, facts.vpc_endpoint_id)
    }

    /// The sources of the calls that the rule's resource type covers, where they are documented.
    fn implied_sources(&self) -> Option<&'static [&'static str]> {
        match &self.resource {
            Some(resource) if resource.is_of_dynamodb => Some(DYNAMODB_SOURCES),
            _ => None,
        }
    }

    /// The event sources that alone can match; `None` when others can.
    pub fn sources(&self) -> Option<Vec<&str>> {
        let is_blocked = |source: &str| {
            self.event_source
                .as_ref()
                .is_some_and(|conditions| !conditions.hold(Some(source)))
        };
        let mut sources: Vec<&str> = match (self.implied_sources(), &self.event_source) {
            (Some(implied), _) => implied.to_vec(),
            (None, Some(asked))
                if !asked.equals.is_empty()
                    && asked.starts_with.is_empty()
                    && asked.ends_with.is_empty() =>
            {
                asked.equals.iter().map(String::as_str).collect()
            }
            _ => return None,
        };
        sources.retain(|source| !is_blocked(source));
        Some(sources)
    }
}

/// The `resources.type` and `resources.ARN` of a data selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResourceRule {
    resource_type: String,
    is_of_dynamodb: bool,
    arns: Conditions,
    /// Values of a basic selector that may or may not be prefixes.
    pub uncertain_prefixes: Vec<String>,
}

impl ResourceRule {
    pub fn new(resource_type: String, arns: Conditions) -> ResourceRule {
        ResourceRule {
            is_of_dynamodb: resource_type == arn::TABLE || resource_type == arn::STREAM,
            resource_type,
            arns,
            uncertain_prefixes: Vec::new(),
        }
    }

    fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let is_of_type =
            |resource: &ResourceFact<'_>| resource.resource_type == Some(&self.resource_type);
        let is_listed = facts.resources.iter().any(is_of_type);
        if self.resource_type != arn::STREAM {
            return if is_listed {
                self.decide_arn(facts.resources)
            } else {
                Verdict::No
            };
        }
        // The documentation says that a stream selector logs the Streams calls. But calls on a
        // table with a stream list the stream too, and its GetRecords example lists none.
        let is_stream_call = facts
            .event_name
            .is_some_and(|name| STREAM_CALLS.contains(&name));
        match (is_listed, is_stream_call) {
            (true, true) => self.decide_arn(facts.resources),
            (true, false) => Verdict::Uncertain(Reason::StreamSelectorOnTableCall)
                .and(self.decide_arn(facts.resources)),
            (false, true) => Verdict::Uncertain(Reason::StreamEntryMissing),
            (false, false) => Verdict::No,
        }
    }

    /// Decides by the ARNs of several resources, at least one of them of the type.
    ///
    /// It is not documented whether only resources of the type count, nor whether one that is
    /// blocked blocks the event. So three readings are asked, and must agree: (1) one resource of
    /// the type is selected and not blocked; (2) one of the type is selected and none of the type
    /// is blocked; (3) one resource is selected and none at all is blocked. That a resource of
    /// another type could pass for being not blocked is no reading: the documented way to leave
    /// out an S3 bucket would then leave out nothing, as its records list the bucket too.
    fn decide_arn(&self, resources: &[ResourceFact<'_>]) -> Verdict {
        let (mut passes, mut selected, mut blocked) = (Verdict::No, Verdict::No, false);
        let (mut other_selected, mut other_blocked) = (Verdict::No, false);
        for resource in resources {
            let selects = self.selects(resource.arn);
            let blocks = self.arns.blocks(resource.arn);
            if resource.resource_type == Some(&self.resource_type) {
                selected = selected.or(selects);
                blocked |= blocks;
                if !blocks {
                    passes = passes.or(selects);
                }
            } else {
                other_selected = other_selected.or(selects);
                other_blocked |= blocks;
            }
        }
        let unless = |blocked: bool, verdict: Verdict| if blocked { Verdict::No } else { verdict };
        let of_type = unless(blocked, selected);
        let of_any = unless(blocked || other_blocked, selected.or(other_selected));
        if passes == of_type && of_type == of_any {
            return passes;
        }
        // A reason that a reading has by itself says more than that the readings differ.
        for reading in [passes, of_type, of_any] {
            if let Verdict::Uncertain(reason) = reading {
                return Verdict::Uncertain(reason);
            }
        }
        Verdict::Uncertain(if passes == of_type {
            Reason::OtherResourceType
        } else {
            Reason::ResourcesDisagree
        })
    }

    fn selects(&self, arn: Option<&str>) -> Verdict {
        if self.arns.selects(arn) {
            Verdict::Yes
        } else if arn.is_some_and(|arn| begins(arn, &self.uncertain_prefixes)) {
            Verdict::Uncertain(Reason::TableArnPrefix)
        } else {
            Verdict::No
        }
    }
}
