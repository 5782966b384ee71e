//! What every log must do, run on every log: one list of behaviours, three back ends.
//!
//! Kafka takes part when `LIENTHONG_TEST_BROKERS` names a broker; otherwise its tests say that they
//! were skipped.

#[path = "conformance/behaviours.rs"]
mod behaviours;
#[path = "conformance/embedded_only.rs"]
mod embedded_only;
#[path = "conformance/kafka_faults.rs"]
mod kafka_faults;
#[path = "conformance/kafka_only.rs"]
mod kafka_only;
#[path = "conformance/subject.rs"]
mod subject;

/// Makes one test per behaviour and back end.
macro_rules! conformance {
    ($($behaviour:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $behaviour() {
                super::behaviours::$behaviour(super::subject::Subject::memory()).await;
            })+
        }

        mod embedded {
            $(#[tokio::test]
            async fn $behaviour() {
                super::behaviours::$behaviour(super::subject::Subject::embedded().await).await;
            })+
        }

        mod kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                if let Some(subject) = super::subject::Subject::kafka(stringify!($behaviour)).await {
                    super::behaviours::$behaviour(subject).await;
                }
            })+
        }
    };
}

conformance![
    positions_rise_by_one,
    an_empty_append_is_nothing,
    records_come_back_as_they_were,
    a_record_that_is_too_large_is_refused_whole,
    order_is_kept_per_key,
    concurrent_appenders_do_not_disturb_one_another,
    a_reader_starts_at_any_offset,
    a_reader_keeps_to_its_limits,
    one_reader_follows_several_topics,
    a_waiting_reader_wakes,
    waiting_in_vain_gives_nothing,
    a_cancelled_wait_loses_nothing,
    bounds_tell_what_is_there,
    an_offset_that_is_not_there_is_refused,
    the_oldest_unread_record_tells_its_age,
    the_log_outlives_its_handle,
];
