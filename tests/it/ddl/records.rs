//! Records of several kinds of identity, with what is rare in them.

use serde_json::{Value, json};

/// Written as the escape of a lone surrogate, which no string of Rust can hold.
pub const LONE_SURROGATE: &str = "\u{e000}";

/// The record that has a lone surrogate in its userIdentity.
pub const UNREADABLE_IDENTITY: &str = "10000000-0000-4000-8000-000000000009";

fn event_id(number: u32) -> String {
    format!("10000000-0000-4000-8000-{number:012}")
}

/// Records with different event ids, the first one of DynamoDB.
pub fn records() -> Vec<Value> {
    let mut records = vec![role(), denied_user(), federated(), identity_center()];
    records.extend(of_services());
    records.extend(odd());
    for (number, record) in (1..).zip(&mut records) {
        record["eventID"] = json!(event_id(number));
    }
    records
}

fn role() -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLE:worker",
            "arn": "arn:aws:sts::111122223333:assumed-role/Reader/worker",
            "accountId": "111122223333", "accessKeyId": "ASIAEXAMPLE",
            "sessionContext": {
                "sessionIssuer": {
                    "type": "Role", "principalId": "AROAEXAMPLE", "userName": "Reader",
                    "arn": "arn:aws:iam::111122223333:role/Reader", "accountId": "111122223333"
                },
                "attributes": {"creationDate": "2025-02-28T23:00:00Z", "mfaAuthenticated": "false"},
                "sourceIdentity": "alice", "ec2RoleDelivery": "2.0"
            }
        },
        "eventTime": "2025-02-28T23:59:59Z", "eventSource": "dynamodb.amazonaws.com",
        "eventName": "GetItem", "awsRegion": "eu-west-1", "sourceIPAddress": "192.0.2.7",
        "userAgent": "it's \"Boto3\\1.26\"", "readOnly": true, "managementEvent": false,
        "requestParameters": {"tableName": "Orders", "key": {"Id": "5", "N": 18446744073709551615_u64}},
        "responseElements": null, "requestID": "REQ1",
        "resources": [
            {"accountId": "111122223333", "type": "AWS::DynamoDB::Table",
             "ARN": "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders"},
            {"accountId": "111122223333", "type": "AWS::DynamoDB::Stream", "ARNPrefix": "arn:x",
             "ARN": "arn:aws:dynamodb:eu-west-1:111122223333:table/Orders/stream/1"}
        ],
        "eventType": "AwsApiCall", "apiVersion": "2012-08-10", "eventCategory": "Data",
        "recipientAccountId": "111122223333",
        "tlsDetails": {"tlsVersion": "TLSv1.1", "cipherSuite": "ECDHE",
                       "clientProvidedHostHeader": "dynamodb.eu-west-1.amazonaws.com"}
    })
}

fn denied_user() -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDAEXAMPLE",
                         "arn": "arn:aws:iam::111122223333:user/Jürgen", "accountId": "111122223333",
                         "accessKeyId": "AKIAEXAMPLE", "userName": "Jürgen 🦀"},
        "eventTime": "2025-03-30T02:30:00Z", "eventSource": "dynamodb.amazonaws.com",
        "eventName": "PutItem", "awsRegion": "eu-west-1", "sourceIPAddress": "192.0.2.8",
        "userAgent": "aws-cli", "errorCode": "AccessDenied",
        "errorMessage": "User: x is not authorized to perform: dynamodb:PutItem; it's denied",
        "requestParameters": {"tableName": "Orders"}, "readOnly": false, "resources": [],
        "eventType": "AwsApiCall", "eventCategory": "Data", "recipientAccountId": "111122223333",
        "sessionCredentialFromConsole": "true",
        "addendum": {"reason": "DELIVERY_DELAY", "updatedFields": "eventTime,readOnly",
                     "originalRequestID": "REQ0", "originalEventID": "EV0"}
    })
}

fn federated() -> Value {
    json!({
        "eventVersion": "1.08",
        "userIdentity": {
            "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/Web/app",
            "sessionContext": {
                "webIdFederationData": {
                    "federatedProvider": "arn:aws:iam::111122223333:oidc-provider/example.com",
                    "attributes": {"app:Sub": "User-7", "Aud": "it's", "aud": "other"}
                },
                "sessionIssuer": {"type": "Role", "userName": "Web"},
                "attributes": {"mfaAuthenticated": "false"}
            }
        },
        "eventTime": "2025-03-10T10:00:00Z", "eventSource": "dynamodb.amazonaws.com",
        "eventName": "Query", "awsRegion": "eu-west-1", "readOnly": true,
        "requestParameters": {"tableName": "Orders", "limit": 1.50},
        "recipientAccountId": "111122223333"
    })
}

fn identity_center() -> Value {
    json!({
        "eventVersion": "1.10",
        "userIdentity": {
            "type": "IdentityCenterUser", "accountId": "111122223333",
            "onBehalfOf": {"userId": "u-1", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"},
            "credentialId": "c-1", "sessionContext": {"attributes": {}, "webIdFederationData": {"attributes": {}}}
        },
        // 2025-03-29 in UTC.
        "eventTime": "2025-03-30T00:30:00.123+02:00", "eventSource": "dynamodb.amazonaws.com",
        "eventName": "UpdateTable", "awsRegion": "eu-west-1", "readOnly": false,
        "responseElements": {"tableDescription": {"itemCount": 0}}, "recipientAccountId": "111122223333"
    })
}

fn of_services() -> [Value; 2] {
    [
        json!({
            "eventVersion": "1.08",
            "userIdentity": {"type": "AWSService", "invokedBy": "backup.amazonaws.com"},
            "eventTime": "2025-03-30T01:59:59Z", "eventSource": "dynamodb.amazonaws.com",
            "eventName": "DeleteItem", "awsRegion": "eu-west-1", "readOnly": false,
            "sharedEventID": "SH1", "vpcEndpointId": "vpce-1", "vpcEndpointAccountId": "444455556666",
            "additionalEventData": {"vpce": true}, "recipientAccountId": "111122223333"
        }),
        json!({
            "eventVersion": "1.08", "eventType": "AwsServiceEvent",
            "userIdentity": {"invokedBy": "kms.amazonaws.com", "accountId": "111122223333"},
            "eventTime": "2025-03-12T00:00:00Z", "eventSource": "kms.amazonaws.com",
            "eventName": "RotateKey", "awsRegion": "eu-west-1",
            "serviceEventDetails": {"keyId": "k-1", "ARN": ["a", null]},
            "edgeDeviceDetails": {"type": "snow"}, "recipientAccountId": "111122223333"
        }),
    ]
}

/// Records with as little as a record can have, and with what it should not have.
fn odd() -> [Value; 3] {
    [
        json!({"eventVersion": "1.08", "eventTime": "2025-03-13T00:00:00Z"}),
        json!({
            "eventVersion": "1.08", "eventTime": "2025-03-14 10:11:12+00:00", "eventName": "GetItem",
            "userIdentity": {"type": "Unknown", "accountid": "0", "inScopeOf": {"type": "x"},
                             "sessionContext": null},
            "resources": [{}], "tlsDetails": {}, "addendum": null, "unknownMember": {"type": 1}
        }),
        json!({
            "eventVersion": "1.08", "eventTime": "2025-03-15T00:00:00Z", "eventName": "GetItem",
            "userIdentity": {"type": "Unknown", "userName": LONE_SURROGATE},
            "requestParameters": {"tableName": "Orders"}
        }),
    ]
}
