//! The objects beside the logs: digests, and Insights, network-activity and aggregated events.

use std::io;
use std::path::Path;

use super::super::json::{Object, array};
use super::super::prng::Prng;
use super::super::record::DYNAMODB;
use super::super::time::{HOUR, MINUTE, Seconds, iso, moment, second_stamp};
use super::super::truth::{Stored, Truth};
use super::super::writer::{Body, Place, store};
use super::deliver::{DeliveredLog, hash};
use super::world::{FOREIGN, SHOP, US, World, auto_scaling};

const BUCKET: &str = "example-cloudtrail-logs";
const TRAIL: &str = "shop-trail";

pub fn store_all(
    root: &Path,
    world: &World,
    logs: &[DeliveredLog],
    truth: &mut Truth,
) -> io::Result<()> {
    let mut prng = Prng::stream(super::SEED, 0xf01d);
    let night = moment((2025, 3, 12), (0, 0, 0));
    store_digests(root, logs, &mut prng, truth)?;
    let insights = insights(night, &mut prng);
    store_events(
        root,
        "CloudTrail-Insight",
        (night + 9 * HOUR + 41 * MINUTE, &insights),
        truth,
    )?;
    let network = [network_activity(night, &mut prng)];
    store_events(
        root,
        "CloudTrail-NetworkActivity",
        (night + 3 * HOUR + 51 * MINUTE, &network),
        truth,
    )?;
    let aggregated = aggregated(world, night, &mut prng);
    store_events(
        root,
        "CloudTrail-Aggregated",
        (night + 10 * HOUR + 22 * MINUTE, &aggregated),
        truth,
    )
}

fn place(folder: &'static str) -> Place {
    Place {
        organization: None,
        account: SHOP,
        folder,
        region: US,
    }
}

fn store_events(
    root: &Path,
    folder: &'static str,
    (delivered, events): (Seconds, &[String]),
    truth: &mut Truth,
) -> io::Result<()> {
    let mut body = Body::new();
    for event in events {
        body.push_json(event);
    }
    let unique = Prng::of_text(folder).text(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
        16,
    );
    let text = body.finish();
    let stored = Stored {
        objects: 1,
        records: events.len() as u64,
        inflated_bytes: text.len() as u64,
    };
    truth.stored(folder, &stored);
    store(root, &place(folder).key(delivered, &unique), &text)
}

/// A chain of four digests over the night of the incident. Hashes are right; signatures are random, for nobody but
/// CloudTrail has its key.
fn store_digests(
    root: &Path,
    logs: &[DeliveredLog],
    prng: &mut Prng,
    truth: &mut Truth,
) -> io::Result<()> {
    let place = place("CloudTrail-Digest");
    let mut previous: Option<PreviousDigest> = None;
    for hour in 1..5 {
        let start = moment((2025, 3, 12), (hour, 31, 7));
        let end = start + HOUR;
        let of_hour: Vec<&DeliveredLog> = logs
            .iter()
            .filter(|log| log.place.account == SHOP && log.place.region == US)
            .filter(|log| (start..end).contains(&log.delivered))
            .collect();
        let name = format!(
            "{SHOP}_CloudTrail-Digest_{US}_{TRAIL}_{US}_{}.json.gz",
            second_stamp(end)
        );
        let key = format!("{}{name}", place.prefix(end));
        let text = digest((start, end), &key, &of_hour, previous.as_ref());
        store(root, &key, &text)?;
        truth.stored(
            place.folder,
            &Stored {
                objects: 1,
                records: 0,
                inflated_bytes: text.len() as u64,
            },
        );
        previous = Some(PreviousDigest {
            key,
            hash: hash(&text),
            signature: prng.hex(512),
        });
    }
    Ok(())
}

struct PreviousDigest {
    key: String,
    hash: String,
    signature: String,
}

fn digest(
    (start, end): (Seconds, Seconds),
    key: &str,
    logs: &[&DeliveredLog],
    previous: Option<&PreviousDigest>,
) -> String {
    let files = array(logs.iter().map(|log| {
        Object::new()
            .text("s3Bucket", BUCKET)
            .text("s3Object", &log.key)
            .text("hashValue", &log.hash)
            .text("hashAlgorithm", "SHA-256")
            .text("newestEventTime", &log.newest_event_time)
            .text("oldestEventTime", &log.oldest_event_time)
            .finish()
    }));
    let or_null = |object: Object, name: &str, value: Option<&str>| match value {
        Some(value) => object.text(name, value),
        None => object.json(name, "null"),
    };
    let mut digest = Object::new()
        .text("awsAccountId", SHOP)
        .text("digestStartTime", &iso(start))
        .text("digestEndTime", &iso(end))
        .text("digestS3Bucket", BUCKET)
        .text("digestS3Object", key)
        .text(
            "digestPublicKeyFingerprint",
            "31e8b5433410dfb61a9dc45cc65b22ff",
        )
        .text("digestSignatureAlgorithm", "SHA256withRSA");
    let newest = logs.iter().map(|log| log.newest_event_time.as_str()).max();
    let oldest = logs.iter().map(|log| log.oldest_event_time.as_str()).min();
    digest = or_null(digest, "newestEventTime", newest);
    digest = or_null(digest, "oldestEventTime", oldest);
    digest = or_null(digest, "previousDigestS3Bucket", previous.map(|_| BUCKET));
    digest = or_null(
        digest,
        "previousDigestS3Object",
        previous.map(|digest| digest.key.as_str()),
    );
    digest = or_null(
        digest,
        "previousDigestHashValue",
        previous.map(|digest| digest.hash.as_str()),
    );
    digest = or_null(
        digest,
        "previousDigestHashAlgorithm",
        previous.map(|_| "SHA-256"),
    );
    digest = or_null(
        digest,
        "previousDigestSignature",
        previous.map(|digest| digest.signature.as_str()),
    );
    digest.json("logFiles", &files).finish()
}

