//! What the lanes here are told of what another courier read.
//!
//! Rows of a partition become visible in the order of their places, for one courier at a time writes
//! them, and the group's offsets move in the same transaction: everything before an offset is there. So a
//! look reads the offsets, then the news, then the rows between the last look and these offsets. What
//! was ordered before a row came is told before the row.

use std::collections::BTreeMap;

use consumer::Start;
use domain::DestinationId;
use log::Topic;
use store::{ReadError, Store};

use super::{Fault, Reading};
use crate::engine::{Arrival, Input};
use crate::entry::Place;
use crate::fold::{GROUP, give_orders, ordered};
use crate::lanes::{Lanes, Told};
use crate::news::{self, Gap};
use crate::orders::Gate;
use crate::stored::Stored;
use crate::{tables, telemetry};

/// Reads for the lanes here.
pub(crate) struct Follow {
    lanes: Lanes,
    store: Store,
    gate: Gate,
    is_shared: bool,
}

type Found = BTreeMap<DestinationId, Vec<Input>>;

pub(super) const START: Place = Place {
    partition: -1,
    offset: -1,
};
const ROWS_AT_ONCE: usize = 500;

// === impl Follow ===

impl Follow {
    pub(crate) fn of(reading: &Reading) -> Self {
        Self {
            lanes: reading.lanes.clone(),
            store: reading.store.clone(),
            gate: reading.gate.clone(),
            is_shared: reading.is_shared,
        }
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Tells the lanes what has come since the last look. Without lanes there is nobody to tell.
    pub(crate) async fn look(&self) -> Result<Result<(), Gap>, ReadError> {
        let before = self.lanes.told();
        let mut now = Told {
            places: self.last_places().await?,
            news: before.news,
        };
        if !self.is_shared {
            self.lanes.tell(now, Vec::new());
            return Ok(Ok(()));
        }
        if !self.lanes.is_any_here() {
            now.news = news::last(&self.store).await?;
            self.lanes.tell(now, Vec::new());
            return Ok(Ok(()));
        }
        let lines = match news::after(&self.store, before.news).await? {
            Ok(lines) => lines,
            Err(gap) => {
                let last = news::last(&self.store).await?;
                self.lanes.news_told(last);
                return Ok(Err(gap));
            }
        };
        now.news = lines.last;
        let mut inputs = Vec::new();
        let places: Vec<Place> = lines.places.into_iter().collect();
        for places in places.chunks(ROWS_AT_ONCE) {
            for row in Stored::at(&self.store, places).await? {
                let destination = row.destination.parse().ok();
                inputs.extend(destination.zip(news::input(row)));
            }
        }
        let orders = if lines.orders {
            Some(ordered(&self.store).await?)
        } else {
            None
        };
        for (partition, last) in &now.places {
            let first = before.places.get(partition).copied().unwrap_or(-1);
            self.between(*partition, first, *last, &mut inputs).await?;
        }
        if let Some(orders) = orders {
            give_orders(orders, &self.lanes, &self.gate.destinations);
        }
        self.lanes.tell(now, inputs);
        Ok(Ok(()))
    }

    /// The last place of each partition whose row, if there is one, can be seen.
    async fn last_places(&self) -> Result<BTreeMap<i32, i64>, ReadError> {
        let offsets = self.store.offsets(GROUP).await?;
        let own = offsets
            .into_iter()
            .filter_map(|((topic, partition), next)| {
                (topic == Topic::Deliveries.label()).then_some((partition, next - 1))
            });
        Ok(own.collect())
    }

    async fn between(
        &self,
        partition: i32,
        first: i64,
        last: i64,
        inputs: &mut Vec<(DestinationId, Input)>,
    ) -> Result<(), ReadError> {
        let mut after = first;
        while after < last {
            let page = tables::undelivered_in(&self.store, partition, after, last).await?;
            let Some(end) = page.last() else {
                return Ok(());
            };
            after = end.entry.place.offset;
            for one in page {
                if let Ok(destination) = one.destination.parse::<DestinationId>() {
                    let heard = news::unheard(one);
                    inputs.extend(heard.map(|input| (destination.clone(), input)));
                }
            }
        }
        Ok(())
    }

    /// Everything that lanes which begin must know first: what was ordered, how an earlier owner left
    /// them, and what is undelivered as far as the others have been told, in the order of the log. What
    /// goes to destinations that the configuration does not have is given to the lanes that hold it.
    pub(crate) async fn undelivered<T>(
        &self,
        start: &Start,
        lanes: &BTreeMap<DestinationId, T>,
        told: &Told,
        for_nobody: bool,
    ) -> Result<Found, Fault> {
        let mut found = self.before(start, lanes).await?;
        let (mut after, mut loaded) = (START, 0);
        let mut tries = start.tries();
        loop {
            let read = tables::undelivered(&self.store, after).await;
            let read = tries.settle(read, ReadError::is_transient).await;
            let Some(page) = read.map_err(Fault::Read)? else {
                continue;
            };
            let Some(last) = page.last() else {
                break;
            };
            after = last.entry.place;
            for one in page {
                let Place { partition, offset } = one.entry.place;
                if told
                    .places
                    .get(&partition)
                    .is_none_or(|last| *last < offset)
                {
                    continue;
                }
                // Rows are written from valid ids only.
                let Ok(destination) = one.destination.parse::<DestinationId>() else {
                    continue;
                };
                if let Some(inputs) = found.get_mut(&destination) {
                    news::unheard(one).for_each(|input| push(inputs, input));
                } else if for_nobody && !self.lanes.knows(&destination) {
                    news::unheard(one).for_each(|input| self.lanes.give(&destination, input));
                } else {
                    continue;
                }
                loaded += 1;
            }
        }
        telemetry::loaded(loaded);
        Ok(found)
    }

    async fn before<T>(
        &self,
        start: &Start,
        lanes: &BTreeMap<DestinationId, T>,
    ) -> Result<Found, Fault> {
        let mut tries = start.tries();
        let (mut controls, sidelines) = loop {
            let read = ordered(&self.store).await;
            let read = tries.settle(read, ReadError::is_transient).await;
            if let Some((controls, rules)) = read.map_err(Fault::Read)? {
                break (controls, std::sync::Arc::new(rules.sidelines()));
            }
        };
        let kept = loop {
            let read = tables::kept(&self.store).await;
            let read = tries.settle(read, ReadError::is_transient).await;
            if let Some(kept) = read.map_err(Fault::Read)? {
                break kept;
            }
        };
        let mut found: Found = BTreeMap::new();
        for lane in lanes.keys() {
            let controls = controls.remove(lane).unwrap_or_default();
            let inputs = vec![
                Input::Controls(controls),
                Input::Sidelines(sidelines.clone()),
            ];
            found.insert(lane.clone(), inputs);
        }
        for (lane, kept) in kept {
            if let Some(inputs) = found.get_mut(&lane) {
                inputs.push(Input::Kept(kept));
            }
        }
        Ok(found)
    }
}

/// Arrivals one behind the other are one input.
fn push(inputs: &mut Vec<Input>, input: Input) {
    match (inputs.last_mut(), input) {
        (Some(Input::Arrived(arrivals)), Input::Arrived(more)) => {
            let more: Vec<Arrival> = more;
            arrivals.extend(more);
        }
        (_, input) => inputs.push(input),
    }
}
