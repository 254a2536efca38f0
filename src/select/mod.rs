//! Decides per record whether given event selectors log it, as CloudTrail would.
//!
//! ```text
//! document   text ─read─► JSON value without duplicate members
//! advanced   value ─validate─► advanced selectors ─┐
//! basic      value ─validate─► basic selectors ────┴─► Rule
//! rule       Rule × Facts ─► yes, no, uncertain
//! gate       record text ─► ruled out before parsing, where that is sound
//! field, arn, error: the vocabulary, ARN shapes, and what a refusal says
//! ```
//!
//! Selectors are put into one order before they become rules, so that a verdict depends on
//! [`Selectors::canonical_json`] alone.

mod advanced;
mod arn;
mod basic;
mod document;
mod error;
mod field;
mod gate;
mod rule;

pub use document::MAX_DOCUMENT_BYTES;
pub use error::SelectorError;
pub use gate::Gate;

use basic::BasicSelector;
use document::{Kind, Parsed};
use rule::Rule;

/// What a selector can ask of a record; borrowed from the decoded event.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// `Management`, `Data`, `NetworkActivity`, `Insight` or `Aggregated`, derived by the caller
    /// for records older than event version 1.07; `None` where it cannot be told.
    pub category: Option<&'a str>,
    /// `eventSource`, such as `dynamodb.amazonaws.com`.
    pub event_source: Option<&'a str>,
    /// `eventName`, such as `PutItem`.
    pub event_name: Option<&'a str>,
    /// `eventType`, such as `AwsApiCall`.
    pub event_type: Option<&'a str>,
    /// `readOnly`; absent below event version 1.06.
    pub read_only: Option<bool>,
    /// `sessionCredentialFromConsole`; an absent member is false.
    pub session_credential_from_console: bool,
    /// `userIdentity.arn`: of a session the assumed-role ARN, not the role's.
    pub user_identity_arn: Option<&'a str>,
    /// `errorCode`.
    pub error_code: Option<&'a str>,
    /// `vpcEndpointId`.
    pub vpc_endpoint_id: Option<&'a str>,
    /// `resources`, in the record's order.
    pub resources: &'a [ResourceFact<'a>],
}

/// One entry of a record's `resources`.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResourceFact<'a> {
    /// `type`, such as `AWS::DynamoDB::Table`.
    pub resource_type: Option<&'a str>,
    /// `ARN`.
    pub arn: Option<&'a str>,
}

/// Whether the selectors log a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /// CloudTrail's documentation, or the record, does not say enough to tell.
    Uncertain(Reason),
}

impl Verdict {
    /// Both hold (Kleene): no wins over uncertain over yes; of two reasons the first stays.
    fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::No, _) | (_, Verdict::No) => Verdict::No,
            (Verdict::Uncertain(reason), _) | (_, Verdict::Uncertain(reason)) => {
                Verdict::Uncertain(reason)
            }
            (Verdict::Yes, Verdict::Yes) => Verdict::Yes,
        }
    }

    /// One holds (Kleene): yes wins over uncertain over no; of two reasons the first stays.
    fn or(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Yes, _) | (_, Verdict::Yes) => Verdict::Yes,
            (Verdict::Uncertain(reason), _) | (_, Verdict::Uncertain(reason)) => {
                Verdict::Uncertain(reason)
            }
            (Verdict::No, Verdict::No) => Verdict::No,
        }
    }
}

/// Why a verdict is uncertain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    CategoryMissing,
    ReadOnlyMissing,
    ResourcesDisagree,
    OtherResourceType,
    StreamSelectorOnTableCall,
    StreamEntryMissing,
    TableArnPrefix,
}

impl Reason {
    /// Every reason, in the order of the enum.
    pub const ALL: [Reason; 7] = [
        Reason::CategoryMissing,
        Reason::ReadOnlyMissing,
        Reason::ResourcesDisagree,
        Reason::OtherResourceType,
        Reason::StreamSelectorOnTableCall,
        Reason::StreamEntryMissing,
        Reason::TableArnPrefix,
    ];

