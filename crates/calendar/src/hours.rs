//! The opening spans of one day.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Time;

/// Seconds of a day.
pub(crate) const DAY: u32 = 24 * 60 * 60;

/// One day's opening spans, for example `07:30-11:30, 13:00-17:00`; a closed day has none (`off`).
///
/// Spans are in order, do not overlap and are not empty. A span includes its opening and excludes
/// its closing instant. The last may close at `24:00`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hours {
    spans: Box<[Span]>,
}

/// Why opening spans are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHours {
    /// The text is not of the form that [`Hours`] shows.
    #[error("`{0}` is not a span like `07:30-11:30`")]
    NotASpan(String),
    /// A span closes before or when it opens.
    #[error("the span {0} closes no later than it opens")]
    Empty(String),
    /// A span opens before the one in front of it has closed.
    #[error("the span {0} begins before the span in front of it ends")]
    OutOfOrder(String),
}

/// Seconds since midnight, `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Span {
    from: u32,
    to: u32,
}

// === impl Hours ===

impl Hours {
    /// The hours of a day on which the office does not open.
    pub fn closed() -> Self {
        Self::default()
    }

    /// Checks and keeps spans of (opening, closing). Closing at 00:00 means the end of the day.
    pub fn new(spans: impl IntoIterator<Item = (Time, Time)>) -> Result<Self, InvalidHours> {
        let end = |time| {
            if time == Time::midnight() {
                DAY
            } else {
                second_of(time)
            }
        };
        Self::checked(spans.into_iter().map(|(from, to)| Span {
            from: second_of(from),
            to: end(to),
        }))
    }

    /// Whether the office does not open at all.
    pub fn is_closed(&self) -> bool {
        self.spans.is_empty()
    }

    fn checked(spans: impl Iterator<Item = Span>) -> Result<Self, InvalidHours> {
        let spans: Box<[Span]> = spans.collect();
        if let Some(empty) = spans.iter().find(|span| span.to <= span.from) {
            return Err(InvalidHours::Empty(empty.to_string()));
        }
        if let Some(pair) = spans.windows(2).find(|pair| pair[1].from < pair[0].to) {
            return Err(InvalidHours::OutOfOrder(pair[1].to_string()));
        }
        Ok(Self { spans })
    }

    /// The open seconds of the whole day.
    pub(crate) fn total(&self) -> i64 {
        self.before(DAY)
    }

    /// The open seconds before this second of the day.
    pub(crate) fn before(&self, second: u32) -> i64 {
        let open = |span: &Span| i64::from(second.clamp(span.from, span.to) - span.from);
        self.spans.iter().map(open).sum()
    }

    /// Whether this second of the day is in a span.
    pub(crate) fn contains(&self, second: u32) -> bool {
        self.spans
            .iter()
            .any(|span| (span.from..span.to).contains(&second))
    }

    /// The first second of the day before which `worked` open seconds lie; `1..=total`.
    pub(crate) fn earliest(&self, worked: i64) -> Option<u32> {
        self.find(worked, |left, length| left <= length)
    }

    /// The last second of the day before which no more than `worked` open seconds lie; `0..total`.
    pub(crate) fn latest(&self, worked: i64) -> Option<u32> {
        self.find(worked, |left, length| left < length)
    }

    fn find(&self, worked: i64, fits: impl Fn(u32, u32) -> bool) -> Option<u32> {
        let mut left = u32::try_from(worked).ok()?;
        for span in &self.spans {
            let length = span.to - span.from;
            if fits(left, length) {
                return Some(span.from + left);
            }
            left -= length;
        }
        None
    }

    /// The second of the day at which the office closes for the last time.
    pub(crate) fn closing(&self) -> Option<u32> {
        self.spans.last().map(|span| span.to)
    }
}

/// `off`, or spans separated by commas.
impl FromStr for Hours {
    type Err = InvalidHours;

    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        if text.trim() == "off" {
            return Ok(Self::closed());
        }
        let spans = text
            .split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<Vec<_>, _>>();
        Self::checked(spans?.into_iter())
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_closed() {
            return f.pad("off");
        }
        let spans: Vec<_> = self.spans.iter().map(Span::to_string).collect();
        f.pad(&spans.join(", "))
    }
}

