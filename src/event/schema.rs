//! THE column table: what the columns of the lake are, where each comes from and what it means.
//!
//! The Arrow schema, the columns in memory, the export back to JSON, the DDL and the documentation page
//! all come from here. To add a column, add a line.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::decode::Event;
use super::dynamodb::operation::{DynamoDb, Operation};
use super::parse::Json;

/// A table of the lake.
pub trait Table: Sized + 'static {
    /// What a row of the table is made from.
    type Row<'a>;
    /// The table's name and folder.
    const NAME: &'static str;
    /// One sentence for the documentation.
    const ABOUT: &'static str;
    /// The columns in order.
    const COLUMNS: &'static [Column<Self>];

    fn schema() -> Schema {
        let fields = Self::COLUMNS
            .iter()
            .map(|column| Field::new(column.name, column.cell.data_type(), !column.is_required));
        Schema::new(fields.collect::<Vec<_>>())
    }
}

/// A column.
pub struct Column<T: Table> {
    pub name: &'static str,
    pub cell: Cell<T>,
    /// The top-level member of a CloudTrail record that the column gives back.
    pub member: Option<&'static str>,
    pub storage: Storage,
    /// Whether every row has a value.
    pub is_required: bool,
    pub of: Of,
    pub about: &'static str,
}

/// What a column's value follows from: what many rows share is stored once until it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The row itself.
    Row,
    /// The event's `userIdentity`.
    Principal,
    /// The event: the value of the column of this name in its row of `events`.
    Event,
}

/// A column's type, and how its value is read from a row.
pub enum Cell<T: Table> {
    Text(for<'r, 'a> fn(&'r T::Row<'a>) -> Option<&'r str>),
    /// JSON text.
    Json(for<'r, 'a> fn(&'r T::Row<'a>) -> Option<&'r str>),
    Bool(for<'r, 'a> fn(&'r T::Row<'a>) -> Option<bool>),
    Int(for<'r, 'a> fn(&'r T::Row<'a>) -> Option<i32>),
    Long(for<'r, 'a> fn(&'r T::Row<'a>) -> Option<i64>),
    /// Milliseconds since 1970 in UTC, without a zone: the same text of SQL means the same in
    /// every engine and session zone.
    Timestamp(for<'r, 'a> fn(&'r T::Row<'a>) -> Option<i64>),
}

impl<T: Table> Cell<T> {
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Text(_) | Self::Json(_) => DataType::Utf8,
            Self::Bool(_) => DataType::Boolean,
            Self::Int(_) => DataType::Int32,
            Self::Long(_) => DataType::Int64,
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Millisecond, None),
        }
    }
}

/// How a column's values repeat, which decides its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Values that repeat: a dictionary.
    Repeating,
    /// Values in whose order rows are written: a dictionary.
    Ordered,
    /// Values that repeat and are looked up: a dictionary and a bloom filter.
    RepeatingLookup,
    /// Values that hardly repeat.
    Unique,
    /// Values that hardly repeat and are looked up: a bloom filter.
    UniqueLookup,
}

impl Storage {
    pub fn is_repeating(self) -> bool {
        matches!(
            self,
            Self::Repeating | Self::RepeatingLookup | Self::Ordered
        )
    }
}

/// What a row of `events` is made from.
pub struct EventRow<'a> {
    pub event: &'a Event<'a>,
    /// The principal, where rows before had the same: then the event's own is not read.
    pub known_principal: Option<u32>,
    /// Whether the selectors decided, or could not.
    pub selection: &'a str,
    pub notes: Option<&'a str>,
    pub source: &'a str,
    pub source_position: i64,
}

/// What a row of `operations` is made from.
pub struct OperationRow<'a> {
    pub row: &'a EventRow<'a>,
    pub dynamodb: &'a DynamoDb<'a>,
    pub operation: &'a Operation<'a>,
    pub position: i32,
}

