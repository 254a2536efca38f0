//! Publishes to a topic of Amazon SNS.
//!
//! Limits: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::interceptors::{BeforeTransmitInterceptorContextRef, InterceptorContext};
use aws_sdk_sns::config::retry::{ClassifyRetry, RetryAction, RetryConfig};
use aws_sdk_sns::config::{ConfigBag, Intercept, Region, RuntimeComponents};
use aws_sdk_sns::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_sns::types::MessageAttributeValue;

use super::config::{Notify, Target};
use super::message::Message;
use super::sink::SendError;
use crate::render::sanitize::beginning;

/// Characters of a subject, all ASCII.
const MAX_SUBJECT_CHARACTERS: usize = 100;

/// Bytes of a message: SNS takes 256 KiB with its attributes.
const MAX_MESSAGE_BYTES: usize = 255 << 10;

/// What stands where a message was cut.
const CUT: &str = "\n… (cut: too long for SNS)";

/// Tries of one message, each only where those before certainly did not arrive.
const ATTEMPTS: u32 = 4;

/// What the HTTP client says where no connection came about, so that nothing was sent.
const NO_CONNECTION: &str = "client error (Connect)";

/// Characters of an error that are shown.
const MAX_ERROR_CHARACTERS: usize = 300;

/// Messages of one group arrive in order; there is one stream of nights.
const GROUP: &str = "dynatrail-nightly";

/// A topic with its client.
#[derive(Debug)]
pub struct Topic {
    client: Client,
    arn: String,
    limit: Duration,
}

impl Topic {
    /// A client in the region of the topic.
    pub fn open(notify: &Notify, config: &SdkConfig) -> Self {
        let mut builder = aws_sdk_sns::config::Builder::from(config)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .retry_classifier(NeverTwice);
        let mut arn = String::new();
        if let Target::Sns {
            topic_arn,
            region,
            endpoint_url,
        } = &notify.target
        {
            arn.clone_from(topic_arn);
            builder = builder.region(Region::new(region.clone()));
            if let Some(endpoint_url) = endpoint_url {
                builder = builder.endpoint_url(endpoint_url);
            }
        }
        Self {
            client: Client::from_conf(builder.build()),
            arn,
            limit: notify.time_limit,
        }
    }

    pub async fn publish(&self, message: &Message) -> Result<(), SendError> {
        let mut request = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(subject(message))
            .message(body(&message.text()))
            .message_attributes("status", attribute(message.status.as_str()));
        if let Some(level) = message.level {
            request = request.message_attributes("level", attribute(level.as_str()));
        }
        if self.arn.ends_with(".fifo") {
            request = request
                .message_group_id(GROUP)
                .message_deduplication_id(&message.idempotency_key);
        }
        let transmitting = Transmitting::default();
        let request = request.customize().interceptor(transmitting.clone());
        match tokio::time::timeout(self.limit, request.send()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failure(&error, &transmitting)),
            Err(_) => Err(SendError::unsure(format!(
                "no answer from SNS within {} s",
                self.limit.as_secs()
            ))),
        }
    }
}

fn attribute(value: &str) -> MessageAttributeValue {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .expect("the type is given")
}

fn subject(message: &Message) -> String {
    let subject = message.subject();
    let ascii = subject
        .chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ');
    ascii.take(MAX_SUBJECT_CHARACTERS).collect()
}

/// The text, cut between characters where it is too long.
fn body(text: &str) -> String {
    if text.len() <= MAX_MESSAGE_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_MESSAGE_BYTES - CUT.len());
    format!("{}{CUT}", &text[..end])
}

/// Forbids the SDK to publish again what may have arrived: a topic passes on what comes twice, and so
/// does a FIFO topic after five minutes.
#[derive(Debug)]
struct NeverTwice;

impl ClassifyRetry for NeverTwice {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let status = context.response().map(|answer| answer.status().as_u16());
        let may_have_arrived = match context.output_or_error() {
            None | Some(Ok(_)) => false,
            Some(Err(error)) => {
                error.is_response_error()
                    || error.is_timeout_error()
                    || status.is_some_and(is_unsure)
                    || error
                        .as_connector_error()
                        .is_some_and(|error| !says_no_connection(error))
            }
        };
        match may_have_arrived {
            true => RetryAction::RetryForbidden,
            false => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "never publish twice"
    }
}

/// Whether it came to the sending of a request, and not before that to an end: without credentials,
/// say.
#[derive(Debug, Clone, Default)]
struct Transmitting(Arc<AtomicBool>);

impl Intercept for Transmitting {
    fn name(&self) -> &'static str {
        "transmitting"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a server's error leaves open what became of the message: all its own but "busy".
fn is_unsure(status: u16) -> bool {
    status >= 500 && status != 503
}

fn says_no_connection(error: &dyn Error) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.to_string() == NO_CONNECTION {
            return true;
        }
        cause = error.source();
    }
    false
}

fn failure<E: ProvideErrorMetadata + Error + 'static>(
    error: &SdkError<E>,
    transmitting: &Transmitting,
) -> SendError {
    match error {
        SdkError::ServiceError(answer) => {
            let error = answer.err();
            let code = error.code().unwrap_or("an error");
            let words = error.message().unwrap_or("it does not say why");
            SendError {
                problem: beginning(
                    &format!("SNS answered {code}: {words}"),
                    MAX_ERROR_CHARACTERS,
                ),
                may_have_arrived: is_unsure(answer.raw().status().as_u16()),
            }
        }
        SdkError::ConstructionFailure(_) => {
            SendError::refused("the request to SNS could not be made")
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            SendError::unsure("no answer from SNS in time")
        }
        SdkError::DispatchFailure(_) => {
            let mut problem = "SNS gave no answer".to_owned();
            let mut cause: Option<&dyn Error> = error.source();
            while let Some(error) = cause {
                problem.push_str(&format!(": {error}"));
                cause = error.source();
            }
            SendError {
                problem: beginning(&problem, MAX_ERROR_CHARACTERS),
                may_have_arrived: transmitting.0.load(Ordering::Relaxed)
                    && !says_no_connection(error),
            }
        }
        _ => SendError::unsure("SNS gave no readable answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_cut_to_what_sns_takes() {
        let whole = "é".repeat(MAX_MESSAGE_BYTES / 2);
        assert_eq!(body(&whole), whole);
        let cut = body(&format!("{whole}é"));
        assert!(cut.len() <= MAX_MESSAGE_BYTES && cut.ends_with(CUT));
    }
}
