//! Decodes a parsed record into an [`Event`]: every member in its column, nothing lost.

use super::dynamodb::operation::{self, DynamoDb, Envelope};
use super::envelope::RecordKind;
use super::parse::Json;
use super::principal::{self, Principal};
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
    fn keep(&mut self, name: &str, value: Json<'_>) {
        let text = self.0.get_or_insert_with(|| "{".to_owned());
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(name).to_string());
        text.push(':');
        text.push_str(value.raw());
    }

    fn finish(self) -> Option<String> {
        self.0.map(|text| text + "}")
    }
}

impl<'d> Event<'d> {
    /// Decodes the members alone: enough to select by. [`Event::normalise`] does the rest.
    pub fn decode(record: Json<'d>) -> Result<Self, DecodeError> {
        let mut event = Event::default();
        let mut extra = Extra::default();
        let mut event_time = None;
        if may_repeat_a_member(record) {
            let members = last_members(record);
            if members.len() < record.members().count() {
                event.notes.push("duplicate_member");
            }
            for (name, value) in members {
                event.take_member(name, value, &mut event_time, &mut extra);
            }
        } else {
            for (name, value) in record.members() {
                event.take_member(name, value, &mut event_time, &mut extra);
            }
        }
        event.set_time(event_time, &mut extra);
        event.check_version()?;
        event.extra = extra.finish();
        Ok(event)
    }

    fn take_member(
        &mut self,
        name: &'d str,
        value: Json<'d>,
        event_time: &mut Option<Json<'d>>,
        extra: &mut Extra,
    ) {
        if name == "eventTime" {
            *event_time = Some(value);
        } else if let Some(field) = self.text_field(name) {
            *field = faithful_text(value);
            if field.is_none() && !value.is_null() {
                extra.keep(name, value);
            }
        } else if let Some(field) = self.json_field(name) {
            *field = (!value.is_null()).then_some(value);
        } else if let Some(field) = self.bool_field(name) {
            *field = value.as_bool().or_else(|| bool_text(value));
            if value.as_bool().is_none() && !value.is_null() {
                extra.keep(name, value);
            }
        } else {
            extra.keep(name, value);
        }
    }

    fn text_field(&mut self, name: &str) -> Option<&mut Option<&'d str>> {
        Some(match name {
            "eventVersion" => &mut self.event_version,
            "eventID" => &mut self.event_id,
            "eventSource" => &mut self.event_source,
            "eventName" => &mut self.event_name,
            "awsRegion" => &mut self.aws_region,
            "sourceIPAddress" => &mut self.source_ip_address,
            "userAgent" => &mut self.user_agent,
            "errorCode" => &mut self.error_code,
            "errorMessage" => &mut self.error_message,
            "requestID" => &mut self.request_id,
            "eventType" => &mut self.event_type,
            "eventCategory" => &mut self.event_category,
            "apiVersion" => &mut self.api_version,
            "recipientAccountId" => &mut self.recipient_account_id,
            "sharedEventID" => &mut self.shared_event_id,
            "vpcEndpointId" => &mut self.vpc_endpoint_id,
            "vpcEndpointAccountId" => &mut self.vpc_endpoint_account_id,
            "sessionCredentialFromConsole" => &mut self.session_credential_from_console,
            _ => return None,
        })
    }

    fn json_field(&mut self, name: &str) -> Option<&mut Option<Json<'d>>> {
        Some(match name {
            "userIdentity" => &mut self.user_identity,
            "requestParameters" => &mut self.request_parameters,
            "responseElements" => &mut self.response_elements,
            "additionalEventData" => &mut self.additional_event_data,
            "serviceEventDetails" => &mut self.service_event_details,
            "resources" => &mut self.resources,
            "addendum" => &mut self.addendum,
            "edgeDeviceDetails" => &mut self.edge_device_details,
            "tlsDetails" => &mut self.tls_details,
            "eventContext" => &mut self.event_context,
            _ => return None,
        })
    }

    fn bool_field(&mut self, name: &str) -> Option<&mut Option<bool>> {
        Some(match name {
            "managementEvent" => &mut self.management_event,
            "readOnly" => &mut self.read_only,
            _ => return None,
        })
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
            None => extra.keep("eventTime", value),
        }
    }

    /// A higher minor version is read as far as it is known; another major version may mean
    /// anything (CloudTrail record contents, eventVersion). What is no version at all says nothing.
    fn check_version(&mut self) -> Result<(), DecodeError> {
        let Some(version) = self.event_version else {
            return Ok(());
        };
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

    /// Derives the principal and, for DynamoDB's events, the operations.
    pub fn normalise(&mut self) {
        self.principal = principal::principal(self.user_identity);
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

/// Whether two members may have the same name; a quick test that is never wrong with "no".
fn may_repeat_a_member(record: Json<'_>) -> bool {
    let mut seen = [0_u64; 64];
    record.members().any(|(name, _)| {
        let hash = name_hash(name);
        let (word, bit) = ((hash >> 6) as usize, 1 << (hash & 63));
        let repeated = seen[word] & bit != 0;
        seen[word] |= bit;
        repeated
    })
}

/// A hash of 12 bits under which the names that AWS writes are all different.
fn name_hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, last) = (bytes.first_chunk(), bytes.last_chunk());
    let short = bytes.iter().take(7).fold(0, |n, b| n << 8 | u64::from(*b));
    let mix = word(first) ^ word(last).rotate_left(23) ^ short ^ (bytes.len() as u64) << 56;
    mix.wrapping_mul(NAME_HASH_FACTOR) >> 52
}

/// Chosen so that no two of the names that AWS writes collide.
const NAME_HASH_FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// Members by name, each with its last value, as JSON parsers have it.
fn last_members<'d>(record: Json<'d>) -> Vec<(&'d str, Json<'d>)> {
    let mut last: Vec<(&str, Json<'_>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (name, value) in record.members() {
        match places.entry(name) {
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
    // A replaced lone surrogate does not give its escape back.
    let replaced = !value.is_plain_str()
        && text.contains('\u{fffd}')
        && value.raw().to_ascii_lowercase().contains("\\ud");
    (!replaced).then_some(text)
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
    fn the_names_that_aws_writes_do_not_collide() {
        let mut names: Vec<&str> = Events::COLUMNS.iter().filter_map(|c| c.member).collect();
        names.push("eventTime");
        let mut hashes: Vec<u64> = names.iter().map(|name| name_hash(name)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), names.len());
    }
}
