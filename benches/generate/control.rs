//! DynamoDB and DAX management events: tables, backups, exports, streams' descriptions, clusters.

use super::json::{Object, array};
use super::prng::Prng;
use super::record::{DAX, Moment, Record, resource};
use super::tables::{Attribute, Table};
use super::time::{Seconds, american};

fn on(moment: &Moment, name: &'static str, table: &Table, prng: &mut Prng) -> Record {
    let resources = [resource(
        table.account,
        "AWS::DynamoDB::Table",
        &table.arn(),
    )];
    Record::dynamodb(moment, name, prng).resources(resources)
}

fn named(table: &Table) -> Object {
    Object::new().text("tableName", &table.name)
}

/// A read of one table's settings that sends nothing but the table's name.
pub fn describe(moment: &Moment, name: &'static str, table: &Table, prng: &mut Prng) -> Record {
    on(moment, name, table, prng).request(named(table))
}

pub fn list_tables(moment: &Moment, prng: &mut Prng) -> Record {
    Record::dynamodb(moment, "ListTables", prng)
}

pub fn list_backups(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    Record::dynamodb(moment, "ListBackups", prng).request(named(table))
}

/// Genuine ListExports records say readOnly false.
pub fn list_exports(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let request = Object::new().text("tableArn", &table.arn());
    Record::dynamodb(moment, "ListExports", prng)
        .writes()
        .request(request)
}

pub fn describe_stream(moment: &Moment, stream_arn: &str, prng: &mut Prng) -> Record {
    Record::dynamodb(moment, "DescribeStream", prng)
        .request(Object::new().text("streamArn", stream_arn))
}

fn key_attributes(table: &Table) -> Vec<(&Attribute, &'static str)> {
    let mut keys = vec![(&table.partition_key, "HASH")];
    keys.extend(table.sort_key.as_ref().map(|key| (key, "RANGE")));
    keys
}

fn attribute_definitions(table: &Table) -> String {
    array(key_attributes(table).iter().map(|(key, _)| {
        Object::new()
            .text("attributeName", key.name)
            .text("attributeType", "S")
            .finish()
    }))
}

fn key_schema(table: &Table) -> String {
    array(key_attributes(table).iter().map(|(key, kind)| {
        Object::new()
            .text("attributeName", key.name)
            .text("keyType", kind)
            .finish()
    }))
}

fn table_id(table: &Table) -> String {
    Prng::of_text(&table.arn()).uuid()
}

/// The `tableDescription` of a response to CreateTable or UpdateTable.
fn description(table: &Table, status: &str, protected: bool) -> Object {
    let created = 1_704_103_200 + Prng::of_text(&table.name).between(0, 20_000_000);
    let throughput = r#"{"numberOfDecreasesToday":0,"readCapacityUnits":5,"writeCapacityUnits":5}"#;
    let description = Object::new()
        .json("attributeDefinitions", &attribute_definitions(table))
        .text("tableName", &table.name)
        .json("keySchema", &key_schema(table))
        .text("tableStatus", status)
        .text("creationDateTime", &american(created))
        .json("provisionedThroughput", throughput)
        .bare("tableSizeBytes", 0)
        .bare("itemCount", 0)
        .text("tableArn", &table.arn())
        .text("tableId", &table_id(table))
        .bare("deletionProtectionEnabled", protected)
        .finish();
    Object::new().json("tableDescription", &description)
}

