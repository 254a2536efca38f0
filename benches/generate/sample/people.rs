//! What people do in working hours: analysts with PartiQL, operators in the console, deployments.

use std::sync::Arc;

use super::super::control::{self, PointInTimeRecovery, describe};
use super::super::identities::Caller;
use super::super::items;
use super::super::json::Object;
use super::super::mix::condition_failed;
use super::super::partiql::{self, Verb};
use super::super::prng::Prng;
use super::super::record::{Moment, Record, resource};
use super::super::services;
use super::super::time::{HOUR, MINUTE, Seconds, moment};
use super::deliver::SLOT;
use super::world::{
    ANALYTICS, PLATFORM, SHOP, US, World, analyst, at, console, deployer, is_working_day,
};

pub fn day(world: &World, day: Seconds, records: &mut Vec<Record>) {
    if !is_working_day(day) {
        return;
    }
    let mut prng = Prng::stream(super::SEED ^ 0x9e0b, day as u64);
    for (name, host, hour) in [("ana", 31, 9), ("chidi", 35, 13), ("ana", 31, 15)] {
        let begin = day + hour * HOUR + prng.between(0, 5) * SLOT;
        analysis(
            world,
            &analyst(name, host, begin - 5 * MINUTE),
            begin,
            &mut prng,
            records,
        );
    }
    let begin = day + 10 * HOUR + prng.between(0, 5) * SLOT;
    operator_session(
        world,
        &console(SHOP, "Operator", "dolores", begin - 7 * MINUTE),
        begin,
        &mut prng,
        records,
    );
    deployment(
        world,
        day + 11 * HOUR + prng.between(0, 5) * SLOT,
        &mut prng,
        records,
    );
    milestones(world, day, &mut prng, records);
}

fn analysis(
    world: &World,
    caller: &Arc<Caller>,
    begin: Seconds,
    prng: &mut Prng,
    records: &mut Vec<Record>,
) {
    let reports = &world.reports;
    for number in 0..9 {
        let moment = at(caller, begin + number * 50 + prng.between(0, 40), US);
        records.push(match number {
            0 => partiql::execute(&moment, reports, Verb::Insert, prng),
            1 => partiql::execute(&moment, reports, Verb::Update, prng),
            2 => partiql::execute_batch(&moment, reports, (Verb::Select, 5), prng),
            3 => partiql::execute_batch(&moment, reports, (Verb::Update, 3), prng),
            4 => partiql::execute_transaction(&moment, reports, (Verb::Update, 4), prng),
            5 => partiql::execute(&moment, &world.clickstream, Verb::Select, prng),
            _ => partiql::execute(&moment, reports, Verb::Select, prng),
        });
    }
    let moment = at(caller, begin + 8 * MINUTE, US);
    let request = items::scan_request(reports, prng);
    records.push(items::scan(&moment, reports, request, prng));
    for _ in 0..3 {
        across_accounts(world, &moment, prng, records);
    }
    if prng.chance(400) {
        // Denied after the request was understood: the parameters are there, unlike in the genuine ListTables record.
        // The owner's account id is missing in the caller's copy.
        let table = Object::new()
            .text("type", "AWS::DynamoDB::Table")
            .text("ARN", &world.customers.arn());
        let denied = items::get_item(&moment, &world.customers, prng).resources([table.finish()]);
        let message = format!(
            "User: {} is not authorized to perform: dynamodb:GetItem on resource: {} because no resource-based policy allows the dynamodb:GetItem action",
            caller.arn,
            world.customers.arn()
        );
        records.push(denied.failed("AccessDenied", &message));
    }
    for _ in 0..3 {
        records.push(services::ordinary(&moment, reports, prng));
    }
}

/// A GetItem on the shop's `orders`, allowed by its resource policy: both accounts get a copy, each with its own id.
fn across_accounts(world: &World, moment: &Moment, prng: &mut Prng, records: &mut Vec<Record>) {
    let orders = &world.orders;
    let shared = prng.uuid();
    let request = Object::new()
        .text("tableName", &orders.arn())
        .json("key", &orders.key(prng))
        .finish();
    let mut request_id = None;
    for recipient in [ANALYTICS, SHOP] {
        let mut copy = items::get_item(moment, orders, prng);
        copy.request_json.clone_from(&request);
        copy.shared_event_id = Some(shared.clone());
        copy.recipient = recipient;
        copy.resources_json = Some(format!(
            "[{}]",
            resource(SHOP, "AWS::DynamoDB::Table", &orders.arn())
        ));
        copy.request_id = request_id.get_or_insert(copy.request_id).clone();
        records.push(copy);
    }
}

