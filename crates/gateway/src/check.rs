use std::time::Duration;

use domain::Event;
use jiff::{SignedDuration, Timestamp};
use proto::{InvalidField, v1};

/// More than all attributes of an event together, and what the route adds on its way.
const ENVELOPE: usize = 100_000;

/// Reads and checks one event as it came in.
pub(crate) fn check(
    wire: Option<v1::Event>,
    now: Timestamp,
    skew: Duration,
) -> Result<Event, InvalidField> {
    let wire = wire.ok_or(InvalidField {
        field: "event",
        reason: "is missing".to_owned(),
    })?;
    let event = Event::try_from(wire)?;
    let skew = SignedDuration::try_from(skew).unwrap_or(SignedDuration::ZERO);
    if event.time.duration_since(now) > skew {
        let reason = format!(
            "{} lies in the future; the gateway's clock shows {now}",
            event.time
        );
        return Err(InvalidField {
            field: "event.time",
            reason,
        });
    }
    // The log refuses a whole append for one record that is too large.
    let size = event.data.len() + ENVELOPE;
    if size > log::MAX_RECORD_BYTES {
        let most = log::MAX_RECORD_BYTES - ENVELOPE;
        return Err(InvalidField {
            field: "event.data",
            reason: format!("has {} bytes, at most {most} are taken", event.data.len()),
        });
    }
    Ok(event)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW: &str = "2026-09-21T02:00:00Z";

    pub(crate) fn wire(id: &str) -> v1::Event {
        v1::Event {
            id: id.to_owned(),
            source: "thanh-hoa-desk".to_owned(),
            r#type: "vn.lienthong.dossier.accepted.v1".to_owned(),
            time: Some(proto::timestamp_to_wire(NOW.parse().unwrap())),
            dossier: "d-1".to_owned(),
            procedure: "3.000722".to_owned(),
            unit: "14797".to_owned(),
            unit_valid_on: "2026-09-21".to_owned(),
            ..v1::Event::default()
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut v1::Event), field: &str) {
        let mut event = wire("e-1");
        change(&mut event);
        let now = NOW.parse().unwrap();
        let error = check(Some(event), now, Duration::from_secs(300)).unwrap_err();
        assert_eq!(error.field, field, "{error}");
    }

    #[test]
    fn a_whole_event_passes() {
        let now = NOW.parse().unwrap();
        assert!(check(Some(wire("e-1")), now, Duration::ZERO).is_ok());
    }

    #[test]
    fn each_bad_field_is_named() {
        refused(|e| e.id.clear(), "event.id");
        refused(|e| e.id = "x".repeat(129), "event.id");
        refused(|e| e.source = "Thanh Hóa".to_owned(), "event.source");
        refused(|e| e.r#type = "vanished".to_owned(), "event.type");
        refused(|e| e.time = None, "event.time");
        refused(|e| e.dossier.clear(), "event.dossier");
        refused(
            |e| e.dossier_code = "12345".to_owned(),
            "event.dossier_code",
        );
        refused(|e| e.procedure = "3.72".to_owned(), "event.procedure");
        refused(|e| e.unit = "999".to_owned(), "event.unit");
        refused(
            |e| e.unit_valid_on = "21/09/2026".to_owned(),
            "event.unit_valid_on",
        );
        refused(|e| e.step = "Residence Step".to_owned(), "event.step");
        refused(|e| e.classification = 99, "event.classification");
        refused(|e| e.content_type = "json".to_owned(), "event.content_type");
        refused(|e| e.traceparent = "??".to_owned(), "event.traceparent");
    }

    #[test]
    fn data_that_the_log_would_not_take_is_refused() {
        let data = |bytes: usize| move |e: &mut v1::Event| e.data = vec![0; bytes].into();
        let most = log::MAX_RECORD_BYTES - ENVELOPE;
        refused(data(most + 1), "event.data");
        let mut event = wire("e-1");
        data(most)(&mut event);
        assert!(check(Some(event), NOW.parse().unwrap(), Duration::ZERO).is_ok());
    }

    #[test]
    fn a_time_beyond_the_skew_is_refused() {
        let later = |seconds| {
            move |e: &mut v1::Event| {
                let time: Timestamp = NOW.parse().unwrap();
                let time = time + SignedDuration::from_secs(seconds);
                e.time = Some(proto::timestamp_to_wire(time));
            }
        };
        refused(later(301), "event.time");
        refused(
            |e| {
                e.time = Some(prost_types::Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                })
            },
            "event.time",
        );
        let mut event = wire("e-1");
        later(299)(&mut event);
        assert!(check(Some(event), NOW.parse().unwrap(), Duration::from_secs(300)).is_ok());
    }
}
