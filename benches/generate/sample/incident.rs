//! The incident: a leaked access key, what the intruder did with it, and how the shop came back.

use std::sync::Arc;

use super::super::control::{self, Bucket, PointInTimeRecovery, describe};
use super::super::identities::Caller;
use super::super::items::{self, BatchShape, BatchWrite};
use super::super::json::Object;
use super::super::partiql::{self, Verb};
use super::super::prng::Prng;
use super::super::record::{Moment, Record};
use super::super::services;
use super::super::tables::table_arn;
use super::super::time::{DAY, HOUR, MINUTE, Seconds, iso, moment};
use super::super::truth::{Incident, Step};
use super::night_jobs::backup_time;
use super::world::{
    EU, FOREIGN, LEAKED_KEY, LEAKED_USER, SHOP, US, World, at, console, intruder, reporting_arn,
};

const SCAN_PAGES: i64 = 96;
const BATCHES: i64 = 40;
const SINGLE_DELETES: i64 = 30;

fn night() -> Seconds {
    moment((2025, 3, 12), (0, 0, 0))
}

fn clock(hour: i64, minute: i64, second: i64) -> Seconds {
    night() + hour * HOUR + minute * MINUTE + second
}

fn deleted_at() -> Seconds {
    clock(4, 21, 37)
}

fn restored_at() -> Seconds {
    clock(7, 5, 30)
}

/// The backup of March 1st, which a policy protects.
fn protected_backup() -> Seconds {
    backup_time(moment((2025, 3, 1), (0, 0, 0)))
}

/// Between DeleteTable and the end of the restore.
pub fn customers_are_gone(time: Seconds) -> bool {
    (deleted_at()..restored_at() + 25 * MINUTE).contains(&time)
}

pub fn key_is_inactive(time: Seconds) -> bool {
    time > clock(6, 48, 0)
}

/// The scene: who acts, and the record of it.
struct Scene<'a> {
    world: &'a World,
    intruder: Arc<Caller>,
    prng: Prng,
    records: &'a mut Vec<Record>,
    steps: Vec<Step>,
}

impl Scene<'_> {
    fn at(&self, time: Seconds) -> Moment {
        at(&self.intruder, time, US)
    }

    /// Notes records of one event name as a step of the incident.
    fn step(&mut self, step: &'static str, of_step: Vec<Record>) {
        let first = of_step.first().expect("a step has an event");
        self.steps.push(Step {
            step,
            event_name: first.event_name,
            first_event_time: iso(first.moment.time),
            event_ids: of_step
                .iter()
                .map(|record| record.event_id.clone())
                .collect(),
        });
        self.records.extend(of_step);
    }
}

/// Adds the incident and its clearing up to the records.
pub fn play(world: &World, records: &mut Vec<Record>) -> Incident {
    let prng = Prng::stream(super::SEED, 0x01c1_de47);
    let mut scene = Scene {
        world,
        intruder: intruder(),
        prng,
        records,
        steps: Vec::new(),
    };
    look_around(&mut scene);
    copy_the_data(&mut scene);
    weaken_recovery(&mut scene);
    destroy(&mut scene);
    let steps = std::mem::take(&mut scene.steps);
    clear_up(&mut scene);
    Incident {
        principal_arn: reporting_arn(),
        access_key_id: LEAKED_KEY.to_owned(),
        source_ip_address: scene.intruder.address.clone(),
        first_event_time: iso(clock(1, 47, 12)),
        last_event_time: iso(deleted_at()),
        steps,
    }
}

