//! DynamoDB data events: the calls that read and write items.
//!
//! Shapes seen in captured records are kept to the letter (`items`, the synthesised `key` of a Query);
//! for calls never seen captured, the array and the map form of `requestItems` both occur.

use super::json::{Object, array, texts};
use super::prng::Prng;
use super::record::{Moment, Record};
use super::tables::Table;

/// How a batch call lists its entries.
#[derive(Clone, Copy)]
pub enum BatchShape {
    Array,
    Map,
}

fn on(moment: &Moment, name: &'static str, table: &Table, prng: &mut Prng) -> Record {
    let record = Record::dynamodb(moment, name, prng).data();
    record.resources(table.resources(prng))
}

fn with_key(table: &Table, prng: &mut Prng) -> Object {
    Object::new()
        .text("tableName", &table.name)
        .json("key", &table.key(prng))
}

pub fn get_item(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let mut request = with_key(table, prng);
    if prng.chance(300) {
        request = request.bare("consistentRead", prng.chance(500));
    }
    if prng.chance(250) {
        let names = Object::new()
            .text("#a", prng.pick(&table.attributes))
            .finish();
        request = request
            .text("projectionExpression", "#a")
            .json("expressionAttributeNames", &names);
    }
    on(moment, "GetItem", table, prng)
        .request(request)
        .accesses(&table.name, "get", 1)
}

pub fn put_item(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let mut request = with_key(table, prng).json("items", &texts(table.item_names(prng)));
    if prng.chance(300) {
        let condition = format!("attribute_not_exists({})", table.partition_key.name);
        request = request.text("conditionExpression", &condition);
    }
    if prng.chance(200) {
        request = request.text("returnConsumedCapacity", "TOTAL");
    }
    on(moment, "PutItem", table, prng)
        .writes()
        .request(request)
        .accesses(&table.name, "put", 1)
}

pub fn update_item(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let names = Object::new()
        .text("#f", prng.pick(&table.attributes))
        .text("#u", "modified_at")
        .finish();
    let mut request = with_key(table, prng)
        .text("updateExpression", "SET #f = :f, #u = :now")
        .json("expressionAttributeNames", &names);
    if prng.chance(400) {
        request = request.text("conditionExpression", "attribute_exists(#f) AND #u < :now");
    }
    if prng.chance(500) {
        request = request.text("returnValues", "ALL_NEW");
    }
    on(moment, "UpdateItem", table, prng)
        .writes()
        .request(request)
        .accesses(&table.name, "update", 1)
}

