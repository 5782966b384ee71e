//! What the orders of a batch amount to. Pure once everything that they name has been read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{Action, DeliveryId, DestinationId, JobId, Order, Outcome, OutcomeKind, RecordId};
use log::{Record, Topic};
use store::{Op, ReadError, Store, row};

use super::changes::{Changes, News, proved, settled, update, upsert};
use super::{Gate, Received, words};
use crate::controls::{self, Controls};
use crate::entry::{Entry, Millis};
use crate::jobs::{self, Item, ItemState, Job, JobState};
use crate::sidelines::Rules;
use crate::stored::Stored;
use crate::tables::{CONTROLS, DISCARDED, JOB_ITEMS, JOBS, ORDERS, REDRIVEN, State};
use crate::verdicts::outcome_record;

/// Everything that the orders of a batch name, changed by one order after the other.
pub(crate) struct Book {
    gate: Gate,
    deliveries: BTreeMap<DeliveryId, Stored>,
    controls: BTreeMap<DestinationId, Controls>,
    rules: Rules,
    rules_before: Rules,
    jobs: BTreeMap<JobId, Job>,
    items: BTreeMap<(JobId, u32), Item>,
    changes: Changes,
    news: News,
}

const DONE: &str = "done";
const NOTHING: &str = "changed nothing";
const NO_DELIVERY: &str = "no such delivery";

// === impl Book ===

impl Book {
    /// Reads everything that the orders name.
    pub(crate) async fn load(
        orders: &[Received],
        gate: Gate,
        store: &Store,
    ) -> Result<Self, ReadError> {
        let (mut deliveries, mut lanes) = (BTreeSet::new(), false);
        let (mut jobs, mut items, mut sidelines) = (BTreeSet::new(), BTreeSet::new(), false);
        for received in orders {
            let action = &received.order.action;
            deliveries.extend(action.delivery());
            match action {
                Action::Lane { .. } => lanes = true,
                Action::Sideline { .. } => sidelines = true,
                Action::Redrive { item, .. } => {
                    jobs.extend(item.iter().map(|(job, _)| job.clone()));
                    items.extend(item.clone());
                }
                Action::StartJob { job, .. }
                | Action::JobItems { job, .. }
                | Action::CancelJob { job } => {
                    jobs.insert(job.clone());
                }
                Action::Settle { .. } | Action::Prove { .. } | Action::Discard { .. } => {}
            }
        }
        let deliveries: Vec<DeliveryId> = deliveries.into_iter().collect();
        let rules = if sidelines {
            Rules::load(store).await?
        } else {
            Rules::default()
        };
        let controls = if lanes {
            controls::load(store).await?
        } else {
            BTreeMap::new()
        };
        let deliveries = Stored::of_ids(store, &deliveries).await?;
        let jobs = jobs::of_ids(store, jobs.iter()).await?;
        let items = jobs::items(store, items.iter()).await?;
        Ok(Self {
            gate,
            deliveries: deliveries
                .into_iter()
                .map(|row| (row.entry.id, row))
                .collect(),
            controls,
            rules_before: rules.clone(),
            rules,
            jobs: jobs.into_iter().map(|job| (job.id.clone(), job)).collect(),
            items: items
                .into_iter()
                .map(|(job, item)| ((job, item.number), item))
                .collect(),
            changes: Changes::default(),
            news: News::default(),
        })
    }

    /// Does what the order says, as far as it can be done, and notes it in the audit either way. The
    /// router orders something with every event of some agencies: what comes of that is told as an outcome.
    pub(crate) fn obey(&mut self, received: &Received) {
        let order = &received.order;
        if let Action::Prove { delivery, .. } = order.action {
            return self.prove(delivery, order);
        }
        let result = self.effect(received);
        self.changes.audit.push(row![
            order.id.as_bytes(),
            Millis::from(order.at).0,
            order.by.as_str(),
            words(&order.action),
            order.action.subject(),
            order.reason.as_str(),
            result,
        ]);
    }

    fn effect(&mut self, received: &Received) -> String {
        let order = &received.order;
        match &order.action {
            Action::Lane {
                destination,
                action,
            } => {
                let controls = self.controls.entry(destination.clone()).or_default();
                let changed = controls.obey(action, order);
                self.changes.controls.insert(destination.clone());
                self.news
                    .controls
                    .insert(destination.clone(), controls.clone());
                result(changed)
            }
            Action::Sideline { subject, rule } => {
                let rule = rule.map(|(way, until)| (way, until.into()));
                result(self.rules.obey(subject, rule, order))
            }
            Action::Redrive { delivery, item, .. } => match item {
                None => self.redrive(*delivery, received).1,
                Some(item) => self.redrive_item(item, *delivery, received),
            },
            Action::Settle {
                delivery, arrived, ..
            } => self.settle(*delivery, *arrived, received),
            // Not audited, see above.
            Action::Prove { .. } => String::new(),
            Action::Discard { delivery, .. } => self.discard(*delivery, received),
            Action::StartJob {
                job,
                rate,
                total,
                filter,
            } => {
                let started = Job {
                    id: job.clone(),
                    state: JobState::Gathering,
                    rate: rate.get(),
                    total: *total,
                    gathered: 0,
                    redriven: 0,
                    refused: 0,
                    passed_over: 0,
                    started_at: order.at.into(),
                    by: order.by.clone(),
                    reason: order.reason.clone(),
                    filter: filter.clone(),
                };
                self.start(started)
            }
            Action::JobItems {
                job,
                first,
                deliveries,
            } => self.gather(job, *first, deliveries),
            Action::CancelJob { job } => self.cancel(job),
        }
    }