fn look_around(scene: &mut Scene) {
    let world = scene.world;
    let first = scene.at(clock(1, 47, 12));
    let identity = services::get_caller_identity(&first, &mut scene.prng);
    scene.step("asks whose key it is", vec![identity]);

    let in_europe = at(&scene.intruder, clock(1, 48, 3), EU);
    let tables_in_europe = table_arn(EU, SHOP, "*");
    let denied = control::list_tables(&in_europe, &mut scene.prng)
        .denied("dynamodb:ListTables", &tables_in_europe);
    scene.step("lists tables in eu-west-1: denied", vec![denied]);

    let who = Record::new(
        &scene.at(clock(1, 48, 40)),
        "iam.amazonaws.com",
        "ListAttachedUserPolicies",
        &mut scene.prng,
    );
    let user = format!("user {LEAKED_USER}");
    scene.step(
        "lists its policies: denied",
        vec![who.denied("iam:ListAttachedUserPolicies", &user)],
    );

    let tables = control::list_tables(&scene.at(clock(1, 49, 22)), &mut scene.prng);
    scene.step("lists tables in us-east-1", vec![tables]);

    let moment = scene.at(clock(1, 50, 10));
    let inventory = describe(&moment, "DescribeTable", &world.inventory, &mut scene.prng);
    let denied = inventory.denied("dynamodb:DescribeTable", &world.inventory.arn());
    scene.step("describes inventory: denied", vec![denied]);

    let carts = |time: Seconds, scene: &mut Scene| {
        let record = items::get_item(&scene.at(time), &world.carts, &mut scene.prng);
        record.denied("dynamodb:GetItem", &world.carts.arn())
    };
    let denied = vec![carts(clock(1, 51, 2), scene), carts(clock(1, 51, 9), scene)];
    scene.step("reads carts: denied", denied);

    let described = describe(
        &scene.at(clock(1, 52, 30)),
        "DescribeTable",
        &world.customers,
        &mut scene.prng,
    );
    scene.step("describes customers", vec![described]);
    let moment = scene.at(clock(1, 53, 1));
    let backups = describe(
        &moment,
        "DescribeContinuousBackups",
        &world.customers,
        &mut scene.prng,
    );
    scene.step("looks at the recovery of customers", vec![backups]);
}

fn copy_the_data(scene: &mut Scene) {
    let world = scene.world;
    let pages = (0..SCAN_PAGES)
        .map(|page| {
            let request = Object::new()
                .text("tableName", &world.customers.name)
                .bare("limit", 500);
            let moment = scene.at(clock(2, 2, 0) + page * 17);
            items::scan(&moment, &world.customers, request, &mut scene.prng)
        })
        .collect();
    scene.step("scans customers to the end", pages);

    let bucket = Bucket {
        name: "xfer-drop-7f3a",
        owner: FOREIGN,
    };
    let export = control::export_table(
        &scene.at(clock(2, 41, 55)),
        &world.customers,
        &bucket,
        &mut scene.prng,
    );
    scene.step(
        "exports customers to a bucket of another account",
        vec![export],
    );
}

fn weaken_recovery(scene: &mut Scene) {
    let world = scene.world;
    let customers = &world.customers;
    let moment = scene.at(clock(3, 2, 14));
    let protected = control::delete_table(&moment, customers, &mut scene.prng).failed(
        "ValidationException",
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.",
    );
    scene.step(
        "deletes customers: refused, it is protected",
        vec![protected],
    );

    let moment = scene.at(clock(3, 4, 41));
    let off = control::update_continuous_backups(
        &moment,
        customers,
        PointInTimeRecovery::Off,
        &mut scene.prng,
    );
    scene.step(
        "switches point-in-time recovery of customers off",
        vec![off],
    );

    let moment = scene.at(clock(3, 6, 8));
    let unprotected = control::disable_deletion_protection(&moment, customers, &mut scene.prng);
    scene.step(
        "switches deletion protection of customers off",
        vec![unprotected],
    );

    let moment = scene.at(clock(3, 8, 50));
    let expiring =
        control::enable_time_to_live(&moment, &world.orders, "created_at", &mut scene.prng);
    scene.step("lets all orders expire by time to live", vec![expiring]);

    let listed = control::list_backups(&scene.at(clock(3, 11, 33)), customers, &mut scene.prng);
    scene.step("lists the backups of customers", vec![listed]);
    let deleted = (0..3)
        .map(|days_ago| {
            let moment = scene.at(clock(3, 12, 10) + days_ago * 21);
            let begun = backup_time(night() - days_ago * DAY);
            control::delete_backup(&moment, customers, begun, &mut scene.prng)
        })
        .collect();
    scene.step("deletes backups of customers", deleted);
    let moment = scene.at(clock(3, 13, 40));
    let protected = control::delete_backup(&moment, customers, protected_backup(), &mut scene.prng);
    let reason = format!(
        "with an explicit deny in an identity-based policy: arn:aws:iam::{SHOP}:policy/ProtectMonthlyBackups"
    );
    let backup = control::backup_arn(customers, protected_backup());
    let protected = protected.denied_with_reason("dynamodb:DeleteBackup", &backup, &reason);
    scene.step("deletes the monthly backup: denied", vec![protected]);
}

