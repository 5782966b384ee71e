use calendar::Calendar;
use domain::{Delivery, DeliveryId, HoldReason, ProvinceCode, UnitCode, UnitRef};
use jiff::{Timestamp, civil::Date};
use routes::{Route, Step, UnitRule};
use territory::{Resolved, TWO_TIER_SINCE};

use crate::{Dossier, Held, Plan, Receipt, decide::Cause};

/// The deliveries of the steps that are due and not open yet.
///
/// # Errors
/// The first cause for which one of them cannot be opened; then none is.
pub(crate) fn due(
    dossier: &mut Dossier,
    plan: &Plan,
    cause: &Cause,
) -> Result<Vec<Delivery>, Held> {
    let Some(receipt) = &dossier.receipt else {
        return Ok(Vec::new());
    };
    let route = match &dossier.route {
        // A dossier keeps the version of the day of its receipt, whatever else now serves its code.
        Some(id) => plan.routes.route(id).ok_or_else(|| Held {
            reason: HoldReason::NoRoute,
            detail: format!("route `{id}`, which the dossier is on, is no longer configured"),
        })?,
        None => plan
            .routes
            .resolve(&receipt.procedure, vietnam_date(receipt.at))
            .map_err(|error| held(HoldReason::NoRoute, &error))?,
    };
    let succeeded = dossier.succeeded();
    let due: Vec<&Step> = route
        .opened_by(&succeeded)
        .filter(|step| !dossier.is_open(&step.id))
        .collect();
    let deliveries = if due.is_empty() {
        Vec::new()
    } else {
        let opening = Opening::new(dossier, receipt, route, plan, cause)?;
        due.into_iter()
            .map(|step| opening.open(step))
            .collect::<Result<_, _>>()?
    };
    dossier.route = Some(route.id.clone());
    Ok(deliveries)
}

/// What all steps that one event opens have in common.
struct Opening<'a> {
    dossier: &'a Dossier,
    receipt: &'a Receipt,
    route: &'a Route,
    plan: &'a Plan,
    cause: &'a Cause,
    unit: Resolved,
    dossier_due_at: Timestamp,
}

// === impl Opening ===

impl<'a> Opening<'a> {
    fn new(
        dossier: &'a Dossier,
        receipt: &'a Receipt,
        route: &'a Route,
        plan: &'a Plan,
        cause: &'a Cause,
    ) -> Result<Self, Held> {
        let unit = plan
            .territory
            .resolve(&receipt.unit.code, receipt.unit.valid_on)
            .map_err(|error| held(HoldReason::NoUnit, &error))?;
        let dossier_due_at = calendar(plan, route.calendar.as_str())?
            .deadline(receipt.at, &route.within, route.cut_off)
            .map_err(|error| held(HoldReason::NoCalendar, &error))?;
        Ok(Self {
            dossier,
            receipt,
            route,
            plan,
            cause,
            unit,
            dossier_due_at,
        })
    }

    /// The unit that does a step, or the province in its place.
    fn acting(&self, rule: UnitRule) -> (Option<UnitCode>, Option<ProvinceCode>) {
        match rule {
            // An event does not tell the two apart, as the rule's own words say.
            UnitRule::Competent | UnitRule::Receiving => (Some(self.unit.unit), None),
            UnitRule::Province => (None, Some(self.unit.province)),
        }
    }

    fn open(&self, step: &Step) -> Result<Delivery, Held> {
        let opened_at = self.dossier.opened_at(step);
        let opened_at = opened_at.unwrap_or(self.receipt.at);
        let (unit, province) = self.acting(step.unit);
        let binding = self
            .plan
            .routes
            .destination(
                &step.agency,
                unit,
                self.unit.province,
                vietnam_date(opened_at),
            )
            .map_err(|error| held(HoldReason::NoDestination, &error))?;
        let destination = &binding.destination;
        let cut_off = match step.cut_off {
            None if step.after.is_empty() => self.route.cut_off,
            own => own,
        };
        let due_at = calendar(self.plan, destination.calendar.as_str())?
            .deadline(opened_at, &step.within, cut_off)
            .map_err(|error| held(HoldReason::NoCalendar, &error))?;
        let receipt = self.receipt;
        Ok(Delivery {
            id: delivery_id(self.dossier, self.route, step),
            dossier: self.dossier.key.clone(),
            code: self.dossier.code.clone(),
            procedure: receipt.procedure.clone(),
            route: self.route.id.clone(),
            step: step.id.clone(),
            agency: destination.agency.clone(),
            destination: destination.id.clone(),
            unit: UnitRef {
                code: self.unit.unit,
                // The registry answers with a unit of the two-tier model, also for older receipts.
                valid_on: vietnam_date(receipt.at).max(TWO_TIER_SINCE),
            },
            province,
            classification: receipt.classification,
            received_at: receipt.at,
            opened_at,
            due_at,
            dossier_due_at: self.dossier_due_at,
            task: step.task.vi.clone(),
            product: step.product.vi.clone(),
            legal_basis: step.legal_basis.clone(),
            cause: (self.cause.source.clone(), self.cause.event.clone()),
            content_type: receipt.content_type.clone(),
            data: receipt.data.clone(),
        })
    }
}

/// The router delivers a step once.
pub(crate) fn delivery_id(dossier: &Dossier, route: &Route, step: &Step) -> DeliveryId {
    DeliveryId::derive(&dossier.key, &route.id, &step.id, 0)
}

fn calendar<'a>(plan: &'a Plan, id: &str) -> Result<&'a Calendar, Held> {
    let missing = || Held {
        reason: HoldReason::NoCalendar,
        detail: format!("calendar `{id}` is not configured"),
    };
    plan.calendars.get(id).ok_or_else(missing)
}

fn held(reason: HoldReason, error: &dyn std::error::Error) -> Held {
    Held {
        reason,
        detail: error.to_string(),
    }
}

/// The day in Viet Nam, UTC+7 all year.
fn vietnam_date(at: Timestamp) -> Date {
    jiff::tz::Offset::constant(7).to_datetime(at).date()
}
