use std::collections::BTreeMap;

use calendar::{Calendar, WorkingTime};
use domain::DestinationId;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::{Kind, ReadError, Store};

use crate::entry::Millis;
use crate::lane::{Counts, Hold, Lane, Line};
use crate::tables::State;

/// How a lane stands, as it is shown.
#[derive(Clone, Debug)]
pub(crate) struct LaneView {
    pub(crate) destination: DestinationId,
    pub(crate) counts: Counts,
    /// When the oldest delivery that has not arrived was opened, dead letters included.
    pub(crate) oldest: Option<Millis>,
    /// Working time since then.
    pub(crate) lag: WorkingTime,
    /// How many may be in flight now.
    pub(crate) limit: usize,
    /// Why it gives nothing, if deliveries wait.
    pub(crate) hold: Option<HoldView>,
}

/// Why a lane gives nothing.
#[derive(Clone, Debug)]
pub(crate) struct HoldView {
    /// The short word.
    pub(crate) word: &'static str,
    /// In words, with the destination's own times.
    pub(crate) reason: String,
    /// When it ends or is looked at again.
    pub(crate) until: Option<Timestamp>,
    /// Whether the lane rests as a whole.
    pub(crate) is_rest: bool,
}

/// What has not arrived, by destination, as the store has it: of those under way it does not tell.
pub(crate) async fn waiting(
    store: &Store,
) -> Result<BTreeMap<String, (Counts, Option<Millis>)>, ReadError> {
    let sql = "select destination, state, cast(count(*) as bigint), min(opened_at) \
         from courier_deliveries where state <> 1 and state <> 4 group by destination, state";
    let kinds = &[Kind::Text, Kind::Int, Kind::Int, Kind::Int];
    let mut found: BTreeMap<String, (Counts, Option<Millis>)> = BTreeMap::new();
    for row in store.query(sql, [], kinds).await? {
        let (counts, oldest) = found.entry(row.text(0)?.to_owned()).or_default();
        let number = usize::try_from(row.int(2)?).unwrap_or(usize::MAX);
        match State::from_row(row.int(1)?) {
            State::Dead => counts.dead += number,
            State::Unknown => counts.unknown += number,
            State::Pending | State::Claimed | State::Delivered | State::Discarded => {
                counts.queued += number;
            }
        }
        let opened_at = Millis(row.int(3)?);
        *oldest = Some(oldest.map_or(opened_at, |oldest| oldest.min(opened_at)));
    }
    Ok(found)
}

// === impl LaneView ===

impl LaneView {
    /// How that lane stands now.
    pub(crate) fn of(lane: &Lane, destination: &DestinationId, now: Millis) -> Self {
        let calendar = lane.calendar();
        let oldest = lane.line().oldest();
        let lag = oldest.map(|oldest| calendar.budget(oldest.timestamp(), now.timestamp()));
        Self {
            destination: destination.clone(),
            counts: lane.line().counts(),
            oldest,
            lag: lag.unwrap_or_default(),
            limit: lane.limit(),
            hold: lane
                .hold(now)
                .map(|hold| HoldView::of(&hold, Some(calendar))),
        }
    }

    /// How a queue stands that has no destination, for a reason. Its lag is not counted.
    pub(crate) fn held(line: &Line, destination: &DestinationId, reason: &str) -> Self {
        let reason = reason.to_owned();
        Self {
            destination: destination.clone(),
            counts: line.counts(),
            oldest: line.oldest(),
            lag: WorkingTime::ZERO,
            limit: 0,
            hold: Some(HoldView::of(&Hold::Paused { reason }, None)),
        }
    }

    /// How a lane stands that another courier has, as far as the store tells. Its lag is not counted.
    pub(crate) fn elsewhere(
        destination: &DestinationId,
        owner: Option<&str>,
        counts: Counts,
        oldest: Option<Millis>,
    ) -> Self {
        let reason = match owner {
            Some(owner) => format!("held by {owner}"),
            None => "held by no courier; the next one to look takes it".to_owned(),
        };
        Self {
            counts,
            oldest,
            hold: Some(HoldView {
                word: "elsewhere",
                reason,
                until: None,
                is_rest: false,
            }),
            ..Self::gone(destination)
        }
    }

    /// Of a lane that does not answer: it waits until its verdicts are written.
    pub(crate) fn silent(destination: &DestinationId) -> Self {
        Self {
            hold: Some(HoldView {
                word: "verdicts",
                reason:
                    "waits until its verdicts are written: see the store and the outcomes topic"
                        .to_owned(),
                until: None,
                is_rest: false,
            }),
            ..Self::gone(destination)
        }
    }

    /// Of a lane that is at work here no more.
    pub(crate) fn gone(destination: &DestinationId) -> Self {
        Self {
            destination: destination.clone(),
            counts: Counts::default(),
            oldest: None,
            lag: WorkingTime::ZERO,
            limit: 0,
            hold: None,
        }
    }

    /// Whether the lane rests as a whole.
    pub(crate) fn rests(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.is_rest)
    }

    /// For `/status`.
    pub(crate) fn to_json(&self) -> Value {
        let hold = self.hold.as_ref();
        json!({
            "destination": self.destination.as_str(),
            "queued": self.counts.queued,
            "in_flight": self.counts.in_flight,
            "waiting": self.counts.delayed + self.counts.behind,
            "unknown": self.counts.unknown,
            "dead": self.counts.dead,
            "oldest_at": self.oldest.map(|at| at.timestamp().to_string()),
            "lag_working_seconds": self.lag.as_seconds(),
            "limit": self.limit,
            "hold": hold.map(|hold| hold.word),
            "hold_reason": hold.map(|hold| hold.reason.as_str()),
            "hold_until": hold.and_then(|hold| hold.until).map(|at| at.to_string()),
            "resting": hold.filter(|hold| hold.is_rest).map(|hold| hold.reason.as_str()),
        })
    }
}

// === impl HoldView ===

impl HoldView {
    fn of(hold: &Hold, calendar: Option<&Calendar>) -> Self {
        Self {
            word: hold.word(),
            reason: hold.words(calendar).to_string(),
            until: hold.until().map(Millis::timestamp),
            is_rest: hold.is_rest(),
        }
    }
}
