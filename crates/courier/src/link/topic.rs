use bytes::Bytes;
use domain::AttemptClass;
use log::{AppendError, Log, Record};

use super::Job;
use super::calls::{Call, impossible};
use crate::answer::Answer;

/// One record per delivery in the destination's own topic; the same record that the deliveries topic has.
pub(crate) struct Append {
    topic: String,
    log: Log,
}

// === impl Append ===

impl Append {
    pub(crate) fn new(topic: &str, log: Log) -> Self {
        Self {
            topic: topic.to_owned(),
            log,
        }
    }

    fn unwritten(&self, error: &AppendError) -> Answer {
        let class = match error {
            AppendError::TooLarge { .. } => AttemptClass::Permanent,
            AppendError::NotWritten { .. } | AppendError::Fatal { .. } => AttemptClass::Retryable,
            AppendError::Unknown { .. } => AttemptClass::Timeout,
        };
        Answer::new(class, format!("topic {}: {error}", self.topic))
    }
}

impl Call for Append {
    async fn call(&self, job: Job) -> Answer {
        let record = match record(job.body) {
            Ok(record) => record,
            Err(error) => {
                return impossible(format!("the stored delivery cannot be read: {error}"));
            }
        };
        match self.log.append_named(&self.topic, vec![record]).await {
            Ok(positions) => {
                let place = positions.first().map_or_else(String::new, |position| {
                    format!(" at {}/{}", position.partition, position.offset)
                });
                let detail = format!("in topic {}{place}", self.topic);
                Answer::new(AttemptClass::Accepted, detail)
            }
            Err(error) => self.unwritten(&error),
        }
    }
}

/// The attributes are made anew, the message goes as it is stored.
fn record(body: Bytes) -> Result<Record, proto::InvalidField> {
    let delivery = proto::decode_delivery(body.clone())?;
    let dossier = delivery.dossier.clone();
    let (attributes, _) = proto::encode_delivery(delivery);
    Ok(consumer::record(&dossier, attributes, body))
}
