//! Copies offsets to Kafka's groups, where lag tools look. Nothing depends on it.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;

use super::client::{Client, Context};
use crate::record::{Cursor, Topic};
use crate::telemetry;

/// Offsets are copied at most this often.
const PACE: Duration = Duration::from_millis(500);

/// A handle on the thread that copies; it ends when the handle is gone.
pub(super) struct Groups(Arc<Shared>);

#[derive(Default)]
struct Shared {
    noted: Mutex<Noted>,
    changed: Condvar,
}

#[derive(Default)]
struct Noted {
    offsets: HashMap<String, HashMap<(Topic, i32), i64>>,
    closed: bool,
}

// === impl Groups ===

impl Groups {
    pub(super) fn start(client: Client) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("log-groups".into())
            .spawn(move || run(&client, &own))?;
        Ok(Self(shared))
    }

    /// Notes offsets; newer ones replace those that were not copied yet.
    pub(super) fn note(&self, group: &str, cursors: &[Cursor]) {
        let mut noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let offsets = match noted.offsets.get_mut(group) {
            Some(offsets) => offsets,
            None => noted.offsets.entry(group.to_owned()).or_default(),
        };
        offsets.extend(
            cursors
                .iter()
                .map(|at| ((at.topic, at.partition), at.offset)),
        );
        drop(noted);
        self.0.changed.notify_one();
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.0
            .noted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.0.changed.notify_one();
    }
}

fn run(client: &Client, shared: &Shared) {
    let mut consumers = HashMap::new();
    loop {
        let noted = shared.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |noted: &mut Noted| noted.offsets.is_empty() && !noted.closed;
        let woken = shared.changed.wait_while(noted, idle);
        let mut noted = woken.unwrap_or_else(PoisonError::into_inner);
        let offsets = std::mem::take(&mut noted.offsets);
        let closed = noted.closed;
        drop(noted);

        for (group, offsets) in offsets {
            let cursors = offsets
                .into_iter()
                .map(|((topic, partition), offset)| Cursor {
                    topic,
                    partition,
                    offset,
                });
            let copied = copy(client, &mut consumers, &group, &cursors.collect::<Vec<_>>());
            if let Err(error) = copied {
                telemetry::group_not_copied(&group, &error.to_string());
            }
        }
        if closed {
            return;
        }
        thread::sleep(PACE);
    }
}

fn copy(
    client: &Client,
    consumers: &mut HashMap<String, BaseConsumer<Context>>,
    group: &str,
    cursors: &[Cursor],
) -> KafkaResult<()> {
    if !consumers.contains_key(group) {
        let mut config = client.consumer_config();
        config.set("group.id", group);
        let consumer = config.create_with_context(Context::new("group"))?;
        consumers.insert(group.to_owned(), consumer);
    }
    let consumer = &consumers[group];
    consumer.poll(Duration::ZERO);
    consumer.commit(&client.list(cursors)?, CommitMode::Sync)
}