/// The legacy form that the Kinesis Client Library uses for its leases.
pub fn update_lease(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let request = with_key(table, prng)
        .json("attributeUpdates", r#"{"leaseCounter":{"action":"PUT"}}"#)
        .json("expected", r#"{"leaseCounter":{}}"#);
    on(moment, "UpdateItem", table, prng)
        .writes()
        .request(request)
        .accesses(&table.name, "update", 1)
}

pub fn delete_item(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let request = with_key(table, prng);
    on(moment, "DeleteItem", table, prng)
        .writes()
        .request(request)
        .accesses(&table.name, "delete", 1)
}

/// A Query on the table's index, if it has one, else on the table.
pub fn query(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let mut request = Object::new().text("tableName", &table.name);
    let attribute = match &table.index {
        Some(index) => {
            request = request.text("indexName", &index.name);
            &index.key
        }
        None => &table.partition_key,
    };
    let key = Object::new()
        .text(attribute.name, &attribute.value(prng))
        .finish();
    let names = Object::new().text("#n0", attribute.name).finish();
    request = request
        .json("key", &key)
        .text("keyConditionExpression", "#n0 = :v0")
        .json("expressionAttributeNames", &names);
    if prng.chance(500) {
        request = request.bare("limit", prng.pick(&[1, 10, 25, 100]));
    }
    if prng.chance(300) {
        request = request.bare("scanIndexForward", false);
    }
    on(moment, "Query", table, prng)
        .request(request)
        .accesses(&table.name, "query", 1)
}

pub fn scan(moment: &Moment, table: &Table, request: Object, prng: &mut Prng) -> Record {
    on(moment, "Scan", table, prng)
        .request(request)
        .accesses(&table.name, "scan", 1)
}

/// What the console and programs send with a Scan.
pub fn scan_request(table: &Table, prng: &mut Prng) -> Object {
    match prng.below(3) {
        0 => Object::new()
            .text("select", "ALL_ATTRIBUTES")
            .bare("consistentRead", false)
            .text("tableName", &table.name)
            .bare("limit", 50)
            .text("returnConsumedCapacity", "TOTAL"),
        1 => Object::new()
            .text("tableName", &table.name)
            .bare("limit", 100)
            .bare("consistentRead", false),
        _ => Object::new()
            .text("tableName", &table.name)
            .text("filterExpression", "#s = :s AND #u < :before")
            .json(
                "expressionAttributeNames",
                r##"{"#s":"status","#u":"updated_at"}"##,
            )
            .bare("segment", prng.below(4))
            .bare("totalSegments", 4),
    }
}

pub fn batch_get(
    moment: &Moment,
    table: &Table,
    (shape, keys): (BatchShape, u64),
    prng: &mut Prng,
) -> Record {
    let entries = match shape {
        BatchShape::Array => array((0..keys).map(|_| with_key(table, prng).finish())),
        BatchShape::Map => {
            let keys = array((0..keys).map(|_| table.key(prng)));
            Object::new()
                .json(&table.name, &Object::new().json("keys", &keys).finish())
                .finish()
        }
    };
    let request = Object::new()
        .json("requestItems", &entries)
        .text("returnConsumedCapacity", "TOTAL");
    on(moment, "BatchGetItem", table, prng)
        .request(request)
        .accesses(&table.name, "get", keys)
}

/// How many items a BatchWriteItem puts and deletes.
#[derive(Clone, Copy)]
pub struct BatchWrite {
    pub shape: BatchShape,
    pub puts: u64,
    pub deletes: u64,
}

pub fn batch_write(moment: &Moment, table: &Table, batch: BatchWrite, prng: &mut Prng) -> Record {
    let entries =
        (0..batch.puts + batch.deletes).map(|entry| batch_write_entry(table, batch, entry, prng));
    let entries = array(entries);
    let items = match batch.shape {
        BatchShape::Array => entries,
        BatchShape::Map => Object::new().json(&table.name, &entries).finish(),
    };
    let mut record = on(moment, "BatchWriteItem", table, prng)
        .writes()
        .request(Object::new().json("requestItems", &items));
    if batch.puts > 0 {
        record = record.accesses(&table.name, "put", batch.puts);
    }
    if batch.deletes > 0 {
        record = record.accesses(&table.name, "delete", batch.deletes);
    }
    record
}

fn batch_write_entry(table: &Table, batch: BatchWrite, entry: u64, prng: &mut Prng) -> String {
    let puts = entry < batch.puts;
    match batch.shape {
        BatchShape::Array => {
            let request = Object::new()
                .text("operation", if puts { "Put" } else { "Delete" })
                .text("tableName", &table.name)
                .json("key", &table.key(prng));
            if puts {
                request
                    .json("items", &texts(table.item_names(prng)))
                    .finish()
            } else {
                request.finish()
            }
        }
        BatchShape::Map => {
            let key = Object::new().json("key", &table.key(prng));
            if puts {
                let item = key.json("items", &texts(table.item_names(prng))).finish();
                Object::new().json("putRequest", &item).finish()
            } else {
                Object::new().json("deleteRequest", &key.finish()).finish()
            }
        }
    }
}

/// One entry of a TransactWriteItems.
#[derive(Clone, Copy)]
pub enum TransactEntry {
    Put,
    Update,
    Delete,
    ConditionCheck,
}

pub fn transact_write(
    moment: &Moment,
    entries: &[(TransactEntry, &Table)],
    prng: &mut Prng,
) -> Record {
    let requests = array(
        entries
            .iter()
            .map(|(entry, table)| transact_entry(*entry, table, prng)),
    );
    let request = Object::new()
        .json("requestItems", &requests)
        .text("returnConsumedCapacity", "TOTAL")
        .text("returnItemCollectionMetrics", "SIZE");
    let mut record = Record::dynamodb(moment, "TransactWriteItems", prng)
        .data()
        .writes()
        .request(request);
    record = record.resources(tables_of(entries, prng));
    for (entry, table) in entries {
        let operation = match entry {
            TransactEntry::Put => "put",
            TransactEntry::Update => "update",
            TransactEntry::Delete => "delete",
            TransactEntry::ConditionCheck => "condition_check",
        };
        record = record.accesses(&table.name, operation, 1);
    }
    record
}

/// The resources of a call on several tables: each table once.
fn tables_of(entries: &[(TransactEntry, &Table)], prng: &mut Prng) -> Vec<String> {
    let mut resources = Vec::new();
    for (position, (_, table)) in entries.iter().enumerate() {
        let named_before = entries[..position]
            .iter()
            .any(|(_, earlier)| earlier.name == table.name);
        if !named_before {
            resources.extend(table.resources(prng));
        }
    }
    resources
}

/// The letter case inside one event varies as in the documentation's example.
fn transact_entry(entry: TransactEntry, table: &Table, prng: &mut Prng) -> String {
    let names = Object::new()
        .text("#f", prng.pick(&table.attributes))
        .finish();
    match entry {
        TransactEntry::Put => Object::new()
            .text("operation", "Put")
            .text("tableName", &table.name)
            .json("key", &table.key(prng))
            .json("items", &texts(table.item_names(prng)))
            .text("conditionExpression", "#f = :old")
            .json("expressionAttributeNames", &names)
            .text("returnValuesOnConditionCheckFailure", "ALL_OLD"),
        TransactEntry::Update => Object::new()
            .text("operation", "Update")
            .text("tableName", &table.name)
            .json("key", &table.key(prng))
            .text("updateExpression", "SET #f = :new")
            .text("ConditionExpression", "#f = :old")
            .json("ExpressionAttributeNames", &names)
            .text("returnValuesOnConditionCheckFailure", "ALL_OLD"),
        TransactEntry::Delete => Object::new()
            .text("operation", "Delete")
            .text("TableName", &table.name)
            .json("key", &table.key(prng)),
        TransactEntry::ConditionCheck => Object::new()
            .text("operation", "ConditionCheck")
            .text("TableName", &table.name)
            .json("Key", &table.key(prng))
            .text("ConditionExpression", "attribute_exists(#f)")
            .json("ExpressionAttributeNames", &names)
            .text("ReturnValuesOnConditionCheckFailure", "ALL_OLD"),
    }
    .finish()
}

pub fn transact_get(moment: &Moment, table: &Table, keys: u64, prng: &mut Prng) -> Record {
    let entries = array((0..keys).map(|_| {
        let entry = Object::new()
            .text("operation", "Get")
            .text("tableName", &table.name);
        entry.json("key", &table.key(prng)).finish()
    }));
    let request = Object::new().json("requestItems", &entries);
    on(moment, "TransactGetItems", table, prng)
        .request(request)
        .accesses(&table.name, "get", keys)
}