/// What a row of `receipts` is made from: an object of the archive and what became of it.
pub struct ReceiptRow<'a> {
    pub unit: &'a str,
    pub source: &'a str,
    /// As far as the object's key tells.
    pub account_id: Option<&'a str>,
    pub region: Option<&'a str>,
    /// Milliseconds since 1970 in UTC.
    pub delivered_at_ms: Option<i64>,
    pub size_bytes: i64,
    pub status: &'a str,
    pub problem: Option<&'a str>,
    pub inflated_bytes: i64,
    pub records_seen: i64,
    pub records_kept: i64,
    pub records_not_selected: i64,
    pub records_duplicate: i64,
    pub records_quarantined: i64,
    /// Of the inflated bytes, hexadecimal; where the run was to hash them.
    pub sha256: Option<&'a str>,
}

/// The values of an `integrity` row, in the order of [`Integrity::COLUMNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntegrityRow<'a> {
    /// `digest`, `log`, `gap` or `chain`.
    pub kind: &'a str,
    pub object: Option<&'a str>,
    pub account_id: Option<&'a str>,
    pub region: Option<&'a str>,
    pub trail: Option<&'a str>,
    pub status: &'a str,
    pub problem: Option<&'a str>,
    /// Milliseconds since 1970 in UTC.
    pub delivered_from_ms: Option<i64>,
    pub delivered_to_ms: Option<i64>,
    pub files_named: i64,
    pub files_valid: i64,
}

/// One row a CloudTrail event.
pub struct Events;

/// One row a table access inside an event.
pub struct Operations;

/// One row an object of the archive that was looked at.
pub struct Receipts;

/// One row a digest file of CloudTrail's that was verified, or something that is wrong with it.
pub struct Integrity;

use Storage::{Ordered, Repeating, RepeatingLookup, Unique, UniqueLookup};

const fn text<T: Table>(
    name: &'static str,
    read: for<'r, 'a> fn(&'r T::Row<'a>) -> Option<&'r str>,
    storage: Storage,
    about: &'static str,
) -> Column<T> {
    column(name, Cell::Text(read), storage, about)
}

const fn column<T: Table>(
    name: &'static str,
    cell: Cell<T>,
    storage: Storage,
    about: &'static str,
) -> Column<T> {
    Column {
        name,
        cell,
        member: None,
        storage,
        is_required: false,
        of: Of::Row,
        about,
    }
}

/// A column of `operations` that repeats the event's; the cell tells the type alone.
const fn of_event(
    name: &'static str,
    cell: Cell<Operations>,
    storage: Storage,
) -> Column<Operations> {
    Column {
        of: Of::Event,
        ..column(name, cell, storage, "As in events")
    }
}

/// A column of `events` that follows from the `userIdentity`.
const fn of_principal(column: Column<Events>) -> Column<Events> {
    Column {
        of: Of::Principal,
        ..column
    }
}

const fn required<T: Table>(column: Column<T>) -> Column<T> {
    Column {
        is_required: true,
        ..column
    }
}

/// A column that gives back the member of this name.
const fn of_member<T: Table>(member: &'static str, column: Column<T>) -> Column<T> {
    Column {
        member: Some(member),
        ..column
    }
}

const fn json<T: Table>(
    member: &'static str,
    name: &'static str,
    read: for<'r, 'a> fn(&'r T::Row<'a>) -> Option<&'r str>,
    storage: Storage,
    about: &'static str,
) -> Column<T> {
    of_member(member, column(name, Cell::Json(read), storage, about))
}

fn raw(value: Option<Json<'_>>) -> Option<&str> {
    value.map(Json::raw)
}

fn cow<'r>(value: &'r Option<std::borrow::Cow<'_, str>>) -> Option<&'r str> {
    value.as_deref()
}

fn dynamodb<'r>(row: &'r EventRow<'_>) -> Option<&'r DynamoDb<'r>> {
    row.event.dynamodb.as_ref()
}

