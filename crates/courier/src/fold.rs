//! Reads the deliveries topic: new deliveries into the store and the lanes, orders of operators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use consumer::{Decision, Fold, Fresh, Unreadable};
use domain::{Delivery, DestinationId};
use log::Topic;
use proto::DELIVERY_TYPE;
use runtime::Tasks;
use store::{Op, ReadError, Row, Store};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::controls::{self, Controls};
use crate::crew::Reading;
use crate::engine::{Arrival, Input};
use crate::entry::{Millis, Place};
use crate::lanes::Lanes;
use crate::news;
use crate::orders::{Book, Gate, News, Received};
use crate::payload::{Budget, Payload, Resting};
use crate::sidelines::{Rules, Sidelines};
use crate::stored::Stored;
use crate::tables::{DELIVERIES, State, new_entry, new_row};
use crate::telemetry;
use crate::verdicts::Flow;

/// The consumer group.
pub(crate) const GROUP: &str = "courier";

const LATER: Duration = Duration::from_secs(2);

/// Folds the deliveries topic.
pub(crate) struct Deliveries {
    lanes: Lanes,
    budget: Budget,
    resting: Resting,
    store: Store,
    tasks: Tasks,
    gate: Gate,
    flow: Flow,
    /// Told when a job began or ended.
    jobs: Arc<Notify>,
    /// Whether other couriers have lanes too.
    is_shared: bool,
    /// The number of the last news that the decision writes.
    last_news: Option<i64>,
    /// What goes to the lanes once the decision is durable.
    arriving: BTreeMap<DestinationId, Vec<Arrival>>,
    news: News,
}

// === impl Deliveries ===

impl Deliveries {
    pub(crate) fn new(reading: &Reading, jobs: Arc<Notify>) -> Self {
        Self {
            lanes: reading.lanes.clone(),
            budget: reading.budget.clone(),
            resting: reading.resting.clone(),
            store: reading.store.clone(),
            tasks: reading.tasks.clone(),
            gate: reading.gate.clone(),
            flow: reading.flow.clone(),
            jobs,
            is_shared: reading.is_shared,
            last_news: None,
            arriving: BTreeMap::new(),
            news: News::default(),
        }
    }

    /// The row of a new delivery, or why there is none.
    fn delivery(&mut self, fresh: &Fresh) -> Result<Row, String> {
        let stored = &fresh.stored;
        let body = stored.record.value.clone();
        let delivery = proto::decode_delivery(body.clone()).map_err(|error| error.to_string())?;
        let place = Place {
            partition: stored.position.partition,
            offset: stored.position.offset,
        };
        let appended_at = Millis::from(stored.appended_at);
        let payload = Payload::cached(&self.budget, &body, &delivery, appended_at);
        let (payload, stored) = match payload {
            Some(payload) if self.may_go_soon(&delivery) => (Some(payload.unstored()), None),
            payload => (payload, Some(body)),
        };
        let row = new_row(place, &delivery, appended_at, stored);
        let arrival = Arrival {
            entry: new_entry(place, &delivery),
            payload,
        };
        self.arriving
            .entry(delivery.destination)
            .or_default()
            .push(arrival);
        Ok(row)
    }

    /// Whether its payload is likely not to be needed again: see [`crate::payload`].
    fn may_go_soon(&self, delivery: &Delivery) -> bool {
        let lane = &delivery.destination;
        !self.is_shared && self.gate.destinations.contains(lane) && !self.resting.contains(lane)
    }

    async fn obey(
        &mut self,
        orders: &[Received],
        store: &Store,
        decision: &mut Decision,
    ) -> Result<(), ReadError> {
        let mut book = Book::load(orders, self.gate.clone(), store).await?;
        orders.iter().for_each(|order| book.obey(order));
        let (ops, outgoing, news) = book.close();
        decision.ops.extend(ops);
        decision.outgoing.extend(outgoing);
        if self.is_shared {
            let (ops, last) = news::ops(&news, news::last(store).await?);
            decision.ops.extend(ops);
            self.last_news = Some(last);
        }
        self.news = news;
        Ok(())
    }

    /// What all lanes are to know holds for those of the configuration: the others hold everything anyway.
    fn tell_lanes(
        &self,
        controls: BTreeMap<DestinationId, Controls>,
        sidelines: Option<&Arc<Sidelines>>,
    ) {
        for (destination, controls) in controls {
            if self.gate.destinations.contains(&destination) {
                self.lanes.give(&destination, Input::Controls(controls));
            }
        }
        for destination in self.gate.destinations.iter() {
            if let Some(sidelines) = sidelines {
                self.lanes
                    .give(destination, Input::Sidelines(sidelines.clone()));
            }
        }
    }

    /// The lane may have settled one at the same time: what the row says then is what holds.
    fn tell_settled(&self, places: Vec<Place>) {
        if places.is_empty() {
            return;
        }
        let (store, lanes, stop) = (
            self.store.clone(),
            self.lanes.clone(),
            self.tasks.stop_token(),
        );
        self.tasks.spawn_brief(async move {
            let look = give_changed(&store, &lanes, &places);
            stop.run_until_cancelled(look).await;
        });
    }

