//! The everyday mixture of DynamoDB calls, successful and failed.

use super::control::{self, describe};
use super::items::{self, BatchShape, BatchWrite, TransactEntry};
use super::partiql::{self, Verb};
use super::prng::Prng;
use super::record::{Moment, Record};
use super::streams;
use super::tables::Table;

/// One call on `table`; a transaction touches `other` as well.
pub fn item_call(moment: &Moment, table: &Table, other: &Table, prng: &mut Prng) -> Record {
    let record = match prng.below(1000) {
        0..=339 => items::get_item(moment, table, prng),
        340..=499 => items::query(moment, table, prng),
        500..=619 => items::put_item(moment, table, prng),
        620..=749 => items::update_item(moment, table, prng),
        750..=754 => items::update_lease(moment, table, prng),
        755..=799 => {
            let keys = prng.below(20) + 1;
            items::batch_get(moment, table, (shape(prng), keys), prng)
        }
        800..=839 => batch_write(moment, table, prng),
        840..=869 => {
            let entries = transaction(table, other, prng);
            items::transact_write(moment, &entries, prng)
        }
        870..=879 => items::transact_get(moment, table, 3, prng),
        880..=909 => items::delete_item(moment, table, prng),
        910..=919 => {
            let request = items::scan_request(table, prng);
            items::scan(moment, table, request, prng)
        }
        920..=944 => statement(moment, table, prng),
        945..=984 if table.stream.is_some() => streams::get_records(moment, table, prng),
        985..=989 if table.stream.is_some() => streams::get_shard_iterator(moment, table, prng),
        990..=996 => describe(moment, "DescribeTable", table, prng),
        997 => describe(moment, "DescribeTimeToLive", table, prng),
        998 => control::list_tables(moment, prng),
        _ => items::get_item(moment, table, prng),
    };
    sometimes_failed(record, table, prng)
}

/// What auto scaling does: it looks much more often than it sets.
pub fn auto_scaling_call(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    if prng.chance(50) {
        let units = (5 * prng.between(1, 40)) as u64;
        return control::update_throughput(moment, table, (units, units), prng);
    }
    describe(moment, "DescribeTable", table, prng)
}

fn shape(prng: &mut Prng) -> BatchShape {
    if prng.chance(500) {
        BatchShape::Array
    } else {
        BatchShape::Map
    }
}

fn batch_write(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let (puts, deletes) = if prng.chance(800) {
        (1 + prng.below(12), 0)
    } else {
        (1 + prng.below(6), 1 + prng.below(6))
    };
    let batch = BatchWrite {
        shape: shape(prng),
        puts,
        deletes,
    };
    items::batch_write(moment, table, batch, prng)
}

fn transaction<'a>(
    table: &'a Table,
    other: &'a Table,
    prng: &mut Prng,
) -> Vec<(TransactEntry, &'a Table)> {
    let mut entries = vec![(TransactEntry::Put, table), (TransactEntry::Update, other)];
    if prng.chance(400) {
        entries.push((TransactEntry::ConditionCheck, other));
    }
    if prng.chance(200) {
        entries.push((TransactEntry::Delete, table));
    }
    entries
}

fn statement(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let verb = prng.pick(&[
        Verb::Select,
        Verb::Select,
        Verb::Insert,
        Verb::Update,
        Verb::Delete,
    ]);
    let count = prng.below(6) + 2;
    match prng.below(4) {
        0 => partiql::execute_batch(moment, table, (verb, count), prng),
        1 => partiql::execute_transaction(moment, table, (verb, count), prng),
        _ => partiql::execute(moment, table, verb, prng),
    }
}

/// Fails 15 calls in a thousand, each in a way that its kind of call can fail.
fn sometimes_failed(record: Record, table: &Table, prng: &mut Prng) -> Record {
    if record.management || !prng.chance(15) {
        return record;
    }
    match (prng.below(10), record.event_name) {
        (0..=3, _) => throttled(record),
        (4..=7, "PutItem" | "UpdateItem" | "DeleteItem") => condition_failed(record),
        (4..=7, "TransactWriteItems") => cancelled(record),
        (8, _) => record.failed(
            "ValidationException",
            "The provided key element does not match the schema",
        ),
        (9, "GetItem" | "PutItem" | "Query" | "Scan") => {
            let action = format!("dynamodb:{}", record.event_name);
            record.denied(&action, &table.arn())
        }
        _ => throttled(record),
    }
}

pub fn throttled(record: Record) -> Record {
    record.failed(
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning level with the UpdateTable API.",
    )
}

pub fn condition_failed(record: Record) -> Record {
    record.failed(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
}

/// A transaction whose first entry's condition did not hold.
pub fn cancelled(record: Record) -> Record {
    let others = ", None".repeat(record.accesses.len().saturating_sub(1));
    let message = format!(
        "Transaction cancelled, please refer cancellation reasons for specific reasons [ConditionalCheckFailed{others}]"
    );
    record.failed("TransactionCanceledException", &message)
}
