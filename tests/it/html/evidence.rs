//! What a run of reports made by hand rests on.

use dynatrail::lake::receipt::RecordCounts;
use dynatrail::report::evidence::{Evidence, Hole, ObjectCounts, Seen, TableSeen};

/// Evidence with a value everywhere.
pub fn whole() -> Evidence {
    let seen = |kind: &str, events| Seen {
        kind: kind.to_owned(),
        events,
    };
    let table = |table: &str, data_reads, data_writes, control| TableSeen {
        account: "111122223333".to_owned(),
        region: "eu-west-1".to_owned(),
        table: table.to_owned(),
        data_reads,
        data_writes,
        control,
    };
    Evidence {
        lake: "s3://forensics-lake/dynamodb".to_owned(),
        selection: "dynamodb".to_owned(),
        since: Some("2025-03-01".to_owned()),
        until: Some("2025-03-31".to_owned()),
        first_date: Some("2024-11-02".to_owned()),
        last_date: Some("2025-04-01".to_owned()),
        first_event: Some("2025-03-01T00:00:04.000Z".to_owned()),
        last_event: Some("2025-03-31T23:59:58.000Z".to_owned()),
        objects: ObjectCounts {
            listed: 18_204,
            converted: 18_190,
            damaged: 1,
            failed: 1,
            gone: 0,
            not_logs: 12,
        },
        records: RecordCounts {
            seen: 4_810_223,
            kept: 913_544,
            not_selected: 3_896_011,
            duplicate: 667,
            quarantined: 1,
        },
        seen: vec![
            seen("control", 41_223),
            seen("data.read", 702_118),
            seen("data.write", 170_203),
            seen("kms.amazonaws.com", 5_110),
        ],
        tables: vec![
            table("orders", 601_223, 150_002, 310),
            table("customers", 100_895, 20_201, 80),
            table("<i>ledger</i>", 0, 0, 12),
        ],
        tables_without_data_events: vec![
            "111122223333/eu-west-1/ledger".to_owned(),
            "444455556666/us-east-1/sessions".to_owned(),
        ],
        holes: vec![Hole {
            account: "444455556666".to_owned(),
            region: "us-east-1".to_owned(),
            from: "2025-03-17T04:00Z".to_owned(),
            hours: 9,
        }],
        last_deliveries: Vec::new(),
        integrity: None,
        gaps: vec![
            "2 objects of the window could not be read.".to_owned(),
            "444455556666 in us-east-1 has no objects for 9 hours from 2025-03-17T04:00Z."
                .to_owned(),
        ],
    }
}
