//! Tells a CloudTrail record from the envelopes that other services put around it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::parse::Json;

/// How many envelopes may stand around one another: SNS in SQS in a saved response is three.
pub const MAX_ENVELOPES: usize = 6;

/// What a JSON value is to us.
#[derive(Debug, PartialEq, Eq)]
pub enum Shape<'d> {
    Record {
        kind: RecordKind,
        /// The eventSource, where it is a string.
        source: Option<&'d str>,
    },
    /// The texts of the values inside, with the kind of envelope; none for a control message.
    Envelope(EnvelopeKind, Vec<Cow<'d, str>>),
    /// An integrity digest, which is never log input.
    Digest,
    Unknown,
}

/// The kinds of CloudTrail record, by eventCategory and eventType
/// (CloudTrail record contents reference).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// Management and data events, service events, sign-ins.
    Api,
    NetworkActivity,
    Insight,
    Aggregated,
}

impl RecordKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::NetworkActivity => "network_activity",
            Self::Insight => "insight",
            Self::Aggregated => "aggregated",
        }
    }
}

/// What put an envelope around the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvelopeKind {
    /// `{"Records":[…]}` and its relatives, where other members stand first.
    Wrapper,
    LookupEvents,
    CloudWatchLogs,
    EventBridge,
    Queue,
    Notification,
    /// Something else around records, such as the documents of other tools.
    Other,
}

impl EnvelopeKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrapper => "wrapper",
            Self::LookupEvents => "lookup_events",
            Self::CloudWatchLogs => "cloudwatch_logs",
            Self::EventBridge => "eventbridge",
            Self::Queue => "sqs",
            Self::Notification => "sns",
            Self::Other => "other_envelope",
        }
    }
}

/// What one pass over a value's members tells: most values are records, and must cost no more.
#[derive(Default)]
struct Glance<'d> {
    /// Whether it has a member that only a CloudTrail record has at its top.
    is_record: bool,
    queued: Option<&'d str>,
    source: Option<&'d str>,
    category: Option<&'d str>,
    event_type: Option<&'d str>,
}

impl<'d> Glance<'d> {
    fn at(value: Json<'d>) -> Self {
        let mut glance = Self::default();
        for (name, member) in value.members() {
            match name {
                "eventVersion" | "eventName" | "eventID" | "userIdentity" => {
                    glance.is_record = true;
                }
                "eventSource" => {
                    glance.is_record = true;
                    glance.source = member.as_str();
                }
                "eventCategory" => {
                    glance.is_record = true;
                    glance.category = member.as_str();
                }
                "eventType" => glance.event_type = member.as_str(),
                "body" | "Body" => glance.queued = member.as_str(),
                _ => {}
            }
        }
        glance
    }

    /// The kind of a record. The documentation writes `AwsVpceEvents`, its examples
    /// `AwsVpceEvent`.
    fn kind(&self) -> RecordKind {
        match (self.category, self.event_type) {
            (Some("Insight"), _) | (_, Some("AwsCloudTrailInsight")) => RecordKind::Insight,
            (Some("Aggregated"), _) | (_, Some("AwsAggregatedEvent")) => RecordKind::Aggregated,
            (Some("NetworkActivity"), _) | (_, Some("AwsVpceEvent" | "AwsVpceEvents")) => {
                RecordKind::NetworkActivity
            }
            _ => RecordKind::Api,
        }
    }
}

/// Tells what a value is by its members; looks at no more than one level.
pub fn shape(value: Json<'_>) -> Shape<'_> {
    let glance = Glance::at(value);
    if let Some(body) = glance.queued.filter(|body| holds_json(body)) {
        return Shape::Envelope(EnvelopeKind::Queue, vec![Cow::Borrowed(body)]);
    }
    if glance.is_record {
        return Shape::Record {
            kind: glance.kind(),
            source: glance.source,
        };
    }
    if value.get("digestStartTime").is_some() && value.get("logFiles").is_some() {
        return Shape::Digest;
    }
    if let Some(text) = string_member(value, &["CloudTrailEvent"]) {
        return Shape::Envelope(EnvelopeKind::LookupEvents, vec![Cow::Borrowed(text)]);
    }
    if let Some(detail) = value
        .get("detail")
        .filter(|detail| detail.is_filled_object())
    {
        return Shape::Envelope(EnvelopeKind::EventBridge, vec![Cow::Borrowed(detail.raw())]);
    }
    if let Some(events) = value.get("logEvents") {
        let messages = events
            .elements()
            .filter_map(|event| string_member(event, &["message"]))
            .map(Cow::Borrowed)
            .collect();
        return Shape::Envelope(EnvelopeKind::CloudWatchLogs, messages);
    }
    if let Some(text) = string_member(value, &["message"]).filter(|text| holds_json(text)) {
        return Shape::Envelope(EnvelopeKind::CloudWatchLogs, vec![Cow::Borrowed(text)]);
    }
    let notification = value.get("Sns").unwrap_or(value);
    if let Some(text) = string_member(notification, &["Message"]).filter(|text| holds_json(text)) {
        return Shape::Envelope(EnvelopeKind::Notification, vec![Cow::Borrowed(text)]);
    }
    for name in ["Records", "Events", "events", "Messages"] {
        if let Some(elements) = value.get(name) {
            let texts = elements.elements().map(|e| Cow::Borrowed(e.raw()));
            return Shape::Envelope(EnvelopeKind::Wrapper, texts.collect());
        }
    }
    let mut found = Vec::new();
    find_records(value, &mut found);
    match found.is_empty() {
        true => Shape::Unknown,
        false => Shape::Envelope(EnvelopeKind::Other, found),
    }
}

/// Finds records at any depth of a document of another tool: objects that have a record's version
/// and another of its members, and texts that seem to hold such.
fn find_records<'d>(value: Json<'d>, found: &mut Vec<Cow<'d, str>>) {
    let has = |name| value.get(name).is_some();
    if has("eventVersion") && (has("eventSource") || has("eventType") || has("eventID")) {
        found.push(Cow::Borrowed(value.raw()));
        return;
    }
    if let Some(text) = value.as_str().filter(|text| holds_json(text)) {
        if text.contains("\"eventVersion\"") {
            found.push(Cow::Borrowed(text));
        }
        return;
    }
    for (_, member) in value.members() {
        find_records(member, found);
    }
    for element in value.elements() {
        find_records(element, found);
    }
}

static EVENT_TIME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#","eventTime":""#));

/// Where the `userIdentity` seems to stand in a record as AWS writes it: behind the version, and
/// followed by the time.
///
/// Nothing is looked at but these names, so it may end too early or too late. A text that is known
/// to be an object, though, is all of the value where it stands.
pub fn user_identity_range(record: &[u8]) -> Option<Range<usize>> {
    const LONGEST_VERSION: usize = 8;
    let version = record.strip_prefix(br#"{"eventVersion":""#)?;
    let quote = version
        .iter()
        .take(LONGEST_VERSION)
        .position(|b| *b == b'"')?;
    let identity = version[quote..].strip_prefix(br#"","userIdentity":"#)?;
    let end = EVENT_TIME.find(identity)?;
    let start = record.len() - identity.len();
    Some(start..start + end)
}

fn string_member<'d>(value: Json<'d>, names: &[&str]) -> Option<&'d str> {
    names
        .iter()
        .find_map(|name| value.get(name).and_then(Json::as_str))
}

fn holds_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}
