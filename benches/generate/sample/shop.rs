//! The shop at work: partner feeds arrive every two hours and are worked off within minutes.

use super::super::control::{self, describe};
use super::super::items::{self, BatchShape, TransactEntry};
use super::super::mix::{cancelled, condition_failed, throttled};
use super::super::prng::Prng;
use super::super::record::{Moment, Record};
use super::super::services;
use super::super::streams;
use super::super::time::{HOUR, MINUTE, Seconds};
use super::deliver::SLOT;
use super::incident::customers_are_gone;
use super::world::{EU, US, World, at, auto_scaling, orders_service, stream_poller};

const CALLS_PER_BURST: u64 = 34;
const CALLS_PER_BURST_IN_EUROPE: u64 = 12;

pub fn day(world: &World, day: Seconds, records: &mut Vec<Record>) {
    let mut prng = Prng::stream(super::SEED, day as u64);
    for feed in 0..12 {
        let burst = day + feed * 2 * HOUR + prng.between(0, 4) * SLOT;
        united_states(world, burst, &mut prng, records);
        if feed % 4 == 3 {
            europe(world, burst, &mut prng, records);
        }
        trigger(world, day, burst, &mut prng, records);
        capacity(world, day, burst, &mut prng, records);
    }
}

/// A moment within the burst; a burst ends before its delivery slot does.
fn within(burst: Seconds, prng: &mut Prng) -> Seconds {
    burst + prng.between(0, 9 * MINUTE)
}

fn united_states(world: &World, burst: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = orders_service(burst, US);
    for _ in 0..CALLS_PER_BURST + prng.below(20) {
        let time = within(burst, prng);
        records.push(order_call(world, &at(&caller, time, US), prng));
    }
    for _ in 0..9 {
        let time = within(burst, prng);
        records.push(services::ordinary(
            &at(&caller, time, US),
            &world.orders,
            prng,
        ));
    }
    for name in ["Decrypt", "Decrypt", "GenerateDataKey"] {
        let time = within(burst, prng);
        records.push(services::kms_for_table(
            &at(&caller, time, US),
            name,
            &world.customers,
            prng,
        ));
    }
}

fn order_call(world: &World, moment: &Moment, prng: &mut Prng) -> Record {
    match prng.below(100) {
        0..=19 => items::get_item(moment, &world.orders, prng),
        20..=29 => customer_call(world, moment, prng),
        30..=41 => items::query(moment, &world.orders, prng),
        42..=55 => {
            let put = items::put_item(moment, &world.orders, prng);
            if prng.chance(25) {
                condition_failed(put)
            } else {
                put
            }
        }
        56..=72 => {
            let update = items::update_item(moment, &world.inventory, prng);
            match prng.below(40) {
                0 => condition_failed(update),
                1 => throttled(update),
                _ => update,
            }
        }
        73..=79 => items::get_item(moment, &world.carts, prng),
        80..=85 => items::put_item(moment, &world.carts, prng),
        86..=88 => items::delete_item(moment, &world.carts, prng),
        89..=90 => items::transact_get(moment, &world.inventory, 2, prng),
        _ => order_transaction(world, moment, prng),
    }
}

fn customer_call(world: &World, moment: &Moment, prng: &mut Prng) -> Record {
    let record = match prng.below(3) {
        0 => items::update_item(moment, &world.customers, prng),
        _ => items::get_item(moment, &world.customers, prng),
    };
    if customers_are_gone(moment.time) {
        return record.failed("ResourceNotFoundException", "Requested resource not found");
    }
    record
}

fn order_transaction(world: &World, moment: &Moment, prng: &mut Prng) -> Record {
    let entries = [
        (TransactEntry::Put, &world.orders),
        (TransactEntry::Update, &world.inventory),
        (TransactEntry::ConditionCheck, &world.inventory),
        (TransactEntry::Delete, &world.carts),
    ];
    let record = items::transact_write(moment, &entries, prng);
    if prng.chance(60) {
        cancelled(record)
    } else {
        record
    }
}

fn europe(world: &World, burst: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = orders_service(burst, EU);
    for _ in 0..CALLS_PER_BURST_IN_EUROPE + prng.below(8) {
        let time = within(burst, prng);
        let moment = at(&caller, time, EU);
        let table = &world.orders_eu;
        records.push(match prng.below(10) {
            0..=3 => items::get_item(&moment, table, prng),
            4..=5 => items::query(&moment, table, prng),
            6..=7 => items::put_item(&moment, table, prng),
            8 => items::batch_get(&moment, table, (BatchShape::Array, 4), prng),
            _ => items::update_item(&moment, table, prng),
        });
    }
    for _ in 0..3 {
        let time = within(burst, prng);
        records.push(services::ordinary(
            &at(&caller, time, EU),
            &world.orders_eu,
            prng,
        ));
    }
}

/// The Lambda trigger reads the stream of `orders`.
fn trigger(
    world: &World,
    day: Seconds,
    burst: Seconds,
    prng: &mut Prng,
    records: &mut Vec<Record>,
) {
    let caller = stream_poller(day);
    let table = &world.orders;
    for _ in 0..5 {
        let time = within(burst, prng);
        records.push(streams::get_records(&at(&caller, time, US), table, prng));
    }
    if prng.chance(300) {
        let stream_arn = table.stream_arn().expect("orders has a stream");
        let moment = at(&caller, burst + 5, US);
        records.push(control::describe_stream(&moment, &stream_arn, prng));
        records.push(streams::get_shard_iterator(&moment, table, prng));
    }
}

fn capacity(
    world: &World,
    day: Seconds,
    burst: Seconds,
    prng: &mut Prng,
    records: &mut Vec<Record>,
) {
    let caller = auto_scaling(day);
    for table in [&world.inventory, &world.orders] {
        let moment = at(&caller, within(burst, prng), US);
        records.push(describe(&moment, "DescribeTable", table, prng));
    }
    if prng.chance(120) {
        let moment = at(&caller, burst + 7 * MINUTE, US);
        let units = (10 * prng.between(1, 6)) as u64;
        records.push(control::update_throughput(
            &moment,
            &world.inventory,
            (units, units / 2),
            prng,
        ));
    }
}