impl Table for Events {
    type Row<'a> = EventRow<'a>;
    const NAME: &'static str = "events";
    const ABOUT: &'static str = "One row a CloudTrail event, from which the record can be rebuilt.";
    #[rustfmt::skip]
    const COLUMNS: &'static [Column<Self>] = &[
        column("event_time", Cell::Timestamp(|r| r.event.event_time_ms), Ordered, "When the request completed, UTC, to the millisecond; absent where the record does not tell"),
        column("event_time_ms", Cell::Long(|r| r.event.event_time_ms), Ordered, "The same as milliseconds since 1970-01-01"),
        text("event_time_text", |r| r.event.event_time_text, Repeating, "The eventTime as written, where it is not YYYY-MM-DDTHH:MM:SSZ"),
        of_member("eventID", text("event_id", |r| r.event.event_id, UniqueLookup, "The event's GUID; absent below version 1.01")),
        of_member("eventSource", text("event_source", |r| r.event.event_source, Repeating, "The service, such as dynamodb.amazonaws.com")),
        of_member("eventName", text("event_name", |r| r.event.event_name, Repeating, "The API operation")),
        of_member("eventVersion", text("event_version", |r| r.event.event_version, Repeating, "The version of the record's format")),
        of_member("eventType", text("event_type", |r| r.event.event_type, Repeating, "AwsApiCall, AwsServiceEvent, AwsVpceEvent, …")),
        of_member("eventCategory", text("event_category", |r| r.event.event_category, Repeating, "Management, Data or NetworkActivity, as written; absent below 1.07")),
        of_member("managementEvent", column("management_event", Cell::Bool(|r| r.event.management_event), Repeating, "As written; absent below 1.06")),
        of_member("readOnly", column("read_only", Cell::Bool(|r| r.event.read_only), Repeating, "As written; false for PartiQL reads too, so use operations.access instead")),
        of_member("awsRegion", text("aws_region", |r| r.event.aws_region, Repeating, "The region")),
        of_member("recipientAccountId", text("recipient_account_id", |r| r.event.recipient_account_id, Repeating, "The account whose trail received this copy")),
        of_member("sourceIPAddress", text("source_ip_address", |r| r.event.source_ip_address, Repeating, "An address, a service's DNS name or AWS Internal")),
        of_member("userAgent", text("user_agent", |r| r.event.user_agent, Repeating, "The client, as it calls itself")),
        of_member("errorCode", text("error_code", |r| r.event.error_code, Repeating, "The exception's name; absent on success")),
        of_member("errorMessage", text("error_message", |r| r.event.error_message, Repeating, "The exception's text")),
        of_member("requestID", text("request_id", |r| r.event.request_id, Unique, "The service's id of the request; several events may share it")),
        of_member("apiVersion", text("api_version", |r| r.event.api_version, Repeating, "The API's version")),
        of_member("sharedEventID", text("shared_event_id", |r| r.event.shared_event_id, Unique, "Links the copies that one action left in several accounts")),
        of_member("vpcEndpointId", text("vpc_endpoint_id", |r| r.event.vpc_endpoint_id, Repeating, "The VPC endpoint passed")),
        of_member("vpcEndpointAccountId", text("vpc_endpoint_account_id", |r| r.event.vpc_endpoint_account_id, Repeating, "The VPC endpoint's owner")),
        of_member("sessionCredentialFromConsole", text("session_credential_from_console", |r| r.event.session_credential_from_console, Repeating, "true where the session came from the console")),
        of_principal(text("user_type", |r| r.event.principal.user_type, Repeating, "userIdentity.type")),
        of_principal(text("principal", |r| cow(&r.event.principal.principal), Repeating, "The stable actor: the role's ARN for sessions, the user's ARN, …:root, a service's name")),
        of_principal(text("principal_arn", |r| r.event.principal.arn, RepeatingLookup, "userIdentity.arn, with the session's name for roles")),
        of_principal(text("principal_id", |r| r.event.principal.principal_id, Repeating, "userIdentity.principalId")),
        of_principal(text("user_account_id", |r| r.event.principal.account_id, Repeating, "userIdentity.accountId: the caller's account")),
        of_principal(text("access_key_id", |r| r.event.principal.access_key_id, RepeatingLookup, "userIdentity.accessKeyId")),
        of_principal(text("user_name", |r| r.event.principal.user_name, Repeating, "userIdentity.userName")),
        of_principal(text("session_name", |r| r.event.principal.session_name, Repeating, "The role session's name")),
        of_principal(text("session_issuer_arn", |r| r.event.principal.session_issuer_arn, Repeating, "userIdentity.sessionContext.sessionIssuer.arn")),
        of_principal(text("invoked_by", |r| r.event.principal.invoked_by, Repeating, "The service that called on the principal's behalf")),
        of_principal(column("is_service_made", Cell::Bool(|r| Some(r.event.principal.is_service_made)), Repeating, "Whether an AWS service made the call")),
        of_principal(column("mfa_authenticated", Cell::Bool(|r| r.event.principal.mfa_authenticated), Repeating, "Whether the session used multi-factor authentication")),
        of_principal(text("source_identity", |r| r.event.principal.source_identity, Repeating, "userIdentity.sessionContext.sourceIdentity")),
        text("plane", |r| dynamodb(r).map(|d| d.plane.as_str()), Repeating, "data, control, streams or dax"),
        text("outcome", |r| dynamodb(r).map(|d| d.outcome.as_str()), Repeating, "ok, denied, throttled, condition_failed, conflict, not_found, cancelled, invalid, server_error (unknown whether done) or other"),
        column("operation_count", Cell::Int(|r| dynamodb(r).map(|d| d.operations.len() as i32)), Repeating, "How many rows of operations belong to the event"),
        text("table_name", |r| dynamodb(r).and_then(DynamoDb::only_table), Repeating, "The table, where the event touches one only"),
        text("owner_account_id", |r| dynamodb(r).and_then(|d| d.owner_account_id), Repeating, "The account that owns the table"),
        column("is_cross_account", Cell::Bool(|r| r.event.is_cross_account()), Repeating, "Whether the caller's account is not the owner's"),
        text("denied_action", |r| dynamodb(r).and_then(|d| d.denied.as_ref()).map(|d| d.action), Repeating, "The IAM action that the access-denied sentence names"),
        text("denied_resource", |r| dynamodb(r).and_then(|d| d.denied.as_ref()).and_then(|d| d.resource), Repeating, "The resource that the sentence names"),
        text("denied_reason", |r| dynamodb(r).and_then(|d| d.denied.as_ref()).and_then(|d| d.reason), Repeating, "Why, where the sentence says it"),
        of_principal(json("userIdentity", "user_identity", |r| raw(r.event.user_identity), Repeating, "Who made the request")),
        json("requestParameters", "request_parameters", |r| raw(r.event.request_parameters), Unique, "What was asked"),
        json("responseElements", "response_elements", |r| raw(r.event.response_elements), Unique, "What was answered; null for reads and data events"),
        json("additionalEventData", "additional_event_data", |r| raw(r.event.additional_event_data), Unique, "What the service adds"),
        json("serviceEventDetails", "service_event_details", |r| raw(r.event.service_event_details), Unique, "Of AwsServiceEvent records"),
        json("resources", "resources", |r| raw(r.event.resources), Repeating, "The resources touched"),
        json("addendum", "addendum", |r| raw(r.event.addendum), Repeating, "Why the event came late or again"),
        json("edgeDeviceDetails", "edge_device_details", |r| raw(r.event.edge_device_details), Repeating, "Of calls to edge devices"),
        json("tlsDetails", "tls_details", |r| raw(r.event.tls_details), Repeating, "TLS version, cipher suite and host name"),
        json("eventContext", "event_context", |r| raw(r.event.event_context), Repeating, "Of event data stores only"),
        column("extra", Cell::Json(|r| r.event.extra.as_deref()), Unique, "Members that no column gives back, as written: unknown ones, and known ones of an unexpected type"),
        required(text("selection", |r| Some(r.selection), Repeating, "selected, or uncertain where the facts do not decide the selectors; notes say why")),
        text("notes", |r| r.notes, Repeating, "What was noticed while decoding, such as shapes that are not understood; comma-separated"),
        required(text("source", |r| Some(r.source), Repeating, "The source object")),
        required(column("source_position", Cell::Long(|r| Some(r.source_position)), Unique, "The record's position in the source object, from 0")),
    ];
}