    fn start(&mut self, job: Job) -> String {
        let id = job.id.clone();
        let is_new = !self.jobs.contains_key(&id);
        self.jobs.entry(id.clone()).or_insert(job);
        self.changes.jobs.insert(id);
        result(is_new)
    }

    fn cancel(&mut self, id: &JobId) -> String {
        match self.jobs.get_mut(id) {
            None => "no such job".to_owned(),
            Some(job) if job.is_open() => {
                job.state = JobState::Cancelled;
                self.changes.jobs.insert(id.clone());
                result(true)
            }
            Some(job) => format!("the job was {}", job.state.as_str()),
        }
    }

    /// Sends a dead letter on its way again; one that is none (any more) is left as it is.
    fn redrive(&mut self, id: DeliveryId, received: &Received) -> (ItemState, String) {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return (ItemState::PassedOver, NO_DELIVERY.to_owned());
        };
        if row.state != State::Dead {
            let state = row.state.as_str();
            return (ItemState::PassedOver, format!("no dead letter: {state}"));
        }
        let payload = row.payload.clone().unwrap_or_default();
        let delivery = match proto::decode_delivery(payload) {
            Ok(delivery) => delivery,
            Err(error) => return (ItemState::Refused, format!("cannot be read: {error}")),
        };
        if let Err(reason) = self.gate.may_go(&delivery) {
            return (ItemState::Refused, format!("refused: {reason}"));
        }
        row.state = State::Pending;
        let entry = again(row.entry);
        let place = entry.place;
        let pending = State::Pending as i32;
        let changed = row![place.partition, place.offset, pending, 0, 0];
        self.changes.redriven.push(changed);
        let destination = delivery.destination.clone();
        self.news.arrives(&destination, entry);
        *self.news.redriven.entry(destination).or_default() += 1;
        let reason = signed(&received.order);
        self.tell(
            received,
            delivery,
            "redriven",
            |delivery, step, destination| OutcomeKind::Redriven {
                delivery,
                step,
                destination,
                reason,
            },
        );
        (ItemState::Redriven, DONE.to_owned())
    }

    /// Works one item of a job off, unless the job has ended or the item was settled.
    fn redrive_item(
        &mut self,
        key: &(JobId, u32),
        delivery: DeliveryId,
        received: &Received,
    ) -> String {
        let state = match self.jobs.get(&key.0) {
            None => return "no such job".to_owned(),
            Some(job) => job.state,
        };
        if state != JobState::Running {
            return format!("the job was {}", state.as_str());
        }
        let is_waiting =
            |item: &&Item| item.state == ItemState::Waiting && item.delivery == delivery;
        if self.items.get(key).filter(is_waiting).is_none() {
            return "no waiting item of the job".to_owned();
        }
        let (state, result) = self.redrive(delivery, received);
        if let (Some(item), Some(job)) = (self.items.get_mut(key), self.jobs.get_mut(&key.0)) {
            item.state = state;
            job.settle(state);
        }
        self.changes.items.insert(key.clone());
        self.changes.jobs.insert(key.0.clone());
        result
    }

    fn settle(&mut self, id: DeliveryId, arrived: bool, received: &Received) -> String {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return NO_DELIVERY.to_owned();
        };
        if row.state != State::Unknown {
            return format!("the outcome was known: {}", row.state.as_str());
        }
        if let Some(proof) = row.proof.as_ref().filter(|_| !arrived) {
            return format!("it has arrived: {proof}");
        }
        let payload = row.payload.clone().unwrap_or_default();
        let delivery = match proto::decode_delivery(payload) {
            Ok(delivery) => delivery,
            Err(error) => return format!("cannot be read: {error}"),
        };
        let entry = row.entry;
        row.state = if arrived {
            State::Delivered
        } else {
            State::Pending
        };
        self.news.settled(entry);
        self.changes.settled.push(settled(entry, arrived));
        let reason = signed(&received.order);
        self.tell(
            received,
            delivery,
            "settled",
            |delivery, step, destination| OutcomeKind::Settled {
                delivery,
                step,
                destination,
                arrived,
                reason,
            },
        );
        DONE.to_owned()
    }

    /// One that nobody has tried, or whose outcome is known, stays as it is.
    fn prove(&mut self, id: DeliveryId, order: &Order) {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return;
        };
        let Ok(destination) = row.destination.parse() else {
            return;
        };
        if row.state.is_doubtful() && row.proof.is_none() {
            let proof = order.reason.as_str();
            row.proof = Some(proof.to_owned());
            self.changes.proved.push(proved(row.entry, proof));
            self.news.proved(&destination, row.entry, proof);
        }
    }

    fn discard(&mut self, id: DeliveryId, received: &Received) -> String {
        let Some(row) = self.deliveries.get_mut(&id) else {
            return NO_DELIVERY.to_owned();
        };
        if row.state != State::Dead {
            return format!("no dead letter: {}", row.state.as_str());
        }
        let payload = row.payload.clone().unwrap_or_default();
        row.state = State::Discarded;
        let entry = row.entry;
        let place = entry.place;
        let discarded = State::Discarded as i32;
        let changed = row![place.partition, place.offset, discarded];
        self.changes.discarded.push(changed);
        if let Ok(destination) = row.destination.parse() {
            self.news.gone(&destination, entry);
        }
        if let Ok(delivery) = proto::decode_delivery(payload) {
            let reason = signed(&received.order);
            self.tell(
                received,
                delivery,
                "discarded",
                |delivery, step, destination| OutcomeKind::Discarded {
                    delivery,
                    step,
                    destination,
                    reason,
                },
            );
        }
        DONE.to_owned()
    }

    /// Takes the next part of a job's set in. A part that came before, or too early, changes nothing.
    fn gather(&mut self, id: &JobId, first: u32, deliveries: &[DeliveryId]) -> String {
        let Some(job) = self.jobs.get_mut(id) else {
            return "no such job".to_owned();
        };
        if job.state != JobState::Gathering || job.gathered != first {
            return NOTHING.to_owned();
        }
        let mut number = first;
        for delivery in deliveries {
            let item = Item {
                number,
                delivery: *delivery,
                state: ItemState::Waiting,
            };
            self.items.insert((id.clone(), number), item);
            self.changes.items.insert((id.clone(), number));
            number = number.saturating_add(1);
        }
        job.gather(number - first);
        self.changes.jobs.insert(id.clone());
        DONE.to_owned()
    }

    fn tell(
        &mut self,
        received: &Received,
        delivery: domain::Delivery,
        word: &str,
        kind: impl FnOnce(DeliveryId, domain::StepId, DestinationId) -> OutcomeKind,
    ) {
        let cause = received.cause.to_string();
        self.changes.outcomes.push(Outcome {
            id: RecordId::of("outcome", &[&delivery.id.to_string(), word, &cause]),
            dossier: delivery.dossier,
            at: received.appended_at,
            kind: kind(delivery.id, delivery.step, delivery.destination),
        });
    }

    /// What is to be written and published, and what is to be told afterwards.
    pub(crate) fn close(self) -> (Vec<Op>, Vec<(Topic, Record)>, News) {
        let Self {
            changes,
            controls,
            rules,
            rules_before,
            jobs,
            items,
            ..
        } = self;
        let mut news = self.news;
        news.jobs_changed = !changes.jobs.is_empty();
        if rules != rules_before {
            news.sidelines = Some(Arc::new(rules.sidelines()));
        }
        let outcomes = changes.outcomes.into_iter();
        let outgoing = outcomes.map(|outcome| (Topic::Outcomes, outcome_record(outcome)));
        let outgoing = outgoing.collect();
        let mut ops = changes.settled;
        ops.extend(changes.proved);
        update(&mut ops, REDRIVEN, changes.redriven);
        update(&mut ops, DISCARDED, changes.discarded);
        let controls = changes.controls.iter().filter_map(|id| {
            let body = serde_json::to_string(controls.get(id)?).ok()?;
            Some(row![id.as_str(), body])
        });
        upsert(&mut ops, &CONTROLS, controls.collect());
        ops.extend(rules.ops(&rules_before));
        let jobs = changes.jobs.iter().filter_map(|id| jobs.get(id));
        upsert(&mut ops, &JOBS, jobs.map(Job::row).collect());
        let row = |key: &(JobId, u32)| Some(items.get(key)?.row(&key.0));
        let items = changes.items.iter().filter_map(row);
        upsert(&mut ops, &JOB_ITEMS, items.collect());
        ops.push(Op::Insert {
            table: &ORDERS,
            rows: changes.audit,
        });
        (ops, outgoing, news)
    }
}

fn again(entry: Entry) -> Entry {
    Entry {
        charged: 0,
        next_at: Millis::default(),
        doubtful: false,
        ..entry
    }
}

fn signed(order: &Order) -> String {
    format!("{}: {}", order.by, order.reason)
}

fn result(changed: bool) -> String {
    if changed { DONE } else { NOTHING }.to_owned()
}
