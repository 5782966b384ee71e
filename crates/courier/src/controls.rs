//! What operators ordered of a lane.

use std::collections::BTreeMap;

use domain::{DestinationId, LaneAction, Note, Order};
use serde::{Deserialize, Serialize};
use store::{Kind, ReadError, Store};

use crate::entry::Millis;

/// What holds of a lane by order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Controls {
    pub(crate) paused: Option<Paused>,
    /// At most so many in flight.
    pub(crate) limit: Option<u32>,
    /// By their beginning, which no two share.
    pub(crate) windows: Vec<Window>,
    /// When an operator last asked for a probe.
    pub(crate) probe_asked: Option<Millis>,
}

/// Who paused a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paused {
    pub(crate) since: Millis,
    pub(crate) by: Note,
    pub(crate) reason: Note,
}

/// When the destination will be away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) from: Millis,
    /// Outside.
    pub(crate) to: Millis,
    pub(crate) reason: Note,
}

/// What was ordered of every lane.
pub(crate) async fn load(store: &Store) -> Result<BTreeMap<DestinationId, Controls>, ReadError> {
    let sql = "select destination, body from courier_controls";
    let rows = store.query(sql, [], &[Kind::Text, Kind::Text]).await?;
    let mut all = BTreeMap::new();
    for row in rows {
        // Rows are written from whole controls only.
        if let (Ok(destination), Ok(controls)) =
            (row.text(0)?.parse(), serde_json::from_str(row.text(1)?))
        {
            all.insert(destination, controls);
        }
    }
    Ok(all)
}

// === impl Controls ===

impl Controls {
    /// Does what the order says; windows that have ended are dropped. Tells whether anything changed.
    pub(crate) fn obey(&mut self, action: &LaneAction, order: &Order) -> bool {
        let before = self.clone();
        let at = Millis::from(order.at);
        self.windows.retain(|window| window.to > at);
        match *action {
            LaneAction::Pause => {
                self.paused.get_or_insert_with(|| Paused {
                    since: at,
                    by: order.by.clone(),
                    reason: order.reason.clone(),
                });
            }
            LaneAction::Resume => self.paused = None,
            LaneAction::Probe => self.probe_asked = self.probe_asked.max(Some(at)),
            LaneAction::Limit(limit) => self.limit = limit.map(std::num::NonZeroU32::get),
            LaneAction::Window { from, to } => self.announce(
                Window {
                    from: from.into(),
                    to: to.into(),
                    reason: order.reason.clone(),
                },
                at,
            ),
            LaneAction::CancelWindow { from } => {
                self.windows
                    .retain(|window| window.from != Millis::from(from));
            }
        }
        *self != before
    }

    /// One that begins where another does replaces it.
    fn announce(&mut self, window: Window, at: Millis) {
        self.windows.retain(|known| known.from != window.from);
        if window.to > at {
            self.windows.push(window);
            self.windows.sort_by_key(|window| window.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{Action, RecordId};
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn order(second: i64, action: LaneAction) -> Order {
        Order {
            id: RecordId::of("order", &[&second.to_string()]),
            at: at(second),
            by: "Người Trực".parse().unwrap(),
            reason: format!("reason {second}").parse().unwrap(),
            action: Action::Lane {
                destination: "justice".parse().unwrap(),
                action,
            },
        }
    }

    fn after(orders: &[(i64, LaneAction)]) -> Controls {
        let mut controls = Controls::default();
        for (second, action) in orders {
            controls.obey(action, &order(*second, *action));
        }
        controls
    }

    fn action() -> impl Strategy<Value = LaneAction> {
        prop_oneof![
            Just(LaneAction::Pause),
            Just(LaneAction::Resume),
            Just(LaneAction::Probe),
            (0..3_u32).prop_map(|n| LaneAction::Limit(std::num::NonZeroU32::new(n))),
            (0..8_i64, 1..8_i64).prop_map(|(from, length)| LaneAction::Window {
                from: at(from),
                to: at(from + length),
            }),
            (0..8_i64).prop_map(|from| LaneAction::CancelWindow { from: at(from) }),
        ]
    }

    proptest! {
        #[test]
        fn an_order_given_twice_is_an_order_given_once(
            orders in prop::collection::vec((0..12_i64, action()), 0..12),
            last in (0..12_i64, action()),
        ) {
            let mut controls = after(&orders);
            let order = order(last.0, last.1);
            controls.obey(&last.1, &order);
            let once = controls.clone();
            prop_assert!(!controls.obey(&last.1, &order));
            prop_assert_eq!(&controls, &once);
            let text = serde_json::to_string(&controls).unwrap();
            prop_assert_eq!(serde_json::from_str::<Controls>(&text).unwrap(), controls);
        }
    }

    #[test]
    fn a_second_pause_keeps_the_first_ones_name_and_time() {
        let controls = after(&[(1, LaneAction::Pause), (5, LaneAction::Pause)]);
        let paused = controls.paused.unwrap();
        assert_eq!(
            (paused.since, paused.reason.as_str()),
            (Millis(1_000), "reason 1")
        );
        let ends = [(1, LaneAction::Pause), (5, LaneAction::Resume)];
        assert_eq!(after(&ends), Controls::default());
    }

    #[test]
    fn windows_stand_by_their_beginning_until_they_end() {
        let window = |from, to| LaneAction::Window {
            from: at(from),
            to: at(to),
        };
        let froms = |orders: &[(i64, LaneAction)]| {
            let windows = after(orders).windows.into_iter();
            windows
                .map(|w| (w.from.0 / 1_000, w.to.0 / 1_000))
                .collect::<Vec<_>>()
        };
        let both = [(1, window(30, 40)), (2, window(10, 20))];
        assert_eq!(froms(&both), [(10, 20), (30, 40)]);
        assert_eq!(
            froms(&[both[0], both[1], (3, window(10, 50))]),
            [(10, 50), (30, 40)]
        );
        assert_eq!(
            froms(&[both[0], both[1], (20, LaneAction::Pause)]),
            [(30, 40)]
        );
        let cancel = LaneAction::CancelWindow { from: at(30) };
        assert_eq!(froms(&[both[0], both[1], (3, cancel)]), [(10, 20)]);
    }
}