impl Table for Operations {
    type Row<'a> = OperationRow<'a>;
    const NAME: &'static str = "operations";
    const ABOUT: &'static str = "One row a table access: a TransactWriteItems with three entries is one event and three operations.";
    #[rustfmt::skip]
    const COLUMNS: &'static [Column<Self>] = &[
        of_event("event_time", Cell::Timestamp(|_| None), Ordered),
        of_event("event_time_ms", Cell::Long(|_| None), Ordered),
        of_event("event_id", Cell::Text(|_| None), UniqueLookup),
        required(column("position", Cell::Int(|r| Some(r.position)), Repeating, "The operation's position in the event, from 0")),
        of_event("event_source", Cell::Text(|_| None), Repeating),
        of_event("event_name", Cell::Text(|_| None), Repeating),
        of_event("plane", Cell::Text(|_| None), Repeating),
        text("operation", |r| Some(r.operation.operation), Repeating, "What was done to the table: an item verb (GetItem, PutItem, UpdateItem, DeleteItem, ConditionCheckItem, Query, Scan, PartiQLSelect, …) or the control-plane call"),
        text("access", |r| Some(r.operation.access.as_str()), Repeating, "read, write, delete, control_read or control_write; by our own table, never by readOnly"),
        text("table_name", |r| cow(&r.operation.table_name), Repeating, "The table"),
        text("table_arn", |r| cow(&r.operation.table_arn), Repeating, "The table's ARN"),
        text("index_name", |r| cow(&r.operation.index_name), Repeating, "The index read"),
        text("role", |r| r.operation.role.map(|role| role.as_str()), Repeating, "source or target, of calls that name two tables"),
        column("item_key", Cell::Json(|r| cow(&r.operation.key)), Unique, "The item's key as logged: a flat object of attribute and value"),
        column("attributes", Cell::Json(|r| cow(&r.operation.attributes)), Repeating, "The names of the attributes written or asked for, where logged, in order"),
        text("statement", |r| r.operation.statement, Unique, "The PartiQL statement as logged"),
        column("is_conditional", Cell::Bool(|r| Some(r.operation.is_conditional)), Repeating, "Whether the write carries a condition"),
        text("select_mode", |r| r.operation.select, Repeating, "The select parameter: COUNT returns no items"),
        column("item_limit", Cell::Long(|r| r.operation.item_limit), Repeating, "The limit parameter"),
        column("segment", Cell::Long(|r| r.operation.segment), Repeating, "Which segment of a parallel scan"),
        column("total_segments", Cell::Long(|r| r.operation.total_segments), Repeating, "The segments of a parallel scan"),
        column("has_filter", Cell::Bool(|r| Some(r.operation.has_filter)), Repeating, "Whether a filter expression narrows the answer"),
        text("outcome", |r| Some(r.operation.outcome.as_str()), Repeating, "The operation's own outcome"),
        text("cancel_reason", |r| r.operation.cancel_reason, Repeating, "Why the item cancelled its transaction"),
        column("is_bulk", Cell::Bool(|r| Some(r.dynamodb.operations.len() > 1)), Repeating, "Whether the event holds several operations"),
        of_event("error_code", Cell::Text(|_| None), Repeating),
        of_event("aws_region", Cell::Text(|_| None), Repeating),
        of_event("recipient_account_id", Cell::Text(|_| None), Repeating),
        of_event("owner_account_id", Cell::Text(|_| None), Repeating),
        of_event("is_cross_account", Cell::Bool(|_| None), Repeating),
        of_event("principal", Cell::Text(|_| None), Repeating),
        of_event("session_name", Cell::Text(|_| None), Repeating),
        of_event("access_key_id", Cell::Text(|_| None), Repeating),
        of_event("source_ip_address", Cell::Text(|_| None), Repeating),
        of_event("is_service_made", Cell::Bool(|_| None), Repeating),
    ];
}