    /// The stable name, in snake_case.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::CategoryMissing => "category_missing",
            Reason::ReadOnlyMissing => "read_only_missing",
            Reason::ResourcesDisagree => "resources_disagree",
            Reason::OtherResourceType => "other_resource_type",
            Reason::StreamSelectorOnTableCall => "stream_selector_on_table_call",
            Reason::StreamEntryMissing => "stream_entry_missing",
            Reason::TableArnPrefix => "table_arn_prefix",
        }
    }

    /// One sentence for people.
    pub fn explanation(self) -> &'static str {
        match self {
            Reason::CategoryMissing => {
                "The record does not tell its event category, and every selector asks for one."
            }
            Reason::ReadOnlyMissing => {
                "The record has no readOnly member, and a selector asks for reads or writes."
            }
            Reason::ResourcesDisagree => {
                "The record names several resources of the selected type; some meet the \
                 selector's resources.ARN condition and others are excluded by it, and CloudTrail \
                 does not document which of them decide."
            }
            Reason::OtherResourceType => {
                "A resource of another type than the selected one would turn the selector's \
                 resources.ARN condition, and CloudTrail does not document whether it counts."
            }
            Reason::StreamSelectorOnTableCall => {
                "The selector asks for AWS::DynamoDB::Stream and the record lists a stream, but \
                 the call is not one of DynamoDB Streams: the documentation contradicts itself."
            }
            Reason::StreamEntryMissing => {
                "The selector asks for AWS::DynamoDB::Stream and the call is one of DynamoDB \
                 Streams, but the record lists no stream."
            }
            Reason::TableArnPrefix => {
                "The table's ARN only begins with the value of a basic event selector, and \
                 CloudTrail does not document whether that value is a prefix or exact."
            }
        }
    }
}

/// The validated event selectors of one trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selectors {
    rules: Vec<Rule>,
    canonical: String,
}

impl Selectors {
    /// Reads what `aws cloudtrail put-event-selectors` takes or `get-event-selectors` prints.
    ///
    /// That is a list of advanced or of basic selectors, or an object with the member
    /// `AdvancedEventSelectors` or `EventSelectors` (and `TrailARN` or `TrailName`). An object
    /// with neither, or with both empty, is the default trail: all management events.
    /// A document that CloudTrail would refuse is refused with its place and the rule.
    pub fn from_json(text: &str) -> Result<Selectors, SelectorError> {
        match document::read(text)? {
            Parsed::Listed(Kind::Advanced, list, place) => {
                let mut selectors = advanced::read(&list, &place)?;
                let canonical = canonical("AdvancedEventSelectors", &mut selectors);
                let rules = selectors.iter().map(|selector| selector.rule()).collect();
                Ok(Selectors { rules, canonical })
            }
            Parsed::Listed(Kind::Basic, list, place) => {
                Ok(Selectors::from_basic(basic::read(&list, &place)?))
            }
            Parsed::DefaultTrail => Ok(Selectors::from_basic(vec![BasicSelector::default()])),
        }
    }

    fn from_basic(mut selectors: Vec<BasicSelector>) -> Selectors {
        let canonical = canonical("EventSelectors", &mut selectors);
        let rules = selectors.iter().flat_map(BasicSelector::rules).collect();
        Selectors { rules, canonical }
    }

    /// Tells whether a trail with these selectors logs the record; allocates nothing.
    ///
    /// Insight and aggregated events are not the business of event selectors: no.
    pub fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let mut verdict = Verdict::No;
        for rule in &self.rules {
            verdict = verdict.or(rule.decide(facts));
            if verdict == Verdict::Yes {
                break;
            }
        }
        verdict
    }

    /// The event sources that alone can match, sorted; `None` when any source can match.
    ///
    /// A record whose `eventSource` is missing or not in the list is never logged
    /// ([`Selectors::decide`] says no), so it can be skipped by its text. An empty list says
    /// that the selectors contradict themselves and log nothing.
    pub fn sources(&self) -> Option<Vec<&str>> {
        let mut sources = Vec::new();
        for rule in &self.rules {
            sources.extend(rule.sources()?);
        }
        sources.sort_unstable();
        sources.dedup();
        Some(sources)
    }

    /// The selectors as a document in one spelling, for identity hashing.
    ///
    /// Names, white space, defaults left out, and the order or repetition of selectors, fields
    /// and values make no difference to it. [`Selectors::from_json`] reads it back as equal.
    pub fn canonical_json(&self) -> String {
        self.canonical.clone()
    }
}

/// Sorts the selectors, drops repeated ones, and writes them under `member`.
fn canonical<T: serde::Serialize + Ord>(member: &str, selectors: &mut Vec<T>) -> String {
    selectors.sort();
    selectors.dedup();
    let list = serde_json::to_string(selectors).expect("text, lists and booleans always serialize");
    format!("{{\"{member}\":{list}}}")
}
