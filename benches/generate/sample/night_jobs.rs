//! What runs unattended once a day: the nightly batch, the backup rotation, the data pipeline, the reporting host.

use super::super::control::{self, Bucket, PointInTimeRecovery};
use super::super::items::{self, BatchShape, BatchWrite};
use super::super::json::Object;
use super::super::mix::throttled;
use super::super::prng::Prng;
use super::super::record::Record;
use super::super::services;
use super::super::storage;
use super::super::time::{DAY, HOUR, MINUTE, Seconds, moment};
use super::incident::{customers_are_gone, key_is_inactive};
use super::world::{
    ANALYTICS, US, World, at, backup_rotation, data_pipeline, is_working_day, nightly_batch,
    reporting_host, temporary_table,
};

pub fn day(world: &World, day: Seconds, records: &mut Vec<Record>) {
    let mut prng = Prng::stream(super::SEED ^ 0x0b57, day as u64);
    batch(world, day, &mut prng, records);
    rotate_backups(world, day, &mut prng, records);
    if is_working_day(day) {
        pipeline(world, day, &mut prng, records);
    }
    report(world, day, &mut prng, records);
}

/// 01:10: stock levels are put, expired carts deleted, in batches of 25.
fn batch(world: &World, day: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = nightly_batch(day);
    let begin = day + HOUR + 10 * MINUTE;
    for number in 0..12 {
        let moment = at(&caller, begin + number * 25, US);
        let stock = BatchWrite {
            shape: BatchShape::Array,
            puts: 25,
            deletes: 0,
        };
        let record = items::batch_write(&moment, &world.inventory, stock, prng);
        if prng.chance(80) {
            records.push(throttled(record));
            let again = at(&caller, moment.time + 1, US);
            records.push(items::batch_write(&again, &world.inventory, stock, prng));
        } else {
            records.push(record);
        }
    }
    for number in 0..5 {
        let moment = at(&caller, begin + 6 * MINUTE + number * 20, US);
        let carts = BatchWrite {
            shape: BatchShape::Map,
            puts: 2,
            deletes: 23,
        };
        records.push(items::batch_write(&moment, &world.carts, carts, prng));
    }
    for number in 0..10 {
        let shape = if number % 2 == 0 {
            BatchShape::Array
        } else {
            BatchShape::Map
        };
        let moment = at(&caller, begin + 8 * MINUTE + number * 8, US);
        records.push(items::batch_get(&moment, &world.orders, (shape, 20), prng));
    }
    for number in 0..6 {
        let moment = at(&caller, begin + number * 80, US);
        records.push(services::ordinary(&moment, &world.inventory, prng));
    }
}

/// When the rotation backs a table up.
pub fn backup_time(day: Seconds) -> Seconds {
    day + 2 * HOUR + 30 * MINUTE
}

/// 02:30: `orders` and `customers` are backed up; on Sundays the backups of the week before are deleted.
fn rotate_backups(world: &World, day: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = backup_rotation(day);
    let moment = at(&caller, backup_time(day), US);
    for table in [&world.orders, &world.customers] {
        records.push(control::create_backup(&moment, table, prng));
        records.push(control::list_backups(
            &at(&caller, moment.time + 20, US),
            table,
            prng,
        ));
    }
    let sunday = moment_of_first_sunday();
    if day >= sunday && (day - sunday) % (7 * DAY) == 0 {
        let late = at(&caller, moment.time + 60, US);
        records.push(control::delete_backup(
            &late,
            &world.orders,
            backup_time(day - 7 * DAY),
            prng,
        ));
    }
    records.push(services::get_parameters(&moment, prng));
}

fn moment_of_first_sunday() -> Seconds {
    moment((2025, 3, 9), (0, 0, 0))
}

/// 05:00 on working days: a temporary table is made, filled, scanned in parallel and deleted.
fn pipeline(world: &World, day: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = data_pipeline(day);
    let begin = day + 5 * HOUR;
    let table = temporary_table(day);
    records.push(control::create_table(&at(&caller, begin, US), &table, prng));
    for second in [8, 16] {
        records.push(control::describe(
            &at(&caller, begin + second, US),
            "DescribeTable",
            &table,
            prng,
        ));
    }
    for number in 0..8 {
        let moment = at(&caller, begin + 20 + number * 15, US);
        let rows = BatchWrite {
            shape: BatchShape::Map,
            puts: 25,
            deletes: 0,
        };
        records.push(items::batch_write(&moment, &table, rows, prng));
    }
    for segment in 0..4 {
        let request = Object::new()
            .text("tableName", &table.name)
            .bare("segment", segment)
            .bare("totalSegments", 4);
        records.push(items::scan(
            &at(&caller, begin + 200 + segment, US),
            &table,
            request,
            prng,
        ));
    }
    for number in 0..10 {
        let moment = at(&caller, begin + 3 * MINUTE + number * 9, US);
        records.push(items::put_item(&moment, &world.clickstream, prng));
        records.push(storage::put_object(&moment, prng));
    }
    records.push(control::delete_table(
        &at(&caller, begin + 8 * MINUTE, US),
        &table,
        prng,
    ));
    if day == moment((2025, 3, 3), (0, 0, 0)) || day == moment((2025, 3, 10), (0, 0, 0)) {
        weekly_export(world, day, prng, records);
    }
}

/// Mondays: `clickstream` goes to a bucket of its own account.
fn weekly_export(world: &World, day: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = data_pipeline(day);
    let begin = day + 5 * HOUR + 9 * MINUTE;
    let first_time = day == moment((2025, 3, 3), (0, 0, 0));
    if first_time {
        let on = PointInTimeRecovery::On;
        let moment = at(&caller, begin - 30, US);
        records.push(control::update_continuous_backups(
            &moment,
            &world.clickstream,
            on,
            prng,
        ));
    }
    let bucket = Bucket {
        name: "example-analytics-exports",
        owner: ANALYTICS,
    };
    records.push(control::export_table(
        &at(&caller, begin, US),
        &world.clickstream,
        &bucket,
        prng,
    ));
    records.push(control::list_exports(
        &at(&caller, begin + 20, US),
        &world.clickstream,
        prng,
    ));
}

/// 06:15: the reporting host in the office looks customers up, until its key is taken away.
fn report(world: &World, day: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = reporting_host();
    let begin = day + 6 * HOUR + 15 * MINUTE;
    if key_is_inactive(begin) {
        return;
    }
    records.push(services::get_caller_identity(&at(&caller, begin, US), prng));
    for number in 0..8 {
        let moment = at(&caller, begin + 5 + number * 3, US);
        let record = items::query(&moment, &world.customers, prng);
        records.push(if customers_are_gone(moment.time) {
            record.failed("ResourceNotFoundException", "Requested resource not found")
        } else {
            record
        });
    }
}
