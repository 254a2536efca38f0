//! Decodes a parsed record into an [`Event`]: every member in its column, nothing lost.

use super::dynamodb::operation::{self, DynamoDb, Envelope};
use super::envelope::RecordKind;
use super::parse::Json;
use super::principal::Principal;
use super::time;

/// The event sources of DynamoDB, its Streams and DAX.
pub const DYNAMODB_SOURCES: [&str; 3] = [
    "dynamodb.amazonaws.com",
    "streams.dynamodb.amazonaws.com",
    "dax.amazonaws.com",
];

/// One CloudTrail record, decoded. Texts borrow from the record.
///
/// A member of the record stands in the field of its name where that field gives the member back
/// exactly; otherwise, and for members that have no field, it stands in `extra` as written.
#[derive(Default)]
pub struct Event<'d> {
    pub event_version: Option<&'d str>,
    pub event_id: Option<&'d str>,
    /// Milliseconds since 1970-01-01T00:00:00 UTC; nothing where the eventTime is no time.
    pub event_time_ms: Option<i64>,
    /// The eventTime as written, where it is not `YYYY-MM-DDTHH:MM:SSZ`.
    pub event_time_text: Option<&'d str>,
    pub event_source: Option<&'d str>,
    pub event_name: Option<&'d str>,
    pub aws_region: Option<&'d str>,
    pub source_ip_address: Option<&'d str>,
    pub user_agent: Option<&'d str>,
    pub error_code: Option<&'d str>,
    pub error_message: Option<&'d str>,
    pub request_id: Option<&'d str>,
    pub event_type: Option<&'d str>,
    pub event_category: Option<&'d str>,
    pub api_version: Option<&'d str>,
    pub recipient_account_id: Option<&'d str>,
    pub shared_event_id: Option<&'d str>,
    pub vpc_endpoint_id: Option<&'d str>,
    pub vpc_endpoint_account_id: Option<&'d str>,
    pub session_credential_from_console: Option<&'d str>,
    pub management_event: Option<bool>,
    pub read_only: Option<bool>,
    pub user_identity: Option<Json<'d>>,
    pub request_parameters: Option<Json<'d>>,
    pub response_elements: Option<Json<'d>>,
    pub additional_event_data: Option<Json<'d>>,
    pub service_event_details: Option<Json<'d>>,
    pub resources: Option<Json<'d>>,
    pub addendum: Option<Json<'d>>,
    pub edge_device_details: Option<Json<'d>>,
    pub tls_details: Option<Json<'d>>,
    pub event_context: Option<Json<'d>>,
    /// JSON object text of the members that no field gives back.
    pub extra: Option<String>,
    pub principal: Principal<'d>,
    /// What DynamoDB normalisation adds; nothing for other services' events.
    pub dynamodb: Option<DynamoDb<'d>>,
    /// Names of what was noticed while decoding, such as shapes that are not understood.
    pub notes: Vec<&'static str>,
}

/// Why a CloudTrail record cannot become a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("eventVersion {0:?} is of a major version that is not known")]
    EventVersion(String),
}

/// Collects members that no field gives back into the text of a JSON object.
#[derive(Default)]
struct Extra(Option<String>);

impl Extra {
    /// Keeps a member with its name as written: what it reads as may have lost lone surrogates.
    fn keep(&mut self, member: Json<'_>) {
        let text = self.0.get_or_insert_with(|| "{".to_owned());
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(member.raw_name().expect("a record's members have names"));
        text.push(':');
        text.push_str(member.raw());
    }

    fn finish(self) -> Option<String> {
        self.0.map(|text| text + "}")
    }
}

impl<'d> Event<'d> {
    /// Decodes the members alone: enough to select by. [`Event::normalise`] does the rest.
    pub fn decode(record: Json<'d>) -> Result<Self, DecodeError> {
        let mut event = Event::default();
        let mut apart = Apart::default();
        if !event.take_all_if_unique(record, &mut apart) {
            (event, apart) = Default::default();
            let members = last_members(record);
            if members.len() < record.members().count() {
                event.notes.push("duplicate_member");
            }
            for (name, value) in members {
                event.take(name, name_hash(name), value, &mut apart);
            }
        }
        let Apart {
            event_time,
            mut extra,
        } = apart;
        event.set_time(event_time, &mut extra);
        event.check_version()?;
        event.extra = extra.finish();
        Ok(event)
    }

    /// Takes the members, or stops where a name may be a repeated one; never wrong with "yes".
    fn take_all_if_unique(&mut self, record: Json<'d>, apart: &mut Apart<'d>) -> bool {
        let mut seen = [0_u64; NAME_HASHES / 64];
        for (name, value) in record.members() {
            let hash = name_hash(name);
            let (word, bit) = (&mut seen[hash / 64], 1 << (hash % 64));
            if *word & bit != 0 {
                return false;
            }
            *word |= bit;
            self.take(name, hash, value, apart);
        }
        true
    }

