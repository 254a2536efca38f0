//! Reads one object of request parameters (of a call, or of an entry of a batch) in one pass.

use super::catalogue::Verb;
use super::operation::Unclear;
use crate::event::member_name::{LONGEST_NAME, folded_bytes};
use crate::event::parse::{Json, Kind};

/// The members that normalisation asks for, whatever their letter case. A member that is null
/// counts as absent.
#[derive(Clone, Copy, Default)]
pub(super) struct Request<'d> {
    /// `{"omitted":true}` stands for parameters over CloudTrail's size limit: unknown, not absent.
    pub is_omitted: bool,

    pub table_name: Option<&'d str>,
    pub table_arn: Option<&'d str>,
    pub resource_arn: Option<&'d str>,
    pub source_table: Option<&'d str>,
    pub target_table_name: Option<&'d str>,
    pub global_table_name: Option<&'d str>,
    pub global_table_source_arn: Option<&'d str>,
    /// Of a DynamoDB stream, or of a Kinesis stream.
    pub stream_arn: Option<&'d str>,
    /// Text before the first `|` of a shard iterator: a stream's ARN.
    pub shard_iterator: Option<&'d str>,
    /// `backupArn`, `exportArn` or `importArn`: the table's ARN goes before.
    pub copy_arn: Option<&'d str>,
    pub index_name: Option<&'d str>,

    pub key: Option<Json<'d>>,
    pub keys: Option<Json<'d>>,
    /// `item` (documentation) or `items` (records).
    pub item: Option<Json<'d>>,
    pub attribute_updates: Option<Json<'d>>,
    pub attributes_to_get: Option<Json<'d>>,
    pub attribute_names: Option<Json<'d>>,
    pub update_expression: Option<&'d str>,
    pub projection_expression: Option<&'d str>,
    pub is_conditional: bool,
    pub has_filter: bool,
    pub select: Option<&'d str>,
    pub limit: Option<i64>,
    pub segment: Option<i64>,
    pub total_segments: Option<i64>,

    pub statement: Option<&'d str>,
    /// `requestItems`, `transactItems`, `statements` or `transactStatements`.
    pub entries: Option<Json<'d>>,
    /// An entry's `operation`.
    pub operation: Option<&'d str>,
    /// An entry's only member in the API's own shape: `put`, `deleteRequest`, `get`, …
    pub action: Option<(Verb, Json<'d>)>,
}

