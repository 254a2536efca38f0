//! One CloudTrail record: its parts, and its text with the members in the order of genuine records.

use std::fmt::Write;
use std::sync::Arc;

use super::identities::{Caller, Connection, Tls};
use super::json::{Object, array, quote};
use super::prng::Prng;
use super::time::{Seconds, iso};

/// Every captured DynamoDB request id ends with these letters.
const DYNAMODB_REQUEST_ID_TAIL: &str = "VV4KQNSO5AEMVJF66Q9ASUAAJG";

pub const DYNAMODB: &str = "dynamodb.amazonaws.com";
pub const DAX: &str = "dax.amazonaws.com";

/// Who calls, when, and in which region.
#[derive(Clone)]
pub struct Moment {
    pub caller: Arc<Caller>,
    pub time: Seconds,
    pub region: &'static str,
}

/// An access to items of a table that one event stands for; `times` of them.
pub struct Access {
    pub table: String,
    /// A word of the vocabulary in [`super::truth::Truth::operations`].
    pub operation: &'static str,
    pub times: u64,
}

pub struct Failure {
    pub code: &'static str,
    pub message: String,
}

/// The members of a record that differ from call to call. Texts named `…_json` are JSON already.
pub struct Record {
    pub moment: Moment,
    pub event_source: &'static str,
    pub event_name: &'static str,
    pub failure: Option<Failure>,
    pub request_json: String,
    pub response_json: String,
    pub additional_json: Option<String>,
    pub request_id: String,
    pub event_id: String,
    pub read_only: bool,
    pub resources_json: Option<String>,
    pub api_version: Option<&'static str>,
    pub management: bool,
    pub recipient: &'static str,
    pub shared_event_id: Option<String>,
    /// Why the record came late, if it did (`DELIVERY_DELAY`).
    pub addendum_reason: Option<&'static str>,
    pub accesses: Vec<Access>,
}

/// One entry of `resources`.
pub fn resource(account: &str, kind: &str, arn: &str) -> String {
    Object::new()
        .text("accountId", account)
        .text("type", kind)
        .text("ARN", arn)
        .finish()
}

impl Record {
    /// A successful management call with an id of its own and neither parameters nor response.
    pub fn new(
        moment: &Moment,
        event_source: &'static str,
        event_name: &'static str,
        prng: &mut Prng,
    ) -> Record {
        Record {
            moment: moment.clone(),
            event_source,
            event_name,
            failure: None,
            request_json: String::from("null"),
            response_json: String::from("null"),
            additional_json: None,
            request_id: prng.uuid(),
            event_id: prng.uuid(),
            read_only: true,
            resources_json: None,
            api_version: None,
            management: true,
            recipient: moment.caller.account,
            shared_event_id: None,
            addendum_reason: None,
            accesses: Vec::new(),
        }
    }

    /// A successful call of DynamoDB; management, until `data` says otherwise.
    pub fn dynamodb(moment: &Moment, event_name: &'static str, prng: &mut Prng) -> Record {
        let mut record = Record::new(moment, DYNAMODB, event_name, prng);
        record.request_id =
            prng.text(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", 26) + DYNAMODB_REQUEST_ID_TAIL;
        record.api_version = Some("2012-08-10");
        record
    }

    pub fn data(mut self) -> Record {
        self.management = false;
        self
    }

    pub fn request(mut self, request: Object) -> Record {
        self.request_json = request.finish();
        self
    }

    pub fn response(mut self, response: Object) -> Record {
        self.response_json = response.finish();
        self
    }

    pub fn writes(mut self) -> Record {
        self.read_only = false;
        self
    }

    pub fn resources(mut self, resources: impl IntoIterator<Item = String>) -> Record {
        self.resources_json = Some(array(resources));
        self
    }

    pub fn accesses(mut self, table: &str, operation: &'static str, times: u64) -> Record {
        self.accesses.push(Access {
            table: table.to_owned(),
            operation,
            times,
        });
        self
    }

    pub fn failed(mut self, code: &'static str, message: &str) -> Record {
        self.failure = Some(Failure {
            code,
            message: message.to_owned(),
        });
        self.response_json = String::from("null");
        self
    }

    /// Denied for want of a policy. Genuine denied records have no parameters, resources or apiVersion.
    pub fn denied(self, action: &str, on: &str) -> Record {
        let reason = format!("because no identity-based policy allows the {action} action");
        self.denied_with_reason(action, on, &reason)
    }

    pub fn denied_with_reason(mut self, action: &str, on: &str, reason: &str) -> Record {
        let message = format!(
            "User: {} is not authorized to perform: {action} on resource: {on} {reason}",
            self.moment.caller.arn
        );
        self.request_json = String::from("null");
        self.resources_json = None;
        self.api_version = None;
        self.failed("AccessDenied", &message)
    }

    fn event_version(&self) -> &'static str {
        if self.event_source == DYNAMODB {
            "1.11"
        } else {
            "1.10"
        }
    }

