//! DynamoDB Streams data events, as the pollers of Lambda triggers make them.

use super::json::Object;
use super::prng::Prng;
use super::record::{Moment, Record, resource};
use super::tables::Table;

const ITERATOR_ALPHABET: &[u8] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// GetRecords; the stream is known only from the text before the first `|` of the iterator.
pub fn get_records(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let stream = table
        .stream_arn()
        .expect("only tables with a stream are polled");
    // Genuine iterators are longer; what matters is that they do not compress.
    let iterator = format!(
        "{stream}|1|AAAAAAAAAA{}==",
        prng.text(ITERATOR_ALPHABET, 64)
    );
    let request = Object::new()
        .text("shardIterator", &iterator)
        .bare("limit", 1000);
    Record::dynamodb(moment, "GetRecords", prng)
        .data()
        .request(request)
        .resources([resource(
            table.account,
            "AWS::DynamoDB::Table",
            &table.arn(),
        )])
        .accesses(&table.name, "get_records", 1)
}

pub fn get_shard_iterator(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let stream = table
        .stream_arn()
        .expect("only tables with a stream are polled");
    let shard = format!(
        "shardId-000000017409{:08}-{}",
        prng.below(100_000_000),
        prng.hex(8)
    );
    let request = Object::new()
        .text("streamArn", &stream)
        .text("shardId", &shard)
        .text("shardIteratorType", "LATEST");
    Record::dynamodb(moment, "GetShardIterator", prng)
        .data()
        .request(request)
        .resources([resource(
            table.account,
            "AWS::DynamoDB::Table",
            &table.arn(),
        )])
}