    fn take(&mut self, name: &str, hash: usize, value: Json<'d>, apart: &mut Apart<'d>) {
        let known = FIELDS.get(usize::from(FIELD_BY_HASH[hash]));
        match known.filter(|(known, _)| *known == name) {
            Some((_, Field::Text(field))) => {
                let text = faithful_text(value);
                *field(self) = text;
                if text.is_none() && !value.is_null() {
                    apart.extra.keep(value);
                }
            }
            Some((_, Field::Json(field))) => {
                *field(self) = (!value.is_null()).then_some(value);
            }
            Some((_, Field::Bool(field))) => {
                let truth = value.as_bool();
                *field(self) = truth.or_else(|| bool_text(value));
                if truth.is_none() && !value.is_null() {
                    apart.extra.keep(value);
                }
            }
            Some((_, Field::Time)) => apart.event_time = Some(value),
            None => apart.extra.keep(value),
        }
    }

    fn set_time(&mut self, value: Option<Json<'d>>, extra: &mut Extra) {
        let Some(value) = value.filter(|value| !value.is_null()) else {
            self.notes.push("event_time_missing");
            return;
        };
        let text = faithful_text(value);
        self.event_time_ms = text.and_then(time::parse_event_time);
        if self.event_time_ms.is_none() {
            self.notes.push("event_time_not_understood");
        }
        match text {
            Some(text) if self.event_time_ms.is_some() && time::is_canonical(text) => {}
            Some(text) => self.event_time_text = Some(text),
            None => extra.keep(value),
        }
    }

    /// A higher minor version is read as far as it is known; another major version may mean
    /// anything (CloudTrail record contents, eventVersion). What is no version at all says nothing.
    fn check_version(&mut self) -> Result<(), DecodeError> {
        let Some(version) = self.event_version else {
            return Ok(());
        };
        if version.starts_with("1.") {
            return Ok(());
        }
        let major = version.split('.').next().unwrap_or_default();
        match major.parse::<u32>() {
            Ok(1) => Ok(()),
            Ok(_) => Err(DecodeError::EventVersion(
                version.chars().take(40).collect(),
            )),
            Err(_) => {
                self.notes.push("event_version_not_understood");
                Ok(())
            }
        }
    }

    /// Whether the event is DynamoDB's own, its Streams' or DAX's.
    pub fn is_dynamodb(&self) -> bool {
        self.event_source.is_some_and(|source| {
            DYNAMODB_SOURCES
                .iter()
                .any(|own| own.eq_ignore_ascii_case(source))
        })
    }

    /// Whether the caller's account is not the table's owner; nothing where either is unknown.
    pub fn is_cross_account(&self) -> Option<bool> {
        let owner = self.dynamodb.as_ref()?.owner_account_id?;
        Some(owner != self.principal.account_id?)
    }

    /// Takes the principal of the `userIdentity` on (its account is enough) and derives, for
    /// DynamoDB's events, the operations.
    pub fn normalise(&mut self, principal: Principal<'d>) {
        self.principal = principal;
        if !self.is_dynamodb() {
            return;
        }
        let dynamodb = operation::normalise(&Envelope {
            event_source: self.event_source.unwrap_or_default(),
            event_name: self.event_name.unwrap_or_default(),
            aws_region: self.aws_region,
            recipient_account_id: self.recipient_account_id,
            user_account_id: self.principal.account_id,
            error_code: self.error_code,
            error_message: self.error_message,
            request_parameters: self.request_parameters,
            response_elements: self.response_elements,
            resources: self.resources,
        });
        self.notes.extend(&dynamodb.not_understood);
        self.dynamodb = Some(dynamodb);
    }

    /// The event's category, derived where old records do not say it (eventCategory since 1.07,
    /// managementEvent since 1.06); nothing where it cannot be told.
    pub fn category(&self, kind: RecordKind) -> Option<&'d str> {
        self.event_category.or(match (kind, self.management_event) {
            (RecordKind::NetworkActivity, _) => Some("NetworkActivity"),
            (RecordKind::Insight, _) => Some("Insight"),
            (RecordKind::Aggregated, _) => Some("Aggregated"),
            (RecordKind::Api, Some(false)) => Some("Data"),
            (RecordKind::Api, Some(true)) => Some("Management"),
            (RecordKind::Api, None) => None,
        })
    }
}

/// Members that are not put into their fields at once.
#[derive(Default)]
struct Apart<'d> {
    event_time: Option<Json<'d>>,
    extra: Extra,
}

