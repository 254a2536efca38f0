//! DynamoDB data events with PartiQL statements: values that are no key are redacted, as is all of an INSERT.

use super::json::{Object, array};
use super::prng::Prng;
use super::record::{Moment, Record};
use super::tables::Table;

#[derive(Clone, Copy)]
pub enum Verb {
    Select,
    Insert,
    Update,
    Delete,
}

impl Verb {
    fn operation(self) -> &'static str {
        match self {
            Verb::Select => "select",
            Verb::Insert => "insert",
            Verb::Update => "update",
            Verb::Delete => "delete",
        }
    }
}

fn statement(verb: Verb, table: &Table, prng: &mut Prng) -> String {
    let name = format!("\"{}\"", table.name);
    match verb {
        Verb::Select => match (&table.index, prng.below(3)) {
            (Some(index), 0) => format!(
                "SELECT * FROM {name}.\"{}\" WHERE {} = '{}'",
                index.name,
                index.key.name,
                index.key.value(prng)
            ),
            (_, 1) => {
                let filter = prng.pick(&table.attributes);
                format!(
                    "SELECT * FROM {name} {} AND {filter} = ***(Redacted)",
                    table.key_condition(prng)
                )
            }
            _ => format!("SELECT * FROM {name} {}", table.key_condition(prng)),
        },
        Verb::Insert => {
            let members: Vec<String> = table
                .item_names(prng)
                .iter()
                .map(|name| format!("'{name}' : ***(Redacted)"))
                .collect();
            format!("INSERT INTO {name} VALUE {{{}}}", members.join(", "))
        }
        Verb::Update => {
            let field = prng.pick(&table.attributes);
            format!(
                "UPDATE {name} SET {field} = ***(Redacted) {}",
                table.key_condition(prng)
            )
        }
        Verb::Delete => format!("DELETE FROM {name} {}", table.key_condition(prng)),
    }
}

/// ExecuteStatement. Its readOnly is false even for a SELECT.
pub fn execute(moment: &Moment, table: &Table, verb: Verb, prng: &mut Prng) -> Record {
    let mut request = Object::new().text("statement", &statement(verb, table, prng));
    if let (Verb::Select, true) = (verb, prng.chance(300)) {
        request = request.bare("limit", 100);
    }
    named("ExecuteStatement", moment, table, prng)
        .request(request)
        .accesses(&table.name, verb.operation(), 1)
}

pub fn execute_batch(
    moment: &Moment,
    table: &Table,
    (verb, count): (Verb, u64),
    prng: &mut Prng,
) -> Record {
    let request = Object::new().json("requestItems", &statements(table, verb, count, prng));
    named("BatchExecuteStatement", moment, table, prng)
        .request(request)
        .accesses(&table.name, verb.operation(), count)
}

pub fn execute_transaction(
    moment: &Moment,
    table: &Table,
    (verb, count): (Verb, u64),
    prng: &mut Prng,
) -> Record {
    let request = Object::new()
        .json("requestItems", &statements(table, verb, count, prng))
        .text("clientRequestToken", &prng.uuid());
    named("ExecuteTransaction", moment, table, prng)
        .request(request)
        .accesses(&table.name, verb.operation(), count)
}

fn statements(table: &Table, verb: Verb, count: u64, prng: &mut Prng) -> String {
    array((0..count).map(|_| {
        Object::new()
            .text("statement", &statement(verb, table, prng))
            .finish()
    }))
}

fn named(name: &'static str, moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    Record::dynamodb(moment, name, prng)
        .data()
        .writes()
        .resources(table.resources(prng))
}
