//! Records of S3, with bucket and object calls.

use super::json::Object;
use super::prng::Prng;
use super::record::{Moment, Record, resource};
use super::services::{APPLICATIONS, BASE64, S3, by_service};

pub fn bucket_name(account: &str, prng: &mut Prng) -> String {
    format!(
        "{}-{}-{account}",
        prng.pick(&APPLICATIONS),
        prng.pick(&["assets", "exports", "logs"])
    )
}

/// An S3 record with what S3 adds to `additionalEventData`; byte counts are floats in genuine files.
fn s3(moment: &Moment, name: &'static str, bucket: &str, prng: &mut Prng) -> Record {
    let mut record = Record::new(moment, S3, name, prng);
    record.request_id = prng.text(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", 16);
    let (bytes_in, bytes_out) = if name.starts_with("Put") {
        (prng.below(900_000), 0)
    } else {
        (0, prng.below(900_000))
    };
    let additional = Object::new()
        .text("SignatureVersion", "SigV4")
        .text("CipherSuite", "TLS_AES_128_GCM_SHA256")
        .bare("bytesTransferredIn", format_args!("{bytes_in}.0"))
        .text("AuthenticationMethod", "AuthHeader")
        .text("x-amz-id-2", &(prng.text(BASE64, 43) + "="))
        .bare("bytesTransferredOut", format_args!("{bytes_out}.0"));
    record.additional_json = Some(additional.finish());
    let arn = format!("arn:aws:s3:::{bucket}");
    let request = Object::new().text("bucketName", bucket).text(
        "Host",
        &format!("{bucket}.s3.{}.amazonaws.com", moment.region),
    );
    record
        .request(request)
        .resources([resource(moment.caller.account, "AWS::S3::Bucket", &arn)])
}

fn s3_object(moment: &Moment, name: &'static str, prng: &mut Prng) -> Record {
    let bucket = bucket_name(moment.caller.account, prng);
    let key = format!(
        "{}/year=2025/month=03/part-{:05}-{}.parquet",
        prng.pick(&APPLICATIONS),
        prng.below(200),
        prng.uuid()
    );
    let record = s3(moment, name, &bucket, prng).data();
    let bucket_arn = format!("arn:aws:s3:::{bucket}");
    let object = Object::new()
        .text("type", "AWS::S3::Object")
        .text("ARN", &format!("{bucket_arn}/{key}"))
        .finish();
    let request = Object::new()
        .text("bucketName", &bucket)
        .text(
            "Host",
            &format!("{bucket}.s3.{}.amazonaws.com", moment.region),
        )
        .text("key", &key);
    record.request(request).resources([
        object,
        resource(moment.caller.account, "AWS::S3::Bucket", &bucket_arn),
    ])
}

pub fn get_object(moment: &Moment, prng: &mut Prng) -> Record {
    s3_object(moment, "GetObject", prng)
}

pub fn put_object(moment: &Moment, prng: &mut Prng) -> Record {
    let response = Object::new()
        .text("x-amz-server-side-encryption", "aws:kms")
        .text("x-amz-server-side-encryption-bucket-key-enabled", "true");
    s3_object(moment, "PutObject", prng)
        .writes()
        .response(response)
}

pub fn put_bucket_policy(moment: &Moment, prng: &mut Prng) -> Record {
    let bucket = bucket_name(moment.caller.account, prng);
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"AWSCloudTrailAclCheck","Effect":"Allow","Principal":{{"Service":"cloudtrail.amazonaws.com"}},"Action":"s3:GetBucketAcl","Resource":"arn:aws:s3:::{bucket}"}},{{"Sid":"AWSCloudTrailWrite","Effect":"Allow","Principal":{{"Service":"cloudtrail.amazonaws.com"}},"Action":"s3:PutObject","Resource":"arn:aws:s3:::{bucket}/*","Condition":{{"StringEquals":{{"s3:x-amz-acl":"bucket-owner-full-control"}}}}}}]}}"#
    );
    let request = Object::new()
        .json("bucketPolicy", &policy)
        .text("bucketName", &bucket)
        .text(
            "Host",
            &format!("{bucket}.s3.{}.amazonaws.com", moment.region),
        )
        .text("policy", "");
    s3(moment, "PutBucketPolicy", &bucket, prng)
        .writes()
        .request(request)
}

pub fn get_bucket_acl(moment: &Moment, prng: &mut Prng) -> Record {
    let bucket = bucket_name(moment.caller.account, prng);
    let request = Object::new()
        .text("bucketName", &bucket)
        .text(
            "Host",
            &format!("{bucket}.s3.{}.amazonaws.com", moment.region),
        )
        .text("acl", "");
    let mut record = s3(
        &by_service(moment, "cloudtrail.amazonaws.com"),
        "GetBucketAcl",
        &bucket,
        prng,
    );
    record.shared_event_id = Some(prng.uuid());
    record.request(request)
}