fn operator_session(
    world: &World,
    caller: &Arc<Caller>,
    begin: Seconds,
    prng: &mut Prng,
    records: &mut Vec<Record>,
) {
    records.push(control::list_tables(&at(caller, begin, US), prng));
    for (number, name) in [
        "DescribeTable",
        "DescribeTimeToLive",
        "DescribeContinuousBackups",
    ]
    .iter()
    .enumerate()
    {
        records.push(describe(
            &at(caller, begin + 6 + number as Seconds, US),
            name,
            &world.inventory,
            prng,
        ));
    }
    let request = Object::new()
        .text("select", "ALL_ATTRIBUTES")
        .bare("consistentRead", false)
        .text("tableName", &world.inventory.name)
        .bare("limit", 50)
        .text("returnConsumedCapacity", "TOTAL");
    records.push(items::scan(
        &at(caller, begin + 15, US),
        &world.inventory,
        request,
        prng,
    ));
    records.push(items::put_item(
        &at(caller, begin + 95, US),
        &world.inventory,
        prng,
    ));
    let moment = at(caller, begin + 2 * MINUTE, US);
    let status = Object::new().text("name", "shop-trail");
    records.push(
        Record::new(&moment, "cloudtrail.amazonaws.com", "GetTrailStatus", prng).request(status),
    );
    let jobs = Object::new().text("byResourceType", "DynamoDB");
    records
        .push(Record::new(&moment, "backup.amazonaws.com", "ListBackupJobs", prng).request(jobs));
    let clusters = Object::new().bare("maxResults", 100);
    records.push(control::dax(&moment, "DescribeClusters", clusters, prng));
    for _ in 0..4 {
        records.push(services::ordinary(&moment, &world.inventory, prng));
    }
}

/// Terraform takes a lock, works, and gives it back; now and then somebody else has it.
fn deployment(world: &World, begin: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let caller = deployer(begin - MINUTE);
    let locks = &world.locks;
    debug_assert_eq!(locks.account, PLATFORM);
    for round in 0..3 {
        let start = begin + round * 150;
        let lock = items::put_item(&at(&caller, start, US), locks, prng);
        if prng.chance(200) {
            records.push(condition_failed(lock));
            records.push(items::get_item(&at(&caller, start + 1, US), locks, prng));
            continue;
        }
        records.push(lock);
        records.push(items::get_item(&at(&caller, start + 1, US), locks, prng));
        for step in 0..6 {
            let moment = at(&caller, start + 5 + step * 12, US);
            records.push(services::ordinary(&moment, locks, prng));
        }
        records.push(items::delete_item(
            &at(&caller, start + 90, US),
            locks,
            prng,
        ));
    }
}

/// What happened once, and looks like part of the incident but is not.
fn milestones(world: &World, day: Seconds, prng: &mut Prng, records: &mut Vec<Record>) {
    let date = |number: i64| moment((2025, 3, number), (0, 0, 0));
    let begin = day + 14 * HOUR + 3 * MINUTE;
    let operator = console(SHOP, "Operator", "dolores", begin - 2 * MINUTE);
    let moment = at(&operator, begin, US);
    if day == date(4) {
        records.push(control::enable_time_to_live(
            &moment,
            &world.carts,
            "expires_at",
            prng,
        ));
    }
    if day == date(5) {
        let on = PointInTimeRecovery::On;
        records.push(control::update_continuous_backups(
            &moment,
            &world.carts,
            on,
            prng,
        ));
        records.push(control::tag_resource(
            &moment,
            &world.carts,
            ("owner", "web"),
            prng,
        ));
    }
    if day == date(6) {
        let ana = analyst("ana", 31, begin - HOUR);
        records.push(partiql::execute(
            &at(&ana, begin, US),
            &world.reports,
            Verb::Delete,
            prng,
        ));
        records.push(create_cluster(&moment, prng));
    }
    if day == date(7) {
        let node = Object::new()
            .text("clusterName", "orders-cache")
            .text("nodeId", "orders-cache-a");
        records.push(control::dax(&moment, "RebootNode", node, prng));
    }
    if day == date(11) {
        records.push(mistyped_update(world, &moment, prng));
    }
    if day == date(13) {
        let grown = Object::new()
            .text("clusterName", "orders-cache")
            .bare("newReplicationFactor", 5);
        records.push(control::dax(
            &moment,
            "IncreaseReplicationFactor",
            grown,
            prng,
        ));
    }
}

fn create_cluster(moment: &Moment, prng: &mut Prng) -> Record {
    let cluster = Object::new()
        .json("sSESpecification", r#"{"enabled":true}"#)
        .text("clusterName", "orders-cache")
        .text("nodeType", "dax.r5.large")
        .bare("replicationFactor", 3)
        .text(
            "iamRoleArn",
            &format!("arn:aws:iam::{SHOP}:role/orders-cache-role"),
        );
    control::dax(moment, "CreateCluster", cluster, prng)
}

/// UpdateTable of a table that is not there; `resources` names it all the same.
fn mistyped_update(world: &World, moment: &Moment, prng: &mut Prng) -> Record {
    let mut record = control::update_throughput(moment, &world.inventory, (40, 20), prng).failed(
        "ResourceNotFoundException",
        "Requested resource not found: Table: inventroy not found",
    );
    record.request_json = record.request_json.replace("inventory", "inventroy");
    record.resources_json = record
        .resources_json
        .map(|text| text.replace("inventory", "inventroy"));
    record
}