// === impl Span ===

impl FromStr for Span {
    type Err = InvalidHours;

    fn from_str(text: &str) -> Result<Self, InvalidHours> {
        let ends = || {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (second_of(clock(from.trim())?), to.trim());
            Some(Self {
                from,
                to: if to == "24:00" {
                    DAY
                } else {
                    second_of(clock(to)?)
                },
            })
        };
        ends().ok_or_else(|| InvalidHours::NotASpan(text.to_owned()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = |second: u32| {
            let (hour, minute, odd) = (second / 3600, second / 60 % 60, second % 60);
            if odd == 0 {
                format!("{hour:02}:{minute:02}")
            } else {
                format!("{hour:02}:{minute:02}:{odd:02}")
            }
        };
        write!(f, "{}-{}", clock(self.from), clock(self.to))
    }
}

/// A time of day, `HH:MM` or `HH:MM:SS`, and nothing looser.
pub(crate) fn clock(text: &str) -> Option<Time> {
    let shape = |b: (usize, &u8)| {
        if b.0 % 3 == 2 {
            *b.1 == b':'
        } else {
            b.1.is_ascii_digit()
        }
    };
    if !matches!(text.len(), 5 | 8) || !text.bytes().enumerate().all(|(i, b)| shape((i, &b))) {
        return None;
    }
    text.parse().ok()
}

fn second_of(time: Time) -> u32 {
    let part = |n: i8| u32::from(n.unsigned_abs());
    part(time.hour()) * 3600 + part(time.minute()) * 60 + part(time.second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, total: i64) {
        let hours: Hours = text.parse().unwrap();
        assert_eq!((hours.to_string().as_str(), hours.total()), (text, total));
    }

    #[test]
    fn hours_are_read_as_they_are_shown() {
        check("off", 0);
        check("07:30-11:30, 13:00-17:00", 8 * 3600);
        check("07:00-11:30, 13:30-17:00", 8 * 3600);
        check("00:00-24:00", 24 * 3600);
        check("07:30:30-07:31", 30);
    }

    #[test]
    fn a_bad_span_is_named() {
        let error = |text: &str| text.parse::<Hours>().unwrap_err().to_string();
        assert_eq!(error("7-11"), "`7-11` is not a span like `07:30-11:30`");
        assert_eq!(
            error("07:30-25:00"),
            "`07:30-25:00` is not a span like `07:30-11:30`"
        );
        assert_eq!(error(""), "`` is not a span like `07:30-11:30`");
        assert_eq!(
            error("11:30-07:30"),
            "the span 11:30-07:30 closes no later than it opens"
        );
        assert_eq!(
            error("08:00-08:00"),
            "the span 08:00-08:00 closes no later than it opens"
        );
        assert_eq!(
            error("07:30-11:30, 11:00-17:00"),
            "the span 11:00-17:00 begins before the span in front of it ends"
        );
    }

    #[test]
    fn a_span_holds_its_opening_and_not_its_closing_instant() {
        let hours: Hours = "08:00-12:00, 13:00-17:00".parse().unwrap();
        let at = |hour: u32| hours.contains(hour * 3600);
        assert_eq!(
            [7, 8, 11, 12, 13, 16, 17].map(at),
            [false, true, true, false, true, true, false]
        );
        assert_eq!(hours.earliest(4 * 3600), Some(12 * 3600));
        assert_eq!(hours.latest(4 * 3600), Some(13 * 3600));
        assert_eq!(
            (hours.earliest(8 * 3600 + 1), hours.latest(8 * 3600)),
            (None, None)
        );
    }

    #[test]
    fn a_closing_time_of_midnight_is_the_end_of_the_day() {
        let hours = Hours::new([(Time::constant(18, 0, 0, 0), Time::midnight())]).unwrap();
        assert_eq!(hours.to_string(), "18:00-24:00");
    }
}