impl Table for Receipts {
    type Row<'a> = ReceiptRow<'a>;
    const NAME: &'static str = "receipts";
    const ABOUT: &'static str = "One row an object of the archive that was looked at; dt is the date in its key. An object that failed and was read later has two.";
    #[rustfmt::skip]
    const COLUMNS: &'static [Column<Self>] = &[
        required(text("unit", |r| Some(r.unit), Repeating, "The unit that looked at it")),
        required(text("source", |r| Some(r.source), Unique, "The object, as events.source names it")),
        text("account_id", |r| r.account_id, Repeating, "The account in its key"),
        text("region", |r| r.region, Repeating, "The region in its key"),
        column("delivered_at", Cell::Timestamp(|r| r.delivered_at_ms), Ordered, "When it was delivered, by the name of its file, to the minute"),
        column("delivered_at_ms", Cell::Long(|r| r.delivered_at_ms), Ordered, "The same as milliseconds since 1970-01-01"),
        required(column("size_bytes", Cell::Long(|r| Some(r.size_bytes)), Unique, "Its size as stored")),
        required(text("status", |r| Some(r.status), Repeating, "converted, damaged (read as far as it goes), failed, gone, digest or not_a_log")),
        text("problem", |r| r.problem, Unique, "What is wrong with it, in words"),
        required(column("inflated_bytes", Cell::Long(|r| Some(r.inflated_bytes)), Unique, "Its size inflated, as far as it was read")),
        required(column("records_seen", Cell::Long(|r| Some(r.records_seen)), Unique, "Records in it: the sum of the following")),
        required(column("records_kept", Cell::Long(|r| Some(r.records_kept)), Unique, "Records that became rows, before copies across units were settled")),
        required(column("records_not_selected", Cell::Long(|r| Some(r.records_not_selected)), Unique, "Records of other services, or not selected")),
        required(column("records_duplicate", Cell::Long(|r| Some(r.records_duplicate)), Unique, "Copies of events that the unit had already")),
        required(column("records_quarantined", Cell::Long(|r| Some(r.records_quarantined)), Unique, "Records that cannot be read")),
        text("sha256", |r| r.sha256, Unique, "SHA-256 of its inflated bytes, as integrity digests name it; where --verify hashed it"),
    ];
}