/// The begin and the end of an unusual rate of DescribeTable.
fn insights(night: Seconds, prng: &mut Prng) -> Vec<String> {
    let shared = prng.uuid();
    let caller = auto_scaling(night);
    let event = |state: &str, time: Seconds, prng: &mut Prng| {
        let attributions = format!(
            r#"[{{"attribute":"userIdentityArn","insight":[{{"value":"{arn}","average":41.2}}],"baseline":[{{"value":"{arn}","average":0.0166666667}}]}},{{"attribute":"userAgent","insight":[{{"value":"{agent}","average":41.2}}],"baseline":[]}},{{"attribute":"errorCode","insight":[{{"value":"null","average":41.2}}],"baseline":[{{"value":"null","average":0.0166666667}}]}}]"#,
            arn = caller.arn,
            agent = caller.user_agent
        );
        let statistics = r#"{"baseline":{"average":0.0166666667},"insight":{"average":41.2},"insightDuration":5,"baselineDuration":10080}"#;
        let context = Object::new()
            .json("statistics", statistics)
            .json("attributions", &attributions)
            .finish();
        let details = Object::new()
            .text("state", state)
            .text("eventSource", DYNAMODB)
            .text("eventName", "DescribeTable")
            .text("insightType", "ApiCallRateInsight")
            .json("insightContext", &context)
            .finish();
        Object::new()
            .text("eventVersion", "1.09")
            .text("eventTime", &iso(time))
            .text("awsRegion", US)
            .text("eventID", &prng.uuid())
            .text("eventType", "AwsCloudTrailInsight")
            .text("recipientAccountId", SHOP)
            .text("sharedEventID", &shared)
            .json("insightDetails", &details)
            .text("eventCategory", "Insight")
            .finish()
    };
    let begin = night + 9 * HOUR + 10 * MINUTE;
    vec![
        event("Start", begin, prng),
        event("End", begin + 5 * MINUTE, prng),
    ]
}

/// Somebody of another account, turned away by the policy of the shop's VPC endpoint.
fn network_activity(night: Seconds, prng: &mut Prng) -> String {
    let identity = Object::new()
        .text("type", "AWSAccount")
        .text("principalId", "AKIAI44QH8DHBEXAMPLE")
        .text("accountId", FOREIGN)
        .finish();
    Object::new()
        .text("eventVersion", "1.09")
        .json("userIdentity", &identity)
        .text("eventTime", &iso(night + 3 * HOUR + 40 * MINUTE + 19))
        .text("eventSource", DYNAMODB)
        .text("eventName", "PutItem")
        .text("awsRegion", US)
        .text("sourceIPAddress", "10.20.7.18")
        .text("errorCode", "VpceAccessDenied")
        .text(
            "errorMessage",
            "The request was denied due to a VPC endpoint policy",
        )
        .text("requestID", &prng.uuid())
        .text("eventID", &prng.uuid())
        .text("eventType", "AwsVpceEvent")
        .text("recipientAccountId", SHOP)
        .text("sharedEventID", &prng.uuid())
        .text("vpcEndpointId", "vpce-0123456789abcdef0")
        .text("vpcEndpointAccountId", SHOP)
        .text("eventCategory", "NetworkActivity")
        .finish()
}

/// Five-minute counts of data events; they repeat what the log objects hold one by one.
fn aggregated(world: &World, night: Seconds, prng: &mut Prng) -> Vec<String> {
    let begin = night + 10 * HOUR + 10 * MINUTE;
    let window = Object::new()
        .text("windowStart", &iso(begin))
        .text("windowEnd", &iso(begin + 5 * MINUTE))
        .text("windowSize", "PT5M")
        .finish();
    let dimension = |name: &str, value: &str, count: u64| {
        let statistic = Object::new()
            .text("name", value)
            .bare("value", count)
            .finish();
        Object::new()
            .text("dimension", name)
            .json("statistics", &array([statistic]))
            .text("aggregationType", "Count")
            .finish()
    };
    let event = |name: &str, count: u64, prng: &mut Prng| {
        let summary = Object::new()
            .json("primaryDimension", &dimension("eventName", name, count))
            .json(
                "details",
                &array([dimension("resourceARN", &world.orders.arn(), count)]),
            )
            .finish();
        Object::new()
            .text("eventVersion", "1.0")
            .text("accountId", SHOP)
            .text("eventId", &prng.uuid())
            .text("eventCategory", "Aggregated")
            .text("eventType", "AwsAggregatedEvent")
            .text("awsRegion", US)
            .text("eventSource", DYNAMODB)
            .json("timeWindow", &window)
            .json("summary", &summary)
            .finish()
    };
    vec![event("GetItem", 11, prng), event("PutItem", 7, prng)]
}
