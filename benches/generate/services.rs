//! Records of services other than DynamoDB, with the nested parameters that an archive is mostly made of.

use std::sync::Arc;

use super::identities::{identifier, service};
use super::json::{Object, array};
use super::prng::Prng;
use super::record::{Moment, Record, resource};
use super::storage;
use super::tables::Table;
use super::time::{HOUR, american};

pub const S3: &str = "s3.amazonaws.com";
const EC2: &str = "ec2.amazonaws.com";
pub const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const ROLES: [&str; 6] = [
    "orders-service",
    "nightly-batch",
    "data-pipeline",
    "web-frontend",
    "log-shipper",
    "ci-runner",
];
pub const APPLICATIONS: [&str; 8] = [
    "checkout",
    "billing",
    "search",
    "catalogue",
    "shipping",
    "returns",
    "accounts",
    "reviews",
];

/// How many numbers there are for kinds of calls.
pub const KINDS: u64 = 100;

/// One ordinary call; `table` is a table of the caller's account for calls about its encryption.
pub fn ordinary(moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    let kind = prng.below(KINDS);
    of_kind(kind, moment, table, prng)
}

/// A call of the kind with this number; the commoner kinds have more of the numbers below [`KINDS`].
pub fn of_kind(kind: u64, moment: &Moment, table: &Table, prng: &mut Prng) -> Record {
    match kind {
        0..=15 => describe_instances(moment, prng),
        16..=19 => describe_network_interfaces(moment, prng),
        20 => run_instances(moment, prng),
        21..=36 => storage::get_object(moment, prng),
        37..=43 => storage::put_object(moment, prng),
        44 => storage::put_bucket_policy(moment, prng),
        45..=48 => storage::get_bucket_acl(moment, prng),
        49..=60 => assume_role_by_service(moment, prng),
        61..=63 => get_caller_identity(moment, prng),
        64..=72 => kms_for_table(moment, "Decrypt", table, prng),
        73..=75 => kms_for_table(moment, "GenerateDataKey", table, prng),
        76..=79 => kms_for_object(moment, prng),
        80 => put_role_policy(moment, prng),
        81..=83 => list_role_policies(moment, prng),
        84..=86 => get_function(moment, prng),
        87 => update_function(moment, prng),
        88..=92 => create_log_stream(moment, prng),
        93 => put_metric_filter(moment, prng),
        94..=96 => get_parameters(moment, prng),
        _ => update_instance_information(moment, prng),
    }
}

pub fn by_service(moment: &Moment, name: &str) -> Moment {
    Moment {
        caller: Arc::new(service(moment.caller.account, name)),
        ..moment.clone()
    }
}

/// One of the resources of a kind that an account has; the same few come again and again.
fn resource_id(moment: &Moment, prefix: &str, prng: &mut Prng) -> String {
    const RESOURCES: u64 = 150;
    let number = prng.below(RESOURCES);
    let id = Prng::of_text(&format!(
        "{}{}{number}",
        moment.caller.account, moment.region
    ))
    .hex(16);
    format!("{prefix}-0{id}")
}

fn describe_instances(moment: &Moment, prng: &mut Prng) -> Record {
    let ids = array((0..prng.between(1, 6)).map(|_| {
        Object::new()
            .text("instanceId", &resource_id(moment, "i", prng))
            .finish()
    }));
    let filters = r#"{"items":[{"name":"instance-state-name","valueSet":{"items":[{"value":"running"},{"value":"pending"}]}},{"name":"tag:application","valueSet":{"items":[{"value":"*"}]}}]}"#;
    let request = Object::new()
        .json("instancesSet", &Object::new().json("items", &ids).finish())
        .json("filterSet", filters);
    Record::new(moment, EC2, "DescribeInstances", prng).request(request)
}

fn describe_network_interfaces(moment: &Moment, prng: &mut Prng) -> Record {
    let interface = Object::new()
        .text("networkInterfaceId", &resource_id(moment, "eni", prng))
        .finish();
    let request = Object::new()
        .json(
            "networkInterfaceIdSet",
            &Object::new().json("items", &array([interface])).finish(),
        )
        .json("filterSet", "{}");
    Record::new(moment, EC2, "DescribeNetworkInterfaces", prng).request(request)
}