    /// Appends the record as one line of JSON.
    pub fn write(&self, into: &mut String) {
        let caller = &self.moment.caller;
        into.push_str("{\"eventVersion\":\"");
        into.push_str(self.event_version());
        into.push('"');
        write_json(into, "userIdentity", &caller.identity);
        let mut member = |name: &str, value: &str| write_member(into, name, value);
        member("eventTime", &iso(self.moment.time));
        member("eventSource", self.event_source);
        member("eventName", self.event_name);
        member("awsRegion", self.moment.region);
        member("sourceIPAddress", &caller.address);
        member("userAgent", &caller.user_agent);
        if let Some(failure) = &self.failure {
            member("errorCode", failure.code);
            member("errorMessage", &failure.message);
        }
        write_json(into, "requestParameters", &self.request_json);
        write_json(into, "responseElements", &self.response_json);
        if let Some(additional) = &self.additional_json {
            write_json(into, "additionalEventData", additional);
        }
        write_member(into, "requestID", &self.request_id);
        write_member(into, "eventID", &self.event_id);
        write_json(
            into,
            "readOnly",
            if self.read_only { "true" } else { "false" },
        );
        if let Some(resources) = &self.resources_json {
            write_json(into, "resources", resources);
        }
        self.write_tail(into);
    }

    /// The members from eventType on.
    fn write_tail(&self, into: &mut String) {
        let caller = &self.moment.caller;
        write_member(into, "eventType", "AwsApiCall");
        if let Some(api_version) = self.api_version {
            write_member(into, "apiVersion", api_version);
        }
        write_json(
            into,
            "managementEvent",
            if self.management { "true" } else { "false" },
        );
        write_member(into, "recipientAccountId", self.recipient);
        if let Some(shared) = &self.shared_event_id {
            write_member(into, "sharedEventID", shared);
        }
        if let Connection::Endpoint(endpoint, _) = &caller.connection {
            write_member(into, "vpcEndpointId", endpoint);
            write_member(into, "vpcEndpointAccountId", caller.account);
        }
        if let Some(reason) = self.addendum_reason {
            write_json(
                into,
                "addendum",
                &Object::new().text("reason", reason).finish(),
            );
        }
        write_member(
            into,
            "eventCategory",
            if self.management {
                "Management"
            } else {
                "Data"
            },
        );
        let tls = match &caller.connection {
            Connection::Public(tls) | Connection::Endpoint(_, tls) => Some(*tls),
            Connection::Console => Some(Tls::V13Aes128),
            Connection::Service => None,
        };
        if let Some(tls) = tls {
            self.write_tls(into, tls);
        }
        if let Connection::Console = caller.connection {
            write_member(into, "sessionCredentialFromConsole", "true");
        }
        into.push('}');
    }

    fn write_tls(&self, into: &mut String, tls: Tls) {
        let service = self.event_source.trim_end_matches(".amazonaws.com");
        let host = match service {
            "iam" => String::from("iam.amazonaws.com"),
            _ => format!("{service}.{}.amazonaws.com", self.moment.region),
        };
        into.push_str(",\"tlsDetails\":{");
        write!(
            into,
            "\"tlsVersion\":\"{}\",\"cipherSuite\":\"{}\",\"clientProvidedHostHeader\":\"{host}\"}}",
            tls.version(),
            tls.cipher_suite()
        )
        .expect("a String takes all text");
    }
}

fn write_member(into: &mut String, name: &str, value: &str) {
    into.push_str(",\"");
    into.push_str(name);
    into.push_str("\":");
    quote(into, value);
}

fn write_json(into: &mut String, name: &str, value: &str) {
    into.push_str(",\"");
    into.push_str(name);
    into.push_str("\":");
    into.push_str(value);
}
