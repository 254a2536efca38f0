//! The view `cloudtrail`: the columns that AWS documents for CloudTrail tables, made from `events`.
//!
//! Names and types are those of the Athena user guide, "Create a table for CloudTrail logs in
//! Athena using partition projection", so that published queries run on the lake. A name there is
//! the record's member in lower case; inside JSON text, members keep their case.

use super::{Declaration, Dialect, joined, sql_text};
use crate::event::schema::{Cell, Column, Events, Table};

/// A column of the view, by the record's member that it shows.
pub enum Shown {
    /// Text; JSON text for objects; `true` or `false`.
    Text(&'static str),
    /// eventTime as text.
    Time,
    Struct(&'static str, &'static [Field]),
    /// An array of structs.
    List(&'static str, &'static [Field]),
}

/// A field of a struct, by the member that it shows.
pub enum Field {
    Text(&'static str),
    /// Texts by texts.
    Map(&'static str),
    Struct(&'static str, &'static [Field]),
}

use Shown::{List, Struct, Text, Time};

/// The columns of the view, in order; `timestamp` follows them.
pub const COLUMNS: &[Shown] = &[
    Text("eventVersion"),
    Struct("userIdentity", USER_IDENTITY),
    Time,
    Text("eventSource"),
    Text("eventName"),
    Text("awsRegion"),
    Text("sourceIPAddress"),
    Text("userAgent"),
    Text("errorCode"),
    Text("errorMessage"),
    Text("requestParameters"),
    Text("responseElements"),
    Text("additionalEventData"),
    Text("requestID"),
    Text("eventID"),
    Text("readOnly"),
    List("resources", RESOURCE),
    Text("eventType"),
    Text("apiVersion"),
    Text("recipientAccountId"),
    Text("serviceEventDetails"),
    Text("sharedEventID"),
    Text("vpcEndpointId"),
    Text("vpcEndpointAccountId"),
    Text("eventCategory"),
    Struct("addendum", ADDENDUM),
    Text("sessionCredentialFromConsole"),
    Text("edgeDeviceDetails"),
    Struct("tlsDetails", TLS_DETAILS),
];

const USER_IDENTITY: &[Field] = &[
    Field::Text("type"),
    Field::Text("principalId"),
    Field::Text("arn"),
    Field::Text("accountId"),
    Field::Text("invokedBy"),
    Field::Text("accessKeyId"),
    Field::Text("userName"),
    Field::Struct(
        "onBehalfOf",
        &[Field::Text("userId"), Field::Text("identityStoreArn")],
    ),
    Field::Struct("sessionContext", SESSION_CONTEXT),
];

const SESSION_CONTEXT: &[Field] = &[
    Field::Struct(
        "attributes",
        &[Field::Text("mfaAuthenticated"), Field::Text("creationDate")],
    ),
    Field::Struct(
        "sessionIssuer",
        &[
            Field::Text("type"),
            Field::Text("principalId"),
            Field::Text("arn"),
            Field::Text("accountId"),
            Field::Text("userName"),
        ],
    ),
    Field::Text("ec2RoleDelivery"),
    Field::Struct(
        "webIdFederationData",
        &[Field::Text("federatedProvider"), Field::Map("attributes")],
    ),
];

const RESOURCE: &[Field] = &[
    Field::Text("ARN"),
    Field::Text("accountId"),
    Field::Text("type"),
];

const ADDENDUM: &[Field] = &[
    Field::Text("reason"),
    Field::Text("updatedFields"),
    Field::Text("originalRequestID"),
    Field::Text("originalEventID"),
];

const TLS_DETAILS: &[Field] = &[
    Field::Text("tlsVersion"),
    Field::Text("cipherSuite"),
    Field::Text("clientProvidedHostHeader"),
];

impl Shown {
    pub fn member(&self) -> &'static str {
        match self {
            Text(member) | Struct(member, _) | List(member, _) => member,
            Time => "eventTime",
        }
    }
}

impl Field {
    pub fn member(&self) -> &'static str {
        match self {
            Self::Text(member) | Self::Map(member) | Self::Struct(member, _) => member,
        }
    }

    pub fn name(&self) -> String {
        self.member().to_lowercase()
    }
}

impl Declaration<'_> {
    pub(super) fn cloudtrail(&self) -> String {
        let columns = COLUMNS
            .iter()
            .map(|shown| (self.shown(shown), shown.member().to_lowercase()))
            .chain([("replace(dt, '-', '/')".to_owned(), "timestamp".to_owned())])
            .map(|(value, name)| format!("  {value} AS {}", self.quoted(&name)));
        format!(
            "CREATE OR REPLACE {} {} AS SELECT\n{}\nFROM {}",
            self.view(),
            self.relation("cloudtrail"),
            joined(columns, ",\n"),
            self.relation(Events::NAME),
        )
    }

