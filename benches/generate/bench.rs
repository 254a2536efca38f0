//! Benchmark archives: objects of a given size, or very many tiny ones, each made from its own seed in parallel.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::identities::Caller;
use super::mix;
use super::population::{
    ACCOUNTS, PRINCIPALS, REGIONS, TABLES, caller, is_auto_scaling, session_begin, tables,
};
use super::prng::{Prng, Zipf};
use super::record::{Moment, Record};
use super::services;
use super::tables::Table;
use super::time::{DAY, HOUR, MINUTE, Seconds, moment};
use super::truth::{LOGS, Stored, Truth};
use super::writer::{Body, Place, store};

/// Every so many objects, one record of the object before is delivered again.
const OBJECTS_PER_REDELIVERY: u64 = 8;
/// Records in a million that come hours late.
const LATE_PER_MILLION: u64 = 500;
const MILLION: u64 = 1_000_000;
/// Calls that one principal makes on one table in a row, at most: genuine objects come in such runs.
const LONGEST_RUN: u64 = 12;

/// How much goes into one object.
#[derive(Clone, Copy)]
pub enum Fill {
    InflatedBytes(u64),
    Records(u64),
}

/// What archive to make.
pub struct BenchSpec {
    /// The share of DynamoDB records, 0.0 to 1.0.
    pub share: f64,
    pub objects: u64,
    pub fill: Fill,
    /// Over how many days, from 2025-03-01 on, the objects are spread.
    pub days: u32,
    pub seed: u64,
    /// The command, for the truth.
    pub command: String,
}

struct Population {
    accounts: Vec<AccountTables>,
    principals: Zipf,
    tables: Zipf,
}

struct AccountTables {
    account: &'static str,
    region: &'static str,
    tables: Vec<Table>,
}