pub fn create_table(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let request = Object::new()
        .json("attributeDefinitions", &attribute_definitions(table))
        .text("tableName", &table.name)
        .json("keySchema", &key_schema(table))
        .text("billingMode", "PAY_PER_REQUEST")
        .json("sSESpecification", r#"{"enabled":false}"#)
        .json("tags", r#"[{"key":"team","value":"analytics"}]"#)
        .text("tableClass", "STANDARD")
        .bare("deletionProtectionEnabled", false);
    let response = description(table, "CREATING", false);
    on(moment, "CreateTable", table, prng)
        .writes()
        .request(request)
        .response(response)
}

pub fn delete_table(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let throughput = r#"{"readCapacityUnits":5,"writeCapacityUnits":5,"numberOfDecreasesToday":0}"#;
    let description = Object::new()
        .text("tableId", &table_id(table))
        .json("provisionedThroughput", throughput)
        .text("tableName", &table.name)
        .bare("tableSizeBytes", 0)
        .text("tableStatus", "DELETING")
        .text("tableArn", &table.arn())
        .bare("itemCount", 0)
        .finish();
    let response = Object::new().json("tableDescription", &description);
    on(moment, "DeleteTable", table, prng)
        .writes()
        .request(named(table))
        .response(response)
}

/// UpdateTable with the capacity that auto scaling or an operator sets.
pub fn update_throughput(
    moment: &Moment,
    table: &Table,
    (read, write): (u64, u64),
    prng: &mut Prng,
) -> Record {
    let units = Object::new()
        .bare("readCapacityUnits", read)
        .bare("writeCapacityUnits", write)
        .finish();
    let request = named(table).json("provisionedThroughput", &units);
    let response = description(table, "UPDATING", true);
    on(moment, "UpdateTable", table, prng)
        .writes()
        .request(request)
        .response(response)
}

pub fn disable_deletion_protection(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let request = named(table).bare("deletionProtectionEnabled", false);
    let response = description(table, "ACTIVE", false);
    on(moment, "UpdateTable", table, prng)
        .writes()
        .request(request)
        .response(response)
}

pub fn enable_time_to_live(
    moment: &Moment,
    table: &Table,
    attribute: &str,
    prng: &mut Prng,
) -> Record {
    let setting = Object::new()
        .bare("enabled", true)
        .text("attributeName", attribute)
        .finish();
    let request = named(table).json("timeToLiveSpecification", &setting);
    let response = Object::new().json("timeToLiveSpecification", &setting);
    on(moment, "UpdateTimeToLive", table, prng)
        .writes()
        .request(request)
        .response(response)
}

#[derive(Clone, Copy, PartialEq)]
pub enum PointInTimeRecovery {
    On,
    Off,
}

pub fn update_continuous_backups(
    moment: &Moment,
    table: &Table,
    recovery: PointInTimeRecovery,
    prng: &mut Prng,
) -> Record {
    let enabled = recovery == PointInTimeRecovery::On;
    let setting = Object::new()
        .bare("pointInTimeRecoveryEnabled", enabled)
        .finish();
    let request = named(table).json("pointInTimeRecoverySpecification", &setting);
    let status = if enabled { "ENABLED" } else { "DISABLED" };
    let recovery = Object::new()
        .text("pointInTimeRecoveryStatus", status)
        .finish();
    let description = Object::new()
        .text("continuousBackupsStatus", "ENABLED")
        .json("pointInTimeRecoveryDescription", &recovery)
        .finish();
    let response = Object::new().json("continuousBackupsDescription", &description);
    on(moment, "UpdateContinuousBackups", table, prng)
        .writes()
        .request(request)
        .response(response)
}

/// The ARN of the on-demand backup of a table begun at a moment.
pub fn backup_arn(table: &Table, begun: Seconds) -> String {
    let suffix = Prng::of_text(&format!("{}{begun}", table.name)).hex(8);
    format!("{}/backup/0{}000-{suffix}", table.arn(), begun)
}

fn backup_details(table: &Table, begun: Seconds, status: &str) -> String {
    Object::new()
        .text("backupArn", &backup_arn(table, begun))
        .text("backupName", &format!("{}-nightly", table.name))
        .bare("backupSizeBytes", 48_211_345)
        .text("backupStatus", status)
        .text("backupType", "USER")
        .text("backupCreationDateTime", &american(begun))
        .finish()
}

pub fn create_backup(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let request = named(table).text("backupName", &format!("{}-nightly", table.name));
    let details = backup_details(table, moment.time, "CREATING");
    let response = Object::new().json("backupDetails", &details);
    on(moment, "CreateBackup", table, prng)
        .writes()
        .request(request)
        .response(response)
}

pub fn delete_backup(moment: &Moment, table: &Table, begun: Seconds, prng: &mut Prng) -> Record {
    let request = Object::new().text("backupArn", &backup_arn(table, begun));
    let source = Object::new()
        .text("tableName", &table.name)
        .text("tableArn", &table.arn())
        .finish();
    let description = Object::new()
        .json("backupDetails", &backup_details(table, begun, "DELETED"))
        .json("sourceTableDetails", &source)
        .finish();
    let response = Object::new().json("backupDescription", &description);
    on(moment, "DeleteBackup", table, prng)
        .writes()
        .request(request)
        .response(response)
}

/// Like the captured RestoreTableToPointInTime records it has no response.
pub fn restore_from_backup(
    moment: &Moment,
    table: &Table,
    begun: Seconds,
    prng: &mut Prng,
) -> Record {
    let request = Object::new()
        .text("targetTableName", &table.name)
        .text("backupArn", &backup_arn(table, begun))
        .json("globalSecondaryIndexOverride", "[]")
        .json("localSecondaryIndexOverride", "[]");
    on(moment, "RestoreTableFromBackup", table, prng)
        .writes()
        .request(request)
}

/// Where an export goes.
pub struct Bucket {
    pub name: &'static str,
    pub owner: &'static str,
}

pub fn export_table(moment: &Moment, table: &Table, bucket: &Bucket, prng: &mut Prng) -> Record {
    let token = prng.uuid();
    let request = Object::new()
        .text("tableArn", &table.arn())
        .text("s3Bucket", bucket.name)
        .text("s3BucketOwner", bucket.owner)
        .text("s3Prefix", &table.name)
        .text("exportFormat", "DYNAMODB_JSON")
        .text("clientToken", &token);
    let export_arn = format!("{}/export/0{}000-{}", table.arn(), moment.time, prng.hex(8));
    let description = Object::new()
        .text("exportArn", &export_arn)
        .text("exportStatus", "IN_PROGRESS")
        .text("startTime", &american(moment.time))
        .text("tableArn", &table.arn())
        .text("tableId", &table_id(table))
        .text("exportTime", &american(moment.time))
        .text("clientToken", &token)
        .text("s3Bucket", bucket.name)
        .text("s3BucketOwner", bucket.owner)
        .text("s3Prefix", &table.name)
        .text("s3SseAlgorithm", "AES256")
        .text("exportFormat", "DYNAMODB_JSON")
        .text("exportType", "FULL_EXPORT")
        .finish();
    let response = Object::new().json("exportDescription", &description);
    on(moment, "ExportTableToPointInTime", table, prng)
        .writes()
        .request(request)
        .response(response)
}

pub fn tag_resource(
    moment: &Moment,
    table: &Table,
    (key, value): (&str, &str),
    prng: &mut Prng,
) -> Record {
    let tag = Object::new().text("key", key).text("value", value).finish();
    let request = Object::new()
        .text("resourceArn", &table.arn())
        .json("tags", &array([tag]));
    on(moment, "TagResource", table, prng)
        .writes()
        .request(request)
}

/// A DAX call; as documented it has a UUID as request id and neither apiVersion nor resources.
pub fn dax(moment: &Moment, name: &'static str, request: Object, prng: &mut Prng) -> Record {
    let record = Record::new(moment, DAX, name, prng).request(request);
    if name.starts_with("Describe") || name == "ListTags" {
        record
    } else {
        record.writes()
    }
}