    fn shown(&self, shown: &Shown) -> String {
        match (self.dialect, shown) {
            (_, Text(member)) => self.text(lake_column(member)),
            (dialect, Time) => canonical_time(dialect),
            (Dialect::Athena, Struct(member, fields)) => {
                let json = lake_column(member).name;
                format!("IF({json} IS NULL, NULL, {})", trino_row(json, "$", fields))
            }
            (Dialect::Athena, List(member, fields)) => format!(
                "transform(TRY(CAST(json_parse({}) AS array(json))), element -> {})",
                lake_column(member).name,
                trino_row("element", "$", fields)
            ),
            // One value in a list, for DuckDB to parse it once however many fields it has.
            (Dialect::DuckDb, Struct(member, fields)) => format!(
                "[{} FOR element IN [TRY(json_transform({}, '{}'))]][1]",
                duckdb_struct("element", fields),
                lake_column(member).name,
                duckdb_structure(fields)
            ),
            (Dialect::DuckDb, List(member, fields)) => format!(
                "[{} FOR element IN TRY(json_transform({}, '[{}]'))]",
                duckdb_struct("element", fields),
                lake_column(member).name,
                duckdb_structure(fields)
            ),
            // A struct is cast field by field in order, which gives the fields their new names.
            (Dialect::Spark, Struct(member, fields)) => format!(
                "CAST(from_json({}, {}) AS {})",
                lake_column(member).name,
                sql_text(&spark_type(fields, |field| field.member().to_owned())),
                spark_type(fields, Field::name)
            ),
            (Dialect::Spark, List(member, fields)) => format!(
                "CAST(from_json({}, 'ARRAY<{}>') AS ARRAY<{}>)",
                lake_column(member).name,
                spark_type(fields, |field| field.member().to_owned()),
                spark_type(fields, Field::name)
            ),
        }
    }

    fn text(&self, column: &Column<Events>) -> String {
        match (&column.cell, self.dialect) {
            (Cell::Bool(_), Dialect::Spark) => format!("CAST({} AS STRING)", column.name),
            (Cell::Bool(_), _) => format!("CAST({} AS VARCHAR)", column.name),
            _ => column.name.to_owned(),
        }
    }
}

/// The column of `events` that gives a member back.
pub fn lake_column(member: &str) -> &'static Column<Events> {
    let mut columns = Events::COLUMNS.iter();
    columns
        .find(|column| column.member == Some(member))
        .expect("every documented member of a record has its column")
}

/// The eventTime as written, or as AWS writes it.
fn canonical_time(dialect: Dialect) -> String {
    let formatted = match dialect {
        Dialect::Athena => {
            "date_format(from_unixtime(event_time_ms / 1000, 'UTC'), '%Y-%m-%dT%H:%i:%sZ')"
        }
        Dialect::DuckDb => "strftime(event_time, '%Y-%m-%dT%H:%M:%SZ')",
        // Spark's date_format takes the session's zone, in which some hours do not exist.
        Dialect::Spark => "concat(replace(CAST(event_time AS STRING), ' ', 'T'), 'Z')",
    };
    format!("coalesce(event_time_text, {formatted})")
}

/// A row of the members below `path` of a JSON text. A member of an unexpected kind is NULL,
/// where a cast of the whole would fail the query.
fn trino_row(json: &str, path: &str, fields: &[Field]) -> String {
    let values = fields.iter().map(|field| {
        let path = format!("{path}.{}", field.member());
        match field {
            Field::Text(_) => format!("json_extract_scalar({json}, '{path}')"),
            Field::Map(_) => {
                format!("TRY(CAST(json_extract({json}, '{path}') AS map(varchar, varchar)))")
            }
            Field::Struct(_, fields) => format!(
                "IF(json_extract({json}, '{path}') IS NULL, NULL, {})",
                trino_row(json, &path, fields)
            ),
        }
    });
    format!(
        "CAST(ROW({}) AS {})",
        joined(values, ", "),
        trino_type(fields)
    )
}

fn trino_type(fields: &[Field]) -> String {
    let fields = fields.iter().map(|field| {
        let kind = match field {
            Field::Text(_) => "varchar".to_owned(),
            Field::Map(_) => "map(varchar, varchar)".to_owned(),
            Field::Struct(_, fields) => trino_type(fields),
        };
        format!("\"{}\" {kind}", field.name())
    });
    format!("ROW({})", joined(fields, ", "))
}

/// A struct with the documented names: a cast would keep those of the JSON, which DuckDB takes
/// for the same.
fn duckdb_struct(value: &str, fields: &[Field]) -> String {
    let fields = fields.iter().map(|field| {
        let member = format!("{value}.\"{}\"", field.member());
        let member = match field {
            Field::Text(_) | Field::Map(_) => member,
            Field::Struct(_, fields) => duckdb_struct(&member, fields),
        };
        format!("\"{}\" := {member}", field.name())
    });
    format!(
        "CASE WHEN {value} IS NOT NULL THEN struct_pack({}) END",
        joined(fields, ", ")
    )
}

/// What `json_transform` shall take from the JSON.
fn duckdb_structure(fields: &[Field]) -> String {
    let fields = fields.iter().map(|field| {
        let kind = match field {
            Field::Text(_) => "\"VARCHAR\"".to_owned(),
            Field::Map(_) => "\"MAP(VARCHAR, VARCHAR)\"".to_owned(),
            Field::Struct(_, fields) => duckdb_structure(fields),
        };
        format!("\"{}\":{kind}", field.member())
    });
    format!("{{{}}}", joined(fields, ","))
}

fn spark_type(fields: &[Field], name: fn(&Field) -> String) -> String {
    let fields = fields.iter().map(|field| {
        let kind = match field {
            Field::Text(_) => "STRING".to_owned(),
            Field::Map(_) => "MAP<STRING, STRING>".to_owned(),
            Field::Struct(_, fields) => spark_type(fields, name),
        };
        format!("`{}`: {kind}", name(field))
    });
    format!("STRUCT<{}>", joined(fields, ", "))
}
