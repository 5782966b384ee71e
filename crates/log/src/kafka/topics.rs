//! Makes topics that are missing: the pipeline's own, and those that others are given.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::client::{Client, Context, MAX_MESSAGE_BYTES};
use super::meta::Meta;
use crate::config::Kafka;
use crate::error::OpenError;
use crate::record::Topic;

/// How often the brokers are asked whether they know a new topic.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes what is missing, and learns how many partitions each topic has.
pub(super) async fn prepare(
    client: &Client,
    meta: &Arc<Meta>,
    config: &Kafka,
) -> Result<(), OpenError> {
    let deadline = Instant::now() + config.open_timeout;
    let unreachable = || OpenError::Unreachable {
        brokers: config.brokers.clone(),
    };
    let known = Arc::clone(meta);
    let wait = config.open_timeout;
    let missing = tokio::task::spawn_blocking(move || known.learn(wait)).await;
    let missing = missing
        .map_err(|_| unreachable())?
        .map_err(|_| unreachable())?;
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|topic| client.name(*topic)).collect();
    create(client, config, &names).await?;

    let known = Arc::clone(meta);
    let learnt = tokio::task::spawn_blocking(move || await_topics(&known, deadline)).await;
    match learnt {
        Ok(None) => Ok(()),
        Ok(Some(topic)) => Err(without_leader(client.name(topic).to_owned())),
        Err(_) => Err(unreachable()),
    }
}

/// Deletes all topics; one that is not there is no fault.
pub(super) async fn discard(client: &Client, config: &Kafka) -> Result<(), OpenError> {
    let admin: Result<AdminClient<Context>, _> =
        client.config().create_with_context(Context::new("admin"));
    let admin = admin.map_err(|error| OpenError::Setting {
        reason: error.to_string(),
    })?;
    let refused = |topic: &str, reason: String| OpenError::Topic {
        topic: topic.to_owned(),
        reason,
    };
    let names = Topic::ALL.map(|topic| client.name(topic));
    let options = AdminOptions::new().operation_timeout(Some(config.open_timeout));
    let deleted = admin.delete_topics(&names, &options).await;
    let deleted = deleted.map_err(|error| refused(names[0], error.to_string()))?;
    for result in deleted {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => return Err(refused(&topic, code.to_string())),
        }
    }
    Ok(())
}

/// Makes what is missing of topics that are none of the pipeline's own, with the settings of its own.
pub(super) async fn prepare_named(
    client: &Client,
    meta: &Arc<Meta>,
    config: &Kafka,
    names: Vec<String>,
) -> Result<(), OpenError> {
    let deadline = Instant::now() + config.open_timeout;
    if let Some(own) = names.iter().find(|name| client.topic(name).is_some()) {
        let topic = own.clone();
        return Err(OpenError::OwnTopic { topic });
    }
    let missing = missing_of(meta, names, config).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let made: Vec<_> = missing.iter().map(String::as_str).collect();
    create(client, config, &made).await?;
    let mut missing = missing;
    while !missing.is_empty() {
        if Instant::now() >= deadline {
            return Err(without_leader(missing.remove(0)));
        }
        tokio::time::sleep(PAUSE).await;
        missing = missing_of(meta, missing, config).await?;
    }
    Ok(())
}

async fn missing_of(
    meta: &Arc<Meta>,
    mut names: Vec<String>,
    config: &Kafka,
) -> Result<Vec<String>, OpenError> {
    let (known, wait) = (Arc::clone(meta), config.open_timeout);
    let asked = tokio::task::spawn_blocking(move || {
        let mut failed = false;
        names.retain(|name| match known.partitions_of(name, wait) {
            Ok(count) => count.is_none(),
            Err(_) => {
                failed = true;
                true
            }
        });
        (!failed).then_some(names)
    });
    let unreachable = || OpenError::Unreachable {
        brokers: config.brokers.clone(),
    };
    asked.await.ok().flatten().ok_or_else(unreachable)
}

fn without_leader(topic: String) -> OpenError {
    OpenError::Topic {
        topic,
        reason: "it was made, but has no leader yet".into(),
    }
}

async fn create(client: &Client, config: &Kafka, missing: &[&str]) -> Result<(), OpenError> {
    let refused = |topic: &str, reason: String| OpenError::Topic {
        topic: topic.to_owned(),
        reason,
    };
    let context = Context::new("admin");
    let admin: Result<AdminClient<Context>, _> = client.config().create_with_context(context);
    let admin = admin.map_err(|error| OpenError::Setting {
        reason: error.to_string(),
    })?;
    let retention = config.retention.as_millis().to_string();
    let in_sync = (config.replication - 1).max(1).to_string();
    let copies = i32::from(config.replication);
    let topics: Vec<_> = missing
        .iter()
        .map(|topic| {
            NewTopic::new(topic, config.partitions, TopicReplication::Fixed(copies))
                .set("cleanup.policy", "delete")
                .set("retention.ms", &retention)
                .set("min.insync.replicas", &in_sync)
                .set("unclean.leader.election.enable", "false")
                .set("message.timestamp.type", "LogAppendTime")
                .set("max.message.bytes", MAX_MESSAGE_BYTES)
        })
        .collect();
    let options = AdminOptions::new()
        .operation_timeout(Some(config.open_timeout))
        .request_timeout(Some(config.open_timeout));
    let made = admin.create_topics(&topics, &options).await;
    let made = made.map_err(|error| refused(missing[0], error.to_string()))?;
    for (topic, result) in missing.iter().zip(made) {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(refused(topic, code.to_string())),
        }
    }
    Ok(())
}

/// Waits until every topic is known with its leaders; answers with one that is not.
fn await_topics(meta: &Meta, deadline: Instant) -> Option<Topic> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let missing = meta
            .learn(left.max(PAUSE))
            .unwrap_or_else(|_| Topic::ALL.to_vec());
        if missing.is_empty() || left.is_zero() {
            return missing.first().copied();
        }
        std::thread::sleep(PAUSE);
    }
}