/// Makes `<out>/AWSLogs/…` and `<out>/truth.json`. The bytes depend on the spec alone, not on the number of threads.
/// An archive that is there already is an error.
pub fn bench(out: &Path, spec: &BenchSpec) -> io::Result<Truth> {
    if out.join("AWSLogs").exists() {
        let message = format!(
            "{} has an archive already, and two would mix",
            out.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let mut accounts = Vec::new();
    for account in ACCOUNTS {
        for region in REGIONS {
            accounts.push(AccountTables {
                account,
                region,
                tables: tables(account, region),
            });
        }
    }
    let population = Population {
        accounts,
        principals: Zipf::new(PRINCIPALS),
        tables: Zipf::new(TABLES),
    };
    let parts: Vec<Truth> = (0..spec.objects)
        .into_par_iter()
        .map(|number| make_object(out, spec, &population, number))
        .collect::<io::Result<_>>()?;
    let mut truth = parts.into_iter().fold(Truth::default(), Truth::merge);
    truth.command.clone_from(&spec.command);
    truth.write(&out.join("truth.json"))?;
    Ok(truth)
}

/// Makes records for one object.
struct Maker<'a> {
    population: &'a Population,
    home: &'a AccountTables,
    delivered: Seconds,
    dynamodb_per_million: u64,
    /// Principals in the sessions met so far.
    callers: HashMap<(usize, Seconds), Arc<Caller>>,
    run: Run,
}

/// Consecutive calls of one principal.
#[derive(Default)]
struct Run {
    principal: usize,
    table: usize,
    /// Of the calls of other services among them.
    kind: u64,
    calls_left: u64,
}

impl<'a> Maker<'a> {
    fn new(spec: &BenchSpec, population: &'a Population, number: u64) -> Maker<'a> {
        // Half of all objects are of the first account and region, a quarter of the second, and so on; the
        // redelivering object has the same home as the one before it.
        let pair = number / OBJECTS_PER_REDELIVERY;
        let draw = Prng::stream(spec.seed ^ 0x05e7, pair)
            .word()
            .trailing_zeros() as usize;
        let home = &population.accounts[draw.min(population.accounts.len() - 1)];
        let span = Seconds::from(spec.days) * DAY;
        let start = moment((2025, 3, 1), (0, 0, 0));
        let delivered = start + 20 * MINUTE + span * number as Seconds / spec.objects as Seconds;
        Maker {
            population,
            home,
            delivered,
            dynamodb_per_million: (spec.share * MILLION as f64) as u64,
            callers: HashMap::new(),
            run: Run::default(),
        }
    }

    fn caller(&mut self, principal: usize, time: Seconds) -> Arc<Caller> {
        let created = session_begin(principal, time);
        let account = self.home.account;
        let found = self.callers.entry((principal, created));
        found
            .or_insert_with(|| Arc::new(caller(account, principal, created)))
            .clone()
    }

    fn record(&mut self, prng: &mut Prng) -> Record {
        let late = prng.below(MILLION) < LATE_PER_MILLION;
        let delay = if late {
            prng.between(HOUR, 20 * HOUR)
        } else {
            prng.between(5 * MINUTE, 15 * MINUTE)
        };
        let time = self.delivered - delay;
        if self.run.calls_left == 0 {
            self.run = Run {
                principal: self.population.principals.draw(prng),
                table: self.population.tables.draw(prng),
                kind: prng.below(services::KINDS),
                calls_left: 1 + prng.below(LONGEST_RUN),
            };
        }
        self.run.calls_left -= 1;
        let principal = self.run.principal;
        let moment = Moment {
            caller: self.caller(principal, time),
            time,
            region: self.home.region,
        };
        let table = &self.home.tables[self.run.table];
        let mut record = if prng.below(MILLION) >= self.dynamodb_per_million {
            // Half of the other services' calls repeat the one before them, as polling programs do.
            if prng.chance(500) {
                self.run.kind = prng.below(services::KINDS);
            }
            services::of_kind(self.run.kind, &moment, table, prng)
        } else if is_auto_scaling(principal) {
            mix::auto_scaling_call(&moment, table, prng)
        } else {
            let other = &self.home.tables[self.population.tables.draw(prng)];
            mix::item_call(&moment, table, other, prng)
        };
        if late {
            record.addendum_reason = Some("DELIVERY_DELAY");
        }
        record
    }
}

/// The first record of an object. It has a source of its own, so that the next object can make it again.
fn first_record(spec: &BenchSpec, population: &Population, number: u64) -> Record {
    let mut prng = Prng::stream(!spec.seed, number);
    Maker::new(spec, population, number).record(&mut prng)
}

fn make_object(
    out: &Path,
    spec: &BenchSpec,
    population: &Population,
    number: u64,
) -> io::Result<Truth> {
    let mut prng = Prng::stream(spec.seed, number);
    let mut maker = Maker::new(spec, population, number);
    let mut truth = Truth::default();
    let mut body = Body::new();
    let first = first_record(spec, population, number);
    truth.event(&first);
    body.push(&first);
    if number % OBJECTS_PER_REDELIVERY == 1 {
        let again = first_record(spec, population, number - 1);
        truth.duplicate(&again);
        body.push(&again);
    }
    loop {
        let full = match spec.fill {
            Fill::InflatedBytes(bytes) => body.bytes() as u64 >= bytes,
            Fill::Records(records) => body.records >= records,
        };
        if full {
            break;
        }
        let record = maker.record(&mut prng);
        truth.event(&record);
        body.push(&record);
    }
    let unique = prng.text(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        16,
    );
    let place = Place {
        organization: None,
        account: maker.home.account,
        folder: LOGS,
        region: maker.home.region,
    };
    let records = body.records;
    let text = body.finish();
    store(out, &place.key(maker.delivered, &unique), &text)?;
    truth.stored(
        LOGS,
        &Stored {
            objects: 1,
            records,
            inflated_bytes: text.len() as u64,
        },
    );
    Ok(truth)
}
