//! What every log must do.

use std::collections::BTreeMap;
use std::time::Duration;

use eventlog::{AppendError, Cursor, Limit, MAX_RECORD_BYTES, ReadError, Record, Stored, Topic};
use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::subject::{ALL, PATIENCE, Subject, number, read, record, whole};

pub(crate) async fn positions_rise_by_one(subject: Subject) {
    let first: Vec<_> = (0..5).map(|n| record("A", n)).collect();
    let second: Vec<_> = (5..8).map(|n| record("A", n)).collect();

    let mut positions = subject
        .log
        .append(Topic::Events, first)
        .await
        .expect("appended");
    positions.extend(
        subject
            .log
            .append(Topic::Events, second)
            .await
            .expect("appended"),
    );

    let partition = positions[0].partition;
    assert!(
        positions
            .iter()
            .all(|position| position.partition == partition)
    );
    let offsets: Vec<_> = positions.iter().map(|position| position.offset).collect();
    assert_eq!(offsets, (0..8).collect::<Vec<_>>());
}

pub(crate) async fn an_empty_append_is_nothing(subject: Subject) {
    assert_eq!(
        subject.log.append(Topic::Events, Vec::new()).await,
        Ok(Vec::new())
    );
    assert!(subject.everything(Topic::Events).await.is_empty());
}

pub(crate) async fn records_come_back_as_they_were(subject: Subject) {
    let records = vec![
        Record::default(),
        Record {
            key: "Thanh Hóa".into(),
            headers: vec![
                ("type".into(), "vn.example.received".into()),
                ("id".into(), "1".into()),
                ("datacontenttype".into(), "application/json".into()),
                ("ownextension".into(), "có dấu".into()),
                ("empty".into(), String::new()),
            ],
            value: vec![0, 255, 10, 13].into(),
        },
        Record {
            key: "B".into(),
            headers: Vec::new(),
            value: vec![7; 1_900_000].into(),
        },
    ];

    let positions = subject
        .log
        .append(Topic::Outcomes, records.clone())
        .await
        .expect("appended");

    let found = subject.everything(Topic::Outcomes).await;
    for (record, position) in records.iter().zip(&positions) {
        let same = found
            .iter()
            .find(|stored| stored.position == *position)
            .expect("is there");
        assert_eq!(same.record, *record);
        assert_eq!(same.topic, Topic::Outcomes);
    }
    assert_eq!(found.len(), records.len());
}

pub(crate) async fn a_record_that_is_too_large_is_refused_whole(subject: Subject) {
    let value = vec![0; MAX_RECORD_BYTES].into();
    let large = Record {
        key: "A".into(),
        headers: Vec::new(),
        value,
    };
    let size = large.size();

    let answer = subject
        .log
        .append(Topic::Events, vec![record("A", 1), large])
        .await;

    assert_eq!(answer, Err(AppendError::TooLarge { size }));
    assert!(subject.everything(Topic::Events).await.is_empty());

    let value = vec![0; MAX_RECORD_BYTES - 1].into();
    let largest = Record {
        key: "A".into(),
        headers: Vec::new(),
        value,
    };
    assert!(
        subject
            .log
            .append(Topic::Events, vec![largest])
            .await
            .is_ok()
    );
}

pub(crate) async fn order_is_kept_per_key(subject: Subject) {
    let keys: Vec<_> = (0..20).map(|key| format!("key-{key}")).collect();
    for start in (0..60).step_by(3) {
        let numbers = start..start + 3;
        let records = numbers
            .flat_map(|n| keys.iter().map(move |key| record(key, n)))
            .collect();
        subject
            .log
            .append(Topic::Events, records)
            .await
            .expect("appended");
    }

    let found = subject.everything(Topic::Events).await;

    let by_key = numbers_by_key(&found);
    assert_eq!(by_key.len(), keys.len());
    for (key, numbers) in by_key {
        assert_eq!(numbers, (0..60).collect::<Vec<_>>(), "order of {key}");
    }
    check_offsets_unbroken(&found);
}

