use std::time::Duration;

use jiff::Timestamp;

use crate::InvalidField;

/// A point in time as the wire has it.
pub fn timestamp_to_wire(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// Reads a point in time; years outside 0001 to 9999 are refused.
pub fn timestamp_from_wire(
    field: &'static str,
    time: Option<prost_types::Timestamp>,
) -> Result<Timestamp, InvalidField> {
    let time = time.ok_or_else(|| InvalidField::missing(field))?;
    if !(0..1_000_000_000).contains(&time.nanos) {
        return Err(InvalidField::new(field, "nanos must be 0 to 999999999"));
    }
    Timestamp::new(time.seconds, time.nanos).map_err(|error| InvalidField::new(field, error))
}

/// A duration as the wire has it; longer ones than 292 thousand million years are cut.
pub fn duration_to_wire(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// Reads a duration; a negative one reads as zero.
pub fn duration_from_wire(duration: prost_types::Duration) -> Duration {
    let seconds = u64::try_from(duration.seconds).unwrap_or(0);
    Duration::new(
        seconds,
        u32::try_from(duration.nanos).unwrap_or(0).min(999_999_999),
    )
}
