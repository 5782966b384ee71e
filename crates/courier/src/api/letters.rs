//! Deliveries that wait for a person: dead letters, unknown outcomes, reviews.

use std::collections::BTreeMap;

use domain::{Action, DeliveryId, DossierKey};
use proto::v1;
use tonic::Status;

use super::wire::{
    count, dead_letter, filter, group, invalid, optional_destination, page_size, read_token,
    signature, token, unreadable,
};
use super::{Api, MOST_AT_ONCE};
use crate::dead;
use crate::groups::Groups;
use crate::stored::{Stored, Wait};
use crate::tables::State;

const MOST_GROUPS: usize = 1_000;

// === impl Api ===

impl Api {
    /// A page of those that wait so, and the token of the next one.
    pub(super) async fn page(
        &self,
        wait: Wait,
        destination: &str,
        size: u32,
        page_token: &str,
    ) -> Result<(Vec<v1::DeadLetter>, String), Status> {
        let destination = optional_destination(destination)?;
        let after = read_token(page_token)?;
        let size = page_size(size);
        let rows = Stored::waiting(&self.store, wait, destination.as_ref(), after, size)
            .await
            .map_err(|error| unreadable(&error))?;
        let last = rows.last().map(|row| row.entry.place);
        let next = last.filter(|_| rows.len() == size).map(token);
        let letters = rows.into_iter().map(dead_letter).collect();
        Ok((letters, next.unwrap_or_default()))
    }

    pub(super) async fn groups(
        &self,
        request: v1::ListDeadGroupsRequest,
    ) -> Result<v1::ListDeadGroupsResponse, Status> {
        let filter = filter(request.filter)?;
        let mut groups = Groups::default();
        dead::each(&self.store, &filter, |letters| {
            for one in letters {
                let (destination, class) = (&one.destination, &one.class);
                groups.add(one.id, destination, class, &one.detail, one.dead_at);
            }
            true
        })
        .await
        .map_err(|error| unreadable(&error))?;
        let groups = groups.largest(MOST_GROUPS);
        Ok(v1::ListDeadGroupsResponse {
            groups: groups.into_iter().map(group).collect(),
        })
    }