pub(crate) async fn concurrent_appenders_do_not_disturb_one_another(subject: Subject) {
    let appender = |key: usize| {
        let log = subject.log.clone();
        async move {
            for start in (0..100).step_by(5) {
                let records = (start..start + 5)
                    .map(|n| record(&key.to_string(), n))
                    .collect();
                log.append(Topic::Deliveries, records)
                    .await
                    .expect("appended");
            }
        }
    };

    join_all((0..16).map(appender)).await;

    let found = subject.everything(Topic::Deliveries).await;
    assert_eq!(found.len(), 1600);
    for (key, numbers) in numbers_by_key(&found) {
        assert_eq!(
            numbers,
            (0..100).collect::<Vec<_>>(),
            "order of appender {key}"
        );
    }
    check_offsets_unbroken(&found);
}

pub(crate) async fn a_reader_starts_at_any_offset(subject: Subject) {
    let partition = fill(&subject, 7).await;
    let partition = fill(&subject, 5).await.max(partition);
    for offset in 0..12 {
        let cursor = Cursor {
            topic: Topic::Events,
            partition,
            offset,
        };
        let mut reader = subject.log.reader(vec![cursor]).await.expect("a reader");
        let found = read(&mut *reader, 12 - offset as usize).await;
        assert_eq!(found[0].position.offset, offset);
        check_offsets_unbroken(&found);
    }
}

pub(crate) async fn a_reader_keeps_to_its_limits(subject: Subject) {
    fill(&subject, 10).await;
    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    let size = record("A", 0).size();

    let by_count = Limit {
        records: 3,
        bytes: usize::MAX,
    };
    let mut found = reader.next(by_count, PATIENCE).await.expect("readable");
    assert!((1..=3).contains(&found.len()), "{} records", found.len());

    let by_bytes = Limit {
        records: 100,
        bytes: 2 * size,
    };
    let more = reader.next(by_bytes, PATIENCE).await.expect("readable");
    assert!((1..=2).contains(&more.len()), "{} records", more.len());
    found.extend(more);

    let tiny = Limit {
        records: 100,
        bytes: 1,
    };
    let one = reader.next(tiny, PATIENCE).await.expect("readable");
    assert_eq!(one.len(), 1);
    found.extend(one);

    let mut found: Vec<_> = found.into_iter().map(whole).collect();
    let rest = 10 - found.len();
    found.extend(read(&mut *reader, rest).await);
    check_offsets_unbroken(&found);
}

pub(crate) async fn one_reader_follows_several_topics(subject: Subject) {
    let mut cursors = Vec::new();
    for topic in [Topic::Events, Topic::Outcomes] {
        let bounds = subject.log.bounds(topic).await.expect("bounds");
        cursors.extend(bounds.iter().map(|bound| bound.start(topic)));
    }
    let mut reader = subject.log.reader(cursors).await.expect("a reader");
    for n in 0..20 {
        subject.append(Topic::Events, record("A", n)).await;
        subject.append(Topic::Deliveries, record("A", n)).await;
        subject.append(Topic::Outcomes, record("A", n)).await;
    }

    let found = read(&mut *reader, 40).await;

    for topic in [Topic::Events, Topic::Outcomes] {
        let own = found.iter().filter(|stored| stored.topic == topic);
        let numbers: Vec<_> = own.map(|stored| number(&stored.record)).collect();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>(), "{topic}");
    }
}

pub(crate) async fn a_waiting_reader_wakes(subject: Subject) {
    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    for n in 0..5 {
        let append = subject.append(Topic::Events, record("A", n));
        let (found, _) = tokio::join!(reader.next(ALL, PATIENCE), append);
        let found = found
            .expect("readable")
            .into_iter()
            .map(whole)
            .collect::<Vec<_>>();
        assert_eq!(
            found
                .iter()
                .map(|stored| number(&stored.record))
                .collect::<Vec<_>>(),
            [n]
        );
    }
}

pub(crate) async fn waiting_in_vain_gives_nothing(subject: Subject) {
    fill(&subject, 3).await;
    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    read(&mut *reader, 3).await;
    assert_eq!(reader.next(ALL, Duration::ZERO).await, Ok(Vec::new()));
    assert_eq!(
        reader.next(ALL, Duration::from_millis(20)).await,
        Ok(Vec::new())
    );
}

