//! An archive in CloudTrail's layout, made event by event.

use std::path::PathBuf;

use serde_json::{Value, json};

/// An archive in a temp folder, made event by event.
pub struct Archive {
    pub folder: tempfile::TempDir,
}

impl Archive {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("temp folder"),
        }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    pub fn lake(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds an object delivered on a day of March 2025 to an account's trail.
    pub fn object(&self, account: &str, day: u32, name: &str, records: &[Value]) {
        let folder = self.root().join(format!(
            "AWSLogs/{account}/CloudTrail/us-east-1/2025/03/{day:02}"
        ));
        std::fs::create_dir_all(&folder).expect("created");
        let file = folder.join(format!(
            "{account}_CloudTrail_us-east-1_202503{day:02}T1010Z_{name:0>16}.json"
        ));
        std::fs::write(file, json!({ "Records": records }).to_string()).expect("written");
    }
}

pub fn event(id: &str, day: u32) -> Value {
    json!({
        "eventVersion": "1.08", "eventTime": format!("2025-03-{day:02}T10:00:00Z"), "eventID": id,
        "eventSource": "dynamodb.amazonaws.com", "eventName": "PutItem", "awsRegion": "us-east-1",
        "recipientAccountId": "111122223333", "eventCategory": "Data", "managementEvent": false,
        "userIdentity": {"type": "Root", "accountId": "111122223333"},
        "requestParameters": {"tableName": "Orders", "key": {"id": id}, "items": ["id", "total"]}
    })
}