fn run_instances(moment: &Moment, prng: &mut Prng) -> Record {
    let image = resource_id(moment, "ami", prng);
    let token = prng.uuid();
    let wanted = Object::new()
        .text("imageId", &image)
        .bare("minCount", 1)
        .bare("maxCount", 1)
        .finish();
    let request = Object::new()
        .json("instancesSet", &Object::new().json("items", &array([wanted])).finish())
        .text("instanceType", "m6i.large")
        .json("blockDeviceMapping", "{}")
        .json("monitoring", r#"{"enabled":false}"#)
        .bare("disableApiTermination", false)
        .text("clientToken", &token)
        .json("iamInstanceProfile", r#"{"name":"orders-service-instance"}"#)
        .bare("ebsOptimized", true)
        .json("tagSpecificationSet", r#"{"items":[{"resourceType":"instance","tags":[{"key":"application","value":"checkout"}]}]}"#);
    let started = Object::new()
        .text("instanceId", &resource_id(moment, "i", prng))
        .text("imageId", &image)
        .json("instanceState", r#"{"code":0,"name":"pending"}"#)
        .text(
            "privateDnsName",
            &format!(
                "ip-10-0-{}-{}.ec2.internal",
                prng.below(64),
                prng.below(250)
            ),
        )
        .bare("amiLaunchIndex", 0)
        .json("productCodes", "{}")
        .text("instanceType", "m6i.large")
        .bare("launchTime", moment.time * 1000)
        .json(
            "placement",
            r#"{"availabilityZone":"us-east-1a","tenancy":"default"}"#,
        )
        .json("monitoring", r#"{"state":"disabled"}"#)
        .text("subnetId", &resource_id(moment, "subnet", prng))
        .json("stateReason", r#"{"code":"pending","message":"pending"}"#)
        .text("architecture", "x86_64")
        .text("rootDeviceType", "ebs")
        .json("blockDeviceMapping", "{}")
        .text("clientToken", &token)
        .bare("sourceDestCheck", true)
        .finish();
    let record = Record::new(moment, EC2, "RunInstances", prng)
        .writes()
        .request(request);
    let response = Object::new()
        .text("requestId", &record.request_id)
        .text("reservationId", &resource_id(moment, "r", prng))
        .text("ownerId", moment.caller.account)
        .json("groupSet", "{}")
        .json(
            "instancesSet",
            &Object::new().json("items", &array([started])).finish(),
        );
    record.response(response)
}

/// AssumeRole by a service for a role that it runs; these are among the commonest records of any account.
pub fn assume_role_by_service(moment: &Moment, prng: &mut Prng) -> Record {
    let account = moment.caller.account;
    let by = prng.pick(&[
        "lambda.amazonaws.com",
        "ecs-tasks.amazonaws.com",
        "ec2.amazonaws.com",
    ]);
    let role = prng.pick(&ROLES);
    let role_arn = format!("arn:aws:iam::{account}:role/{role}");
    let session = prng.hex(32);
    let credentials = Object::new()
        .text("accessKeyId", &identifier("ASIA", &session))
        .text(
            "sessionToken",
            &format!("EXAMPLETOKEN{}", prng.text(BASE64, 28)),
        )
        .text("expiration", &american(moment.time + HOUR))
        .finish();
    let assumed = Object::new()
        .text(
            "assumedRoleId",
            &format!("{}:{session}", identifier("AROA", &role_arn)),
        )
        .text(
            "arn",
            &format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
        )
        .finish();
    let request = Object::new()
        .text("roleArn", &role_arn)
        .text("roleSessionName", &session);
    let response = Object::new()
        .json("credentials", &credentials)
        .json("assumedRoleUser", &assumed);
    let mut record = Record::new(
        &by_service(moment, by),
        "sts.amazonaws.com",
        "AssumeRole",
        prng,
    );
    record.shared_event_id = Some(prng.uuid());
    record
        .request(request)
        .response(response)
        .resources([resource(account, "AWS::IAM::Role", &role_arn)])
}

pub fn get_caller_identity(moment: &Moment, prng: &mut Prng) -> Record {
    Record::new(moment, "sts.amazonaws.com", "GetCallerIdentity", prng)
}

fn kms(moment: &Moment, name: &'static str, request: Object, prng: &mut Prng) -> Record {
    let account = moment.caller.account;
    let key = Prng::of_text(account).uuid();
    let arn = format!("arn:aws:kms:{}:{account}:key/{key}", moment.region);
    Record::new(moment, "kms.amazonaws.com", name, prng)
        .request(request)
        .resources([resource(account, "AWS::KMS::Key", &arn)])
}

/// A KMS call that DynamoDB makes for an encrypted table: it names the table but is no DynamoDB event.
pub fn kms_for_table(
    moment: &Moment,
    name: &'static str,
    table: &Table,
    prng: &mut Prng,
) -> Record {
    let context = Object::new()
        .text("aws:dynamodb:tableName", &table.name)
        .text("aws:dynamodb:subscriberId", table.account)
        .finish();
    let mut request = Object::new().json("encryptionContext", &context);
    request = match name {
        "Decrypt" => request.text("encryptionAlgorithm", "SYMMETRIC_DEFAULT"),
        _ => request
            .text("keyId", "alias/aws/dynamodb")
            .text("keySpec", "AES_256"),
    };
    kms(
        &by_service(moment, "dynamodb.amazonaws.com"),
        name,
        request,
        prng,
    )
}

fn kms_for_object(moment: &Moment, prng: &mut Prng) -> Record {
    let bucket = storage::bucket_name(moment.caller.account, prng);
    let context = Object::new()
        .text("aws:s3:arn", &format!("arn:aws:s3:::{bucket}"))
        .finish();
    let request = Object::new()
        .text("encryptionAlgorithm", "SYMMETRIC_DEFAULT")
        .json("encryptionContext", &context);
    kms(&by_service(moment, S3), "Decrypt", request, prng)
}

fn put_role_policy(moment: &Moment, prng: &mut Prng) -> Record {
    let table = prng.pick(&APPLICATIONS);
    let account = moment.caller.account;
    let policy = format!(
        "{{\n    \"Version\": \"2012-10-17\",\n    \"Statement\": [\n        {{\n            \"Sid\": \"RestrictWrites\",\n            \"Effect\": \"Deny\",\n            \"Action\": [\n                \"dynamodb:PutItem\",\n                \"dynamodb:Update*\",\n                \"dynamodb:Delete*\"\n            ],\n            \"Resource\": \"arn:aws:dynamodb:*:{account}:table/{table}\"\n        }}\n    ]\n}}\n"
    );
    let request = Object::new()
        .text("roleName", prng.pick(&ROLES))
        .text("policyName", &format!("{table}-guard"))
        .text("policyDocument", &policy);
    Record::new(moment, "iam.amazonaws.com", "PutRolePolicy", prng)
        .writes()
        .request(request)
}

fn list_role_policies(moment: &Moment, prng: &mut Prng) -> Record {
    let request = Object::new().text("roleName", prng.pick(&ROLES));
    Record::new(
        moment,
        "iam.amazonaws.com",
        "ListAttachedRolePolicies",
        prng,
    )
    .request(request)
}

pub fn get_function(moment: &Moment, prng: &mut Prng) -> Record {
    let function = format!("{}-handler", prng.pick(&APPLICATIONS));
    let request = Object::new().text("functionName", &function);
    Record::new(
        moment,
        "lambda.amazonaws.com",
        "GetFunction20150331v2",
        prng,
    )
    .request(request)
}

fn update_function(moment: &Moment, prng: &mut Prng) -> Record {
    let function = format!("{}-handler", prng.pick(&APPLICATIONS));
    let arn = format!(
        "arn:aws:lambda:{}:{}:function:{function}",
        moment.region, moment.caller.account
    );
    let role = format!(
        "arn:aws:iam::{}:role/{}",
        moment.caller.account,
        prng.pick(&ROLES)
    );
    let request = Object::new()
        .text("functionName", &function)
        .bare("timeout", 30)
        .json("environment", "{}")
        .bare("memorySize", 512);
    let response = Object::new()
        .text("functionName", &function)
        .text("functionArn", &arn)
        .text("runtime", "nodejs20.x")
        .text("role", &role)
        .text("handler", "index.handler")
        .bare("codeSize", prng.below(4_000_000))
        .text("description", "")
        .bare("timeout", 30)
        .bare("memorySize", 512)
        .text("codeSha256", &(prng.text(BASE64, 43) + "="))
        .text("version", "$LATEST")
        .json("environment", "{}")
        .json("tracingConfig", r#"{"mode":"PassThrough"}"#)
        .text("revisionId", &prng.uuid())
        .text("packageType", "Zip")
        .json("architectures", r#"["arm64"]"#)
        .json("ephemeralStorage", r#"{"size":512}"#);
    Record::new(
        moment,
        "lambda.amazonaws.com",
        "UpdateFunctionConfiguration20150331v2",
        prng,
    )
    .writes()
    .request(request)
    .response(response)
}

fn create_log_stream(moment: &Moment, prng: &mut Prng) -> Record {
    let request = Object::new()
        .text(
            "logGroupName",
            &format!("/aws/lambda/{}-handler", prng.pick(&APPLICATIONS)),
        )
        .text(
            "logStreamName",
            &format!(
                "2025/03/{:02}/[$LATEST]{}",
                prng.between(1, 28),
                prng.hex(32)
            ),
        );
    let mut record = Record::new(moment, "logs.amazonaws.com", "CreateLogStream", prng)
        .writes()
        .request(request);
    record.api_version = Some("20140328");
    record
}

fn put_metric_filter(moment: &Moment, prng: &mut Prng) -> Record {
    let request = Object::new()
        .text("logGroupName", "aws-cloudtrail-logs")
        .text("filterName", "slow-or-denied")
        .text("filterPattern", "{ ($.errorCode = \"AccessDenied*\") && ($.latency > 250) && ($.retries < 3) }")
        .json("metricTransformations", r#"[{"metricName":"Denied","metricNamespace":"Trail","metricValue":"1","defaultValue":0.0}]"#);
    let mut record = Record::new(moment, "logs.amazonaws.com", "PutMetricFilter", prng)
        .writes()
        .request(request);
    record.api_version = Some("20140328");
    record
}

pub fn get_parameters(moment: &Moment, prng: &mut Prng) -> Record {
    let application = prng.pick(&APPLICATIONS);
    let names: Vec<String> = ["database-url", "log-level", "feature-flags"]
        .iter()
        .map(|leaf| format!("/{application}/{leaf}"))
        .collect();
    let resources: Vec<String> = names
        .iter()
        .map(|name| {
            let arn = format!(
                "arn:aws:ssm:{}:{}:parameter{name}",
                moment.region, moment.caller.account
            );
            Object::new()
                .text("accountId", moment.caller.account)
                .text("ARN", &arn)
                .finish()
        })
        .collect();
    let request = Object::new()
        .json(
            "names",
            &super::json::texts(names.iter().map(String::as_str)),
        )
        .bare("withDecryption", true);
    Record::new(moment, "ssm.amazonaws.com", "GetParameters", prng)
        .request(request)
        .resources(resources)
}

fn update_instance_information(moment: &Moment, prng: &mut Prng) -> Record {
    let request = Object::new()
        .text("instanceId", &resource_id(moment, "i", prng))
        .text("agentVersion", "3.3.1611.0")
        .text("agentStatus", "Active")
        .text("platformType", "Linux")
        .text("platformName", "Amazon Linux")
        .text("platformVersion", "2023")
        .text(
            "iPAddress",
            &format!("10.0.{}.{}", prng.below(64), prng.below(250)),
        )
        .text("agentName", "amazon-ssm-agent");
    Record::new(
        moment,
        "ssm.amazonaws.com",
        "UpdateInstanceInformation",
        prng,
    )
    .writes()
    .request(request)
}