pub(crate) async fn a_cancelled_wait_loses_nothing(subject: Subject) {
    let mut reader = subject
        .log
        .reader_from_start(Topic::Events)
        .await
        .expect("a reader");
    let mut found = Vec::new();
    for n in 0..30 {
        // Begun, and dropped when it does not answer at once.
        if let Some(read) = reader.next(ALL, PATIENCE).now_or_never() {
            found.extend(read.expect("readable").into_iter().map(whole));
        }
        subject.append(Topic::Events, record("A", n)).await;
        let cut = reader.next(ALL, PATIENCE);
        tokio::select! {
            biased;
            read = cut => found.extend(read.expect("readable").into_iter().map(whole)),
            () = tokio::task::yield_now() => {}
        }
    }
    let rest = 30 - found.len();
    found.extend(read(&mut *reader, rest).await);

    let numbers: Vec<_> = found.iter().map(|stored| number(&stored.record)).collect();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
}

pub(crate) async fn bounds_tell_what_is_there(subject: Subject) {
    let empty = subject.log.bounds(Topic::Events).await.expect("bounds");
    assert!(!empty.is_empty());
    assert!(empty.iter().all(|bound| bound.first == 0 && bound.end == 0));

    let partition = fill(&subject, 4).await;

    let bounds = subject.log.bounds(Topic::Events).await.expect("bounds");
    let partitions: Vec<_> = bounds.iter().map(|bound| bound.partition).collect();
    assert_eq!(partitions, (0..bounds.len() as i32).collect::<Vec<_>>());
    for bound in bounds {
        assert_eq!(bound.first, 0);
        assert_eq!(bound.end, if bound.partition == partition { 4 } else { 0 });
    }
}

pub(crate) async fn an_offset_that_is_not_there_is_refused(subject: Subject) {
    let partition = fill(&subject, 4).await;
    for offset in [5, 1000] {
        let beyond = Cursor {
            topic: Topic::Events,
            partition,
            offset,
        };
        let refused = subject.log.reader(vec![beyond]).await.err();
        let topic = Topic::Events;
        assert_eq!(
            refused,
            Some(ReadError::Gone {
                topic,
                partition,
                offset,
                first: 0,
                end: 4
            })
        );
    }
}

pub(crate) async fn the_oldest_unread_record_tells_its_age(subject: Subject) {
    let partition = fill(&subject, 2).await;
    subject.time.advance(Duration::from_secs(60));
    fill(&subject, 1).await;
    let found = subject.everything(Topic::Events).await;
    assert!(found[0].appended_at <= found[2].appended_at);
    for stored in &found {
        let Stored {
            topic,
            position,
            appended_at,
            ..
        } = stored;
        let at = Cursor {
            topic: *topic,
            partition,
            offset: position.offset,
        };
        assert_eq!(subject.log.oldest_unread(at).await, Ok(Some(*appended_at)));
    }

    let end = Cursor {
        topic: Topic::Events,
        partition,
        offset: 3,
    };
    assert_eq!(subject.log.oldest_unread(end).await, Ok(None));
}

pub(crate) async fn the_log_outlives_its_handle(subject: Subject) {
    if subject.is_volatile() {
        return;
    }
    fill(&subject, 6).await;
    let before = subject.everything(Topic::Events).await;

    let subject = subject.reopened().await;

    assert_eq!(subject.everything(Topic::Events).await, before);
    let next = subject.append(Topic::Events, record("A", 6)).await;
    assert_eq!(next.offset, 6);
    assert_eq!(subject.everything(Topic::Events).await.len(), 7);
}

/// Appends so many records of one key to the events; answers with their partition.
async fn fill(subject: &Subject, count: usize) -> i32 {
    let records = (0..count).map(|n| record("A", n)).collect();
    let positions = subject
        .log
        .append(Topic::Events, records)
        .await
        .expect("appended");
    positions[0].partition
}

fn numbers_by_key(found: &[Stored]) -> BTreeMap<&str, Vec<usize>> {
    let mut by_key = BTreeMap::<_, Vec<_>>::new();
    for stored in found {
        by_key
            .entry(stored.record.key.as_str())
            .or_default()
            .push(number(&stored.record));
    }
    by_key
}

#[track_caller]
fn check_offsets_unbroken(found: &[Stored]) {
    let mut last = BTreeMap::new();
    for stored in found {
        let position = stored.position;
        if let Some(before) = last.insert(position.partition, position.offset) {
            assert_eq!(
                position.offset,
                before + 1,
                "partition {}",
                position.partition
            );
        }
    }
}