    pub(super) async fn redrive_each(
        &self,
        request: v1::RedriveRequest,
    ) -> Result<v1::RedriveResponse, Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let ids = delivery_ids(&request.deliveries)?;
        let dead = self.standing(&ids, State::Dead).await?;
        let mut refused = Vec::new();
        for row in dead.values() {
            let body = row.payload.clone().unwrap_or_default();
            let may_go = match proto::decode_delivery(body) {
                Ok(delivery) => self.gate.may_go(&delivery),
                Err(error) => Err(error.to_string()),
            };
            if let Err(reason) = may_go {
                refused.push(v1::Refusal {
                    delivery: row.entry.id.to_string(),
                    reason,
                });
            }
        }
        let order = |delivery, dossier| Action::Redrive {
            delivery,
            dossier,
            item: None,
        };
        self.order(actions(&dead, order)?, &by, &reason).await?;
        Ok(v1::RedriveResponse {
            redriven: u32::try_from(dead.len() - refused.len()).unwrap_or(u32::MAX),
            not_dead: missing(&ids, &dead),
            refused,
        })
    }

    pub(super) async fn discard_each(
        &self,
        request: v1::DiscardRequest,
    ) -> Result<v1::DiscardResponse, Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let ids = delivery_ids(&request.deliveries)?;
        let dead = self.standing(&ids, State::Dead).await?;
        let order = |delivery, dossier| Action::Discard { delivery, dossier };
        self.order(actions(&dead, order)?, &by, &reason).await?;
        Ok(v1::DiscardResponse {
            discarded: u32::try_from(dead.len()).unwrap_or(u32::MAX),
            not_dead: missing(&ids, &dead),
        })
    }

    pub(super) async fn settle_each(
        &self,
        request: v1::SettleRequest,
    ) -> Result<v1::SettleResponse, Status> {
        let (by, reason) = signature(&request.by, &request.reason)?;
        let ids = delivery_ids(&request.deliveries)?;
        let unknown = self.standing(&ids, State::Unknown).await?;
        let order = |delivery, dossier| Action::Settle {
            delivery,
            dossier,
            arrived: request.arrived,
        };
        self.order(actions(&unknown, order)?, &by, &reason).await?;
        Ok(v1::SettleResponse {
            settled: u32::try_from(unknown.len()).unwrap_or(u32::MAX),
            not_unknown: missing(&ids, &unknown),
        })
    }

    pub(super) async fn preview(
        &self,
        request: v1::PreviewRedriveRequest,
    ) -> Result<v1::PreviewRedriveResponse, Status> {
        const SAMPLE: usize = 10;
        const AT_ONCE: usize = 500;
        let letters = self.meant(&filter(request.filter)?).await?;
        let mut answer = v1::PreviewRedriveResponse {
            count: count(letters.len()),
            ..v1::PreviewRedriveResponse::default()
        };
        let mut destinations = BTreeMap::<String, u64>::new();
        for some in letters.chunks(AT_ONCE) {
            let places: Vec<_> = some.iter().map(|letter| letter.place).collect();
            let rows = Stored::at(&self.store, &places)
                .await
                .map_err(|error| unreadable(&error))?;
            for row in rows {
                *destinations.entry(row.destination.clone()).or_default() += 1;
                let body = row.payload.clone().unwrap_or_default();
                let may_go = match proto::decode_delivery(body) {
                    Ok(delivery) => self.gate.may_go(&delivery),
                    Err(error) => Err(error.to_string()),
                };
                if let Err(reason) = may_go {
                    answer.refused += 1;
                    if answer.refusals.len() < SAMPLE {
                        let delivery = row.entry.id.to_string();
                        answer.refusals.push(v1::Refusal { delivery, reason });
                    }
                }
                if answer.sample.len() < SAMPLE {
                    answer.sample.push(dead_letter(row));
                }
            }
        }
        let number = |(destination, count)| v1::DestinationCount { destination, count };
        answer.destinations = destinations.into_iter().map(number).collect();
        Ok(answer)
    }

    /// Those of the deliveries that stand so.
    async fn standing(
        &self,
        ids: &[DeliveryId],
        state: State,
    ) -> Result<BTreeMap<DeliveryId, Stored>, Status> {
        let rows = Stored::of_ids(&self.store, ids)
            .await
            .map_err(|error| unreadable(&error))?;
        let rows = rows.into_iter().filter(|row| row.state == state);
        Ok(rows.map(|row| (row.entry.id, row)).collect())
    }
}

fn delivery_ids(texts: &[String]) -> Result<Vec<DeliveryId>, Status> {
    if texts.is_empty() || texts.len() > MOST_AT_ONCE {
        let rule = format!("must be 1 to {MOST_AT_ONCE} ids");
        return Err(invalid("deliveries", rule));
    }
    let ids = texts.iter().map(|text| text.parse());
    ids.collect::<Result<_, _>>()
        .map_err(|error: domain::InvalidDeliveryId| invalid("deliveries", error))
}

fn actions(
    rows: &BTreeMap<DeliveryId, Stored>,
    action: impl Fn(DeliveryId, DossierKey) -> Action,
) -> Result<Vec<Action>, Status> {
    let damaged = |error: domain::InvalidId| Status::internal(error.to_string());
    let actions = rows.values().map(|row| {
        let dossier = row.dossier.parse().map_err(damaged)?;
        Ok(action(row.entry.id, dossier))
    });
    actions.collect()
}

fn missing(ids: &[DeliveryId], found: &BTreeMap<DeliveryId, Stored>) -> Vec<String> {
    let missing = ids.iter().filter(|id| !found.contains_key(id));
    missing.map(DeliveryId::to_string).collect()
}
