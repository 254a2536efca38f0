//! The sinks of a run, ready to send: one of three kinds each.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::runtime::Handle;

use super::command;
use super::config::{Notify, Target};
use super::message::Message;
use super::secret::SecretError;
use super::sns::Topic;
use super::webhook::Webhook;
use crate::archive::S3Options;

/// A sink that cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("{sink}")]
    Secret { sink: String, source: SecretError },
    #[error("{sink}: {problem}")]
    Wrong { sink: String, problem: String },
}

/// Why a message was not sent, without a word of any secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SendError {
    pub problem: String,
    /// Whether it may have arrived all the same.
    pub may_have_arrived: bool,
}

impl SendError {
    pub fn refused(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            may_have_arrived: false,
        }
    }

    pub fn unsure(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            may_have_arrived: true,
        }
    }
}

/// How a sink is reached.
#[derive(Debug)]
enum Channel {
    Sns(Topic),
    Webhook(Webhook),
    Command { argv: Vec<String>, limit: Duration },
}

/// A sink that is ready.
#[derive(Debug)]
pub struct Sink {
    pub(super) notify: Notify,
    channel: Channel,
}

/// The sinks of a run and the runtime on which they wait.
#[derive(Debug)]
pub struct Sinks {
    pub(super) sinks: Vec<Sink>,
    runtime: Handle,
}

impl Sinks {
    /// Makes the sinks ready: reads their secrets, and looks for credentials if one is a topic.
    ///
    /// `aws` says which profile is taken; its endpoint is that of S3, and left out here.
    pub fn open(
        notifies: Vec<Notify>,
        aws: &S3Options,
        runtime: Handle,
    ) -> Result<Self, SinkError> {
        let options = S3Options {
            endpoint_url: None,
            no_sign_request: false,
            ..aws.clone()
        };
        let mut targets = notifies.iter().map(|notify| &notify.target);
        let config = match targets.any(|target| matches!(target, Target::Sns { .. })) {
            true => runtime.block_on(crate::archive::aws_config(&options)),
            false => SdkConfig::builder().build(),
        };
        Self::open_with(notifies, &config, runtime)
    }

    /// Makes the sinks ready with a configuration that is already loaded.
    pub fn open_with(
        notifies: Vec<Notify>,
        config: &SdkConfig,
        runtime: Handle,
    ) -> Result<Self, SinkError> {
        let mut sinks = Vec::new();
        for notify in notifies {
            let channel = match &notify.target {
                Target::Sns { .. } => Channel::Sns(Topic::open(&notify, config)),
                Target::Webhook { .. } => Channel::Webhook(Webhook::open(&notify)?),
                Target::Command { argv } => Channel::Command {
                    argv: argv.clone(),
                    limit: notify.time_limit,
                },
            };
            sinks.push(Sink { notify, channel });
        }
        Ok(Self { sinks, runtime })
    }

    /// Sends a message; blocks until it has arrived or is given up.
    pub(super) fn send(&self, sink: &Sink, message: &Message) -> Result<(), SendError> {
        match &sink.channel {
            Channel::Sns(topic) => self.runtime.block_on(topic.publish(message)),
            Channel::Webhook(webhook) => self.runtime.block_on(webhook.post(message)),
            Channel::Command { argv, limit } => {
                command::run(argv, message.json().as_bytes(), *limit)
            }
        }
    }
}