fn destroy(scene: &mut Scene) {
    let customers = &scene.world.customers;
    let batches = (0..BATCHES)
        .map(|number| {
            let shape = if number % 8 == 7 {
                BatchShape::Map
            } else {
                BatchShape::Array
            };
            let batch = BatchWrite {
                shape,
                puts: 0,
                deletes: 25,
            };
            items::batch_write(
                &scene.at(clock(3, 31, 0) + number * 11),
                customers,
                batch,
                &mut scene.prng,
            )
        })
        .collect();
    scene.step("deletes customers in batches of 25", batches);

    let statements = (0..12)
        .map(|number| {
            let moment = scene.at(clock(3, 52, 20) + number * 7);
            partiql::execute(&moment, customers, Verb::Delete, &mut scene.prng)
        })
        .collect();
    scene.step("deletes customers by PartiQL", statements);
    let batches = (0..4)
        .map(|number| {
            let moment = scene.at(clock(3, 56, 2) + number * 13);
            partiql::execute_batch(&moment, customers, (Verb::Delete, 25), &mut scene.prng)
        })
        .collect();
    scene.step("deletes customers by PartiQL in batches of 25", batches);

    let singles = (0..SINGLE_DELETES)
        .map(|number| {
            items::delete_item(
                &scene.at(clock(4, 3, 0) + number * 4),
                customers,
                &mut scene.prng,
            )
        })
        .collect();
    scene.step("deletes customers one by one", singles);

    let gone = control::delete_table(&scene.at(deleted_at()), customers, &mut scene.prng);
    scene.step("deletes the table customers", vec![gone]);
}

/// The morning after: the key is made inactive, the table restored from the backup that was protected.
fn clear_up(scene: &mut Scene) {
    let world = scene.world;
    let farah = console(SHOP, "Security", "farah", clock(6, 40, 0));
    let customers = &world.customers;
    let prng = &mut scene.prng;
    let lookup = Object::new().json(
        "lookupAttributes",
        &format!(
            "[{}]",
            Object::new()
                .text("attributeKey", "AccessKeyId")
                .text("attributeValue", LEAKED_KEY)
                .finish()
        ),
    );
    let looked = Record::new(
        &at(&farah, clock(6, 44, 12), US),
        "cloudtrail.amazonaws.com",
        "LookupEvents",
        prng,
    );
    scene.records.push(looked.request(lookup));
    let inactive = Object::new()
        .text("userName", LEAKED_USER)
        .text("accessKeyId", LEAKED_KEY)
        .text("status", "Inactive");
    let taken = Record::new(
        &at(&farah, clock(6, 47, 58), US),
        "iam.amazonaws.com",
        "UpdateAccessKey",
        prng,
    );
    scene.records.push(taken.writes().request(inactive));
    let missing = describe(
        &at(&farah, clock(6, 52, 0), US),
        "DescribeTable",
        customers,
        prng,
    );
    scene.records.push(missing.failed(
        "ResourceNotFoundException",
        "Requested resource not found: Table: customers not found",
    ));
    scene.records.push(control::list_backups(
        &at(&farah, clock(6, 53, 0), US),
        customers,
        prng,
    ));
    let restore = at(&farah, restored_at(), US);
    scene.records.push(control::restore_from_backup(
        &restore,
        customers,
        protected_backup(),
        prng,
    ));
    for minute in [8, 16, 24] {
        let moment = at(&farah, restored_at() + minute * MINUTE, US);
        scene
            .records
            .push(describe(&moment, "DescribeTable", customers, prng));
    }
    let on = PointInTimeRecovery::On;
    let moment = at(&farah, restored_at() + 26 * MINUTE, US);
    scene.records.push(control::update_continuous_backups(
        &moment, customers, on, prng,
    ));
}