    /// The answer to a commit may have been lost although it landed; then nobody reads these records
    /// again, and the lanes would hear of them at the next start only.
    fn look_again(&mut self) {
        let news = std::mem::take(&mut self.news);
        let arriving = std::mem::take(&mut self.arriving);
        let arrivals = arriving.into_values().chain(news.arriving.into_values());
        let by_place = |arrival: Arrival| (arrival.entry.place, arrival.payload);
        let arrivals: BTreeMap<Place, _> = arrivals.flatten().map(by_place).collect();
        let changed = news.places;
        let has_orders = !news.controls.is_empty() || news.sidelines.is_some();
        if arrivals.is_empty() && changed.is_empty() && !has_orders {
            return;
        }
        let (store, lanes, stop) = (
            self.store.clone(),
            self.lanes.clone(),
            self.tasks.stop_token(),
        );
        let destinations = self.gate.destinations.clone();
        self.tasks.spawn_brief(async move {
            let look = async {
                sleep(LATER).await;
                give_pending(&store, &lanes, arrivals).await;
                give_changed(&store, &lanes, &changed).await;
                if has_orders && let Some(orders) = again(|| ordered(&store)).await {
                    give_orders(orders, &lanes, &destinations);
                }
            };
            stop.run_until_cancelled(look).await;
        });
    }

    fn forget(&mut self) {
        self.arriving.clear();
        self.news = News::default();
        self.last_news = None;
    }
}

impl Fold for Deliveries {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Deliveries]
    }

    async fn decide(&mut self, batch: &[Fresh], store: &Store) -> Result<Decision, ReadError> {
        self.forget();
        self.flow.free(&self.tasks.stop_token()).await;
        let mut decision = Decision::default();
        let (mut rows, mut orders) = (Vec::new(), Vec::new());
        for fresh in batch {
            if fresh.conflict {
                telemetry::conflict(&fresh.id);
                continue;
            }
            let record = &fresh.stored.record;
            let read = match record.header("type") {
                Some(DELIVERY_TYPE) => self.delivery(fresh).map(|row| rows.push(row)),
                Some(kind) if proto::is_order(kind) => order(fresh).map(|order| orders.push(order)),
                other => Err(format!("unknown type `{}`", other.unwrap_or_default())),
            };
            if let Err(reason) = read {
                decision
                    .unreadable
                    .push(Unreadable::of(&fresh.stored, reason));
            }
        }
        if !rows.is_empty() {
            decision.ops.push(Op::Insert {
                table: &DELIVERIES,
                rows,
            });
        }
        if !orders.is_empty() {
            self.obey(&orders, store, &mut decision).await?;
        }
        Ok(decision)
    }

    fn committed(&mut self) {
        self.lanes.arrived(std::mem::take(&mut self.arriving));
        if let Some(last) = self.last_news.take() {
            self.lanes.news_told(last);
        }
        let news = std::mem::take(&mut self.news);
        // Before anything is sent that an order keeps from being sent.
        self.tell_lanes(news.controls, news.sidelines.as_ref());
        for (destination, discarded) in news.discarded {
            self.lanes.give(&destination, Input::Discarded(discarded));
        }
        self.tell_settled(news.settled);
        for (destination, proved) in news.proved {
            self.lanes.give(&destination, Input::Proved(proved));
        }
        for (destination, arrivals) in news.arriving {
            self.lanes.give(&destination, Input::Arrived(arrivals));
        }
        for (destination, number) in news.redriven {
            telemetry::redriven(destination.as_str(), number);
        }
        if news.jobs_changed {
            self.jobs.notify_one();
        }
    }

    fn rolled_back(&mut self) {
        self.look_again();
    }
}

/// Gives the lanes those of the places that are there and pending; lanes know what they have.
async fn give_pending(
    store: &Store,
    lanes: &Lanes,
    mut payloads: BTreeMap<Place, Option<Payload>>,
) {
    let places: Vec<Place> = payloads.keys().copied().collect();
    let rows = again(|| Stored::at(store, &places)).await;
    let rows = rows.unwrap_or_default().into_iter();
    for row in rows.filter(|row| row.state == State::Pending) {
        if let Ok(destination) = row.destination.parse() {
            let arrival = Arrival {
                entry: row.entry,
                payload: payloads.remove(&row.entry.place).flatten(),
            };
            lanes.give(&destination, Input::Arrived(vec![arrival]));
        }
    }
}

/// Tells the lanes how the deliveries of these places stand by now.
async fn give_changed(store: &Store, lanes: &Lanes, places: &[Place]) {
    let rows = again(move || Stored::at(store, places)).await;
    for row in rows.unwrap_or_default() {
        let destination = row.destination.parse().ok();
        if let Some((destination, input)) = destination.zip(news::input(row)) {
            lanes.give(&destination, input);
        }
    }
}

/// What operators ordered that still holds.
pub(crate) async fn ordered(
    store: &Store,
) -> Result<(BTreeMap<DestinationId, Controls>, Rules), ReadError> {
    Ok((controls::load(store).await?, Rules::load(store).await?))
}

/// Gives it to the lanes of the configuration.
pub(crate) fn give_orders(
    (mut controls, rules): (BTreeMap<DestinationId, Controls>, Rules),
    lanes: &Lanes,
    destinations: &BTreeSet<DestinationId>,
) {
    let sidelines = Arc::new(rules.sidelines());
    for destination in destinations {
        let controls = controls.remove(destination).unwrap_or_default();
        lanes.give(destination, Input::Controls(controls));
        lanes.give(destination, Input::Sidelines(sidelines.clone()));
    }
}

/// What the store answers, as soon as it does; nothing if it never will: then the consumer meets the same
/// error and ends the process.
async fn again<T, F>(read: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, ReadError>>,
{
    loop {
        match read().await {
            Ok(found) => return Some(found),
            Err(error) if error.is_transient() => sleep(LATER).await,
            Err(_) => return None,
        }
    }
}

fn order(fresh: &Fresh) -> Result<Received, String> {
    let record = &fresh.stored.record;
    let order = proto::decode_order(|name| record.header(name), &record.value);
    Ok(Received {
        order: order.map_err(|error| error.to_string())?,
        cause: fresh.id,
        appended_at: fresh.stored.appended_at,
    })
}