/// Where a member of the record stands in the event.
enum Field {
    Time,
    Text(for<'e, 'd> fn(&'e mut Event<'d>) -> &'e mut Option<&'d str>),
    Json(for<'e, 'd> fn(&'e mut Event<'d>) -> &'e mut Option<Json<'d>>),
    Bool(for<'e, 'd> fn(&'e mut Event<'d>) -> &'e mut Option<bool>),
}

/// The members that have a field.
static FIELDS: [(&str, Field); 31] = {
    use Field::{Bool, Json, Text, Time};
    [
        ("eventTime", Time),
        ("eventVersion", Text(|e| &mut e.event_version)),
        ("eventID", Text(|e| &mut e.event_id)),
        ("eventSource", Text(|e| &mut e.event_source)),
        ("eventName", Text(|e| &mut e.event_name)),
        ("awsRegion", Text(|e| &mut e.aws_region)),
        ("sourceIPAddress", Text(|e| &mut e.source_ip_address)),
        ("userAgent", Text(|e| &mut e.user_agent)),
        ("errorCode", Text(|e| &mut e.error_code)),
        ("errorMessage", Text(|e| &mut e.error_message)),
        ("requestID", Text(|e| &mut e.request_id)),
        ("eventType", Text(|e| &mut e.event_type)),
        ("eventCategory", Text(|e| &mut e.event_category)),
        ("apiVersion", Text(|e| &mut e.api_version)),
        ("recipientAccountId", Text(|e| &mut e.recipient_account_id)),
        ("sharedEventID", Text(|e| &mut e.shared_event_id)),
        ("vpcEndpointId", Text(|e| &mut e.vpc_endpoint_id)),
        (
            "vpcEndpointAccountId",
            Text(|e| &mut e.vpc_endpoint_account_id),
        ),
        (
            "sessionCredentialFromConsole",
            Text(|e| &mut e.session_credential_from_console),
        ),
        ("userIdentity", Json(|e| &mut e.user_identity)),
        ("requestParameters", Json(|e| &mut e.request_parameters)),
        ("responseElements", Json(|e| &mut e.response_elements)),
        (
            "additionalEventData",
            Json(|e| &mut e.additional_event_data),
        ),
        (
            "serviceEventDetails",
            Json(|e| &mut e.service_event_details),
        ),
        ("resources", Json(|e| &mut e.resources)),
        ("addendum", Json(|e| &mut e.addendum)),
        ("edgeDeviceDetails", Json(|e| &mut e.edge_device_details)),
        ("tlsDetails", Json(|e| &mut e.tls_details)),
        ("eventContext", Json(|e| &mut e.event_context)),
        ("managementEvent", Bool(|e| &mut e.management_event)),
        ("readOnly", Bool(|e| &mut e.read_only)),
    ]
};

/// The place in [`FIELDS`] of the only name there that has a hash.
static FIELD_BY_HASH: [u8; NAME_HASHES] = {
    let mut fields = [u8::MAX; NAME_HASHES];
    let mut at = 0;
    while at < FIELDS.len() {
        let field = &mut fields[name_hash(FIELDS[at].0)];
        assert!(*field == u8::MAX, "two names have one hash");
        *field = at as u8;
        at += 1;
    }
    fields
};

const NAME_HASHES: usize = 1 << 12;

/// A hash of 12 bits under which the names that AWS writes are all different.
const fn name_hash(name: &str) -> usize {
    let bytes = name.as_bytes();
    let mix = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(23)
        }
        _ => {
            let (mut short, mut at) = (0, 0);
            while at < bytes.len() {
                short = short << 8 | bytes[at] as u64;
                at += 1;
            }
            short
        }
    };
    ((mix ^ (bytes.len() as u64) << 56).wrapping_mul(NAME_HASH_FACTOR) >> 52) as usize
}

/// Chosen so that no two of the names that AWS writes collide.
const NAME_HASH_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Members by name, each with its last value, as JSON parsers have it.
fn last_members<'d>(record: Json<'d>) -> Vec<(&'d str, Json<'d>)> {
    let mut last: Vec<(&str, Json<'_>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (name, value) in record.members() {
        // Lone surrogates are all read as the same character.
        let key = match name.contains('\u{fffd}') {
            true => value.raw_name().unwrap_or(name),
            false => name,
        };
        match places.entry(key) {
            std::collections::hash_map::Entry::Occupied(place) => {
                let place: &usize = place.get();
                last[*place].1 = value;
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(last.len());
                last.push((name, value));
            }
        }
    }
    last
}

/// The text of a string from which the same string can be written again; nothing for "" (which
/// means absent) and for other kinds of value.
fn faithful_text<'d>(value: Json<'d>) -> Option<&'d str> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    (!value.has_lone_surrogate()).then_some(text)
}

/// `"true"` and `"false"` as exports write booleans.
fn bool_text(value: Json<'_>) -> Option<bool> {
    match value.as_str()? {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::schema::{Events, Table};

    #[test]
    fn every_member_that_has_a_column_has_a_field() {
        let mut columns: Vec<&str> = Events::COLUMNS.iter().filter_map(|c| c.member).collect();
        columns.push("eventTime");
        let mut fields: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        columns.sort_unstable();
        columns.dedup();
        fields.sort_unstable();
        assert_eq!(columns, fields);
    }
}
