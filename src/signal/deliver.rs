//! Tells each sink what it has not been told, and writes into the book what came of it.

use serde::Serialize;

use super::Night;
use super::book::Book;
use super::entry::Progress;
use super::message::Message;
use super::sink::{Sink, Sinks};
use crate::lake::Store;

/// What came of telling a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    Sent,
    /// There was nothing that it has not been told.
    Nothing,
    /// It is told the next night.
    Failed,
}

impl DeliveryOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Nothing => "nothing",
            Self::Failed => "failed",
        }
    }
}

/// What a sink was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// Shows no secret.
    pub sink: String,
    pub outcome: DeliveryOutcome,
    /// Findings, losses of coverage and failures in the message.
    pub told: u64,
    /// Whether the message said that it may repeat an earlier one.
    pub may_repeat: bool,
    /// Why it failed, or what is to be known of a success.
    pub problem: Option<String>,
}

impl Delivery {
    fn nothing(sink: &Sink) -> Self {
        Self {
            sink: sink.notify.name.clone(),
            outcome: DeliveryOutcome::Nothing,
            told: 0,
            may_repeat: false,
            problem: None,
        }
    }

    fn of(sink: &Sink, message: &Message, outcome: DeliveryOutcome) -> Self {
        Self {
            outcome,
            told: message.count(),
            may_repeat: message.may_repeat,
            ..Self::nothing(sink)
        }
    }

    fn because(self, problem: String) -> Self {
        Self {
            problem: Some(problem),
            ..self
        }
    }
}

/// Tells the sinks of a night that the book has turned to, one message each, and stores the book: at
/// first as it is, then around each message.
///
/// A message is marked in the stored book before it is sent. So what a run that dies leaves in doubt
/// is sent once more, and said to be a possible repetition. Where the book cannot be stored, the sinks
/// are told of a failed run alone: that may be told twice rather than not at all.
pub fn deliver(book: &mut Book, store: &Store, sinks: &Sinks, night: &Night<'_>) -> Vec<Delivery> {
    for sink in &sinks.sinks {
        book.owe(&sink.notify.key, &sink.notify.wants);
    }
    keep(book, store);
    let mut deliveries = Vec::new();
    for sink in &sinks.sinks {
        let message = announce(book, store, sink, night);
        let Some((message, ids)) = message else {
            let is_owed = !book
                .pending(&sink.notify.key, &sink.notify.wants)
                .is_empty();
            deliveries.push(match (book.problem(), is_owed) {
                (Some(problem), true) => Delivery {
                    outcome: DeliveryOutcome::Failed,
                    ..Delivery::nothing(sink).because(problem.to_owned())
                },
                _ => Delivery::nothing(sink),
            });
            continue;
        };
        let sent = sinks.send(sink, &message);
        let key = &sink.notify.key;
        let delivery = match sent {
            Ok(()) => {
                for (id, _) in &ids {
                    book.mark(key, id, Progress::Sent);
                }
                Delivery::of(sink, &message, DeliveryOutcome::Sent)
            }
            Err(error) => {
                if !error.may_have_arrived {
                    for (id, before) in &ids {
                        book.mark(key, id, *before);
                    }
                }
                Delivery::of(sink, &message, DeliveryOutcome::Failed).because(error.problem)
            }
        };
        keep(book, store);
        deliveries.push(match (book.problem(), delivery.outcome) {
            (Some(problem), DeliveryOutcome::Sent) => delivery.because(problem.to_owned()),
            _ => delivery,
        });
    }
    deliveries
}

/// Stores the book; one that cannot be stored is detached.
fn keep(book: &mut Book, store: &Store) {
    if let Err(error) = book.store(store) {
        book.detach(format!("the book of findings is not stored: {error}"));
    }
}

/// The message to a sink, once the book that says that it is being sent is stored.
fn announce(
    book: &mut Book,
    store: &Store,
    sink: &Sink,
    night: &Night<'_>,
) -> Option<(Message, Vec<(String, Progress)>)> {
    let (message, ids) = Message::to(&sink.notify, book, night)?;
    for (id, _) in &ids {
        book.mark(&sink.notify.key, id, Progress::Sending);
    }
    keep(book, store);
    match book.problem() {
        Some(_) => Message::to(&sink.notify, book, night),
        None => Some((message, ids)),
    }
}