impl Table for Integrity {
    type Row<'a> = IntegrityRow<'a>;
    const NAME: &'static str = "integrity";
    const ABOUT: &'static str = "One row a digest file that --verify looked at, and one for each log file, gap or chain that is not as the digests say; dt is the date of delivery.";
    #[rustfmt::skip]
    const COLUMNS: &'static [Column<Self>] = &[
        required(text("kind", |r| Some(r.kind), Repeating, "digest, log (one that is not valid), gap (between digests of a chain) or chain (one that ends early)")),
        text("object", |r| r.object, Unique, "The digest or log file"),
        text("account_id", |r| r.account_id, Repeating, "The account whose log files it is about"),
        text("region", |r| r.region, Repeating, "The region whose log files it is about"),
        text("trail", |r| r.trail, Repeating, "The trail that wrote the digest"),
        required(text("status", |r| Some(r.status), Repeating, "Of a digest valid, unsigned, moved, signature_failed, …; of a log file hash_mismatch, not_found, unvouched, unreferenced, …")),
        text("problem", |r| r.problem, Unique, "What is wrong, in words"),
        column("delivered_from", Cell::Timestamp(|r| r.delivered_from_ms), Unique, "The beginning of the digest's interval of delivery, or of the gap"),
        column("delivered_from_ms", Cell::Long(|r| r.delivered_from_ms), Unique, "The same as milliseconds since 1970-01-01"),
        column("delivered_to", Cell::Timestamp(|r| r.delivered_to_ms), Unique, "The end of that interval; of a log file when it was delivered, to the minute"),
        column("delivered_to_ms", Cell::Long(|r| r.delivered_to_ms), Unique, "The same as milliseconds since 1970-01-01"),
        required(column("files_named", Cell::Long(|r| Some(r.files_named)), Unique, "Log files that the digest names; 0 where nothing was delivered")),
        required(column("files_valid", Cell::Long(|r| Some(r.files_valid)), Unique, "Of these, log files that are as it says")),
    ];
}