impl<'d> Request<'d> {
    pub fn read(parameters: Json<'d>, unclear: &mut Unclear) -> Request<'d> {
        let mut request = Request::default();
        let mut buffer = [0; LONGEST_NAME];
        for (name, value) in parameters.members() {
            if !value.is_null() {
                request.take(name, folded_bytes(name, &mut buffer), value, unclear);
            }
        }
        request
    }

    fn take(&mut self, name: &str, folded: &[u8], value: Json<'d>, unclear: &mut Unclear) {
        match folded {
            b"omitted" => self.is_omitted = is_true(value),
            b"key" => self.key = Some(value),
            b"keys" => self.keys = Some(value),
            b"item" | b"items" => self.item = Some(value),
            b"attributeupdates" => self.attribute_updates = Some(value),
            b"attributestoget" => self.attributes_to_get = Some(value),
            b"expressionattributenames" => self.attribute_names = Some(value),
            b"requestitems" | b"transactitems" | b"statements" | b"transactstatements" => {
                self.entries = Some(value);
            }
            b"conditionexpression" => self.is_conditional = true,
            b"expected" => self.is_conditional |= value.is_filled_object(),
            b"filterexpression" => self.has_filter = true,
            b"queryfilter" | b"scanfilter" => self.has_filter |= value.is_filled_object(),
            b"limit" => self.limit = integer(value, "requestParameters.limit", unclear),
            b"segment" => self.segment = integer(value, "requestParameters.segment", unclear),
            b"totalsegments" => {
                self.total_segments = integer(value, "requestParameters.totalSegments", unclear);
            }
            // DynamoDB's own creation parameters name the table one level down.
            b"tablecreationparameters" => {
                self.table_name = value.get_ignore_case("tableName").and_then(Json::as_str);
            }
            _ => match text_member(folded) {
                Some(member) => self.take_text(member, value, unclear),
                None if value.kind() == Kind::Object => {
                    if let Some(verb) = Verb::of_entry(name) {
                        self.action = Some((verb, value));
                    }
                }
                None => {}
            },
        }
    }

    fn take_text(&mut self, member: TextMember, value: Json<'d>, unclear: &mut Unclear) {
        let Some(text) = value.as_str() else {
            unclear.note(member.unclear());
            return;
        };
        if text.is_empty() {
            return;
        }
        let text = Some(text);
        match member {
            TextMember::TableName => self.table_name = text,
            TextMember::TableArn => self.table_arn = text,
            TextMember::ResourceArn => self.resource_arn = text,
            TextMember::SourceTable => self.source_table = text,
            TextMember::TargetTableName => self.target_table_name = text,
            TextMember::GlobalTableName => self.global_table_name = text,
            TextMember::GlobalTableSourceArn => self.global_table_source_arn = text,
            TextMember::StreamArn => self.stream_arn = text,
            TextMember::ShardIterator => {
                self.shard_iterator = text.and_then(|iterator| iterator.split('|').next());
            }
            TextMember::CopyArn => self.copy_arn = text,
            TextMember::IndexName => self.index_name = text,
            TextMember::UpdateExpression => self.update_expression = text,
            TextMember::ProjectionExpression => self.projection_expression = text,
            TextMember::Select => self.select = text,
            TextMember::Statement => self.statement = text,
            TextMember::Operation => self.operation = text,
        }
    }
}

#[derive(Clone, Copy)]
enum TextMember {
    TableName,
    TableArn,
    ResourceArn,
    SourceTable,
    TargetTableName,
    GlobalTableName,
    GlobalTableSourceArn,
    StreamArn,
    ShardIterator,
    CopyArn,
    IndexName,
    UpdateExpression,
    ProjectionExpression,
    Select,
    Statement,
    Operation,
}

fn text_member(folded: &[u8]) -> Option<TextMember> {
    Some(match folded {
        b"tablename" => TextMember::TableName,
        b"tablearn" => TextMember::TableArn,
        b"resourcearn" => TextMember::ResourceArn,
        b"sourcetablename" | b"sourcetablearn" => TextMember::SourceTable,
        b"targettablename" => TextMember::TargetTableName,
        b"globaltablename" => TextMember::GlobalTableName,
        b"globaltablesourcearn" => TextMember::GlobalTableSourceArn,
        b"streamarn" => TextMember::StreamArn,
        b"sharditerator" => TextMember::ShardIterator,
        b"backuparn" | b"exportarn" | b"importarn" => TextMember::CopyArn,
        b"indexname" => TextMember::IndexName,
        b"updateexpression" => TextMember::UpdateExpression,
        b"projectionexpression" => TextMember::ProjectionExpression,
        b"select" => TextMember::Select,
        b"statement" => TextMember::Statement,
        b"operation" => TextMember::Operation,
        _ => return None,
    })
}

impl TextMember {
    /// The name under which a member of a wrong type is counted.
    fn unclear(self) -> &'static str {
        match self {
            TextMember::TableName => "requestParameters.tableName",
            TextMember::TableArn => "requestParameters.tableArn",
            TextMember::ResourceArn => "requestParameters.resourceArn",
            TextMember::SourceTable => "requestParameters.sourceTable",
            TextMember::TargetTableName => "requestParameters.targetTableName",
            TextMember::GlobalTableName => "requestParameters.globalTableName",
            TextMember::GlobalTableSourceArn => "requestParameters.globalTableSourceArn",
            TextMember::StreamArn => "requestParameters.streamArn",
            TextMember::ShardIterator => "requestParameters.shardIterator",
            TextMember::CopyArn => "requestParameters.backupArn",
            TextMember::IndexName => "requestParameters.indexName",
            TextMember::UpdateExpression => "requestParameters.updateExpression",
            TextMember::ProjectionExpression => "requestParameters.projectionExpression",
            TextMember::Select => "requestParameters.select",
            TextMember::Statement => "requestParameters.statement",
            TextMember::Operation => "requestParameters.operation",
        }
    }
}

fn is_true(value: Json<'_>) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}

/// An integer; data events before July 2021 write integers as floating point (`50.0`).
fn integer(value: Json<'_>, unclear_name: &'static str, unclear: &mut Unclear) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let found = match value.kind() {
        Kind::Number => value.as_i64().or_else(|| {
            let number: f64 = value.raw().parse().ok()?;
            (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
        }),
        Kind::String => value.as_str().and_then(|text| text.parse().ok()),
        _ => None,
    };
    if found.is_none() {
        unclear.note(unclear_name);
    }
    found
}
