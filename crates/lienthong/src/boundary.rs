//! Whether a dead letter may still go where it was meant to go, by the routes of today.

use domain::{Classification, Delivery};
use jiff::{civil::Date, tz::Offset};
use router::Plan;
use routes::{BoundaryPolicy, Provinces, Serves};
use runtime::Clock;

/// What the courier asks before it sends a dead letter again: the route still knows the step, the agency
/// behind the destination is still the same, and the destination still serves the unit today. Where the
/// work must not leave the competent unit, it must also be the one that today's work of that unit goes to.
pub fn of(plan: &Plan, clock: Clock) -> courier::Boundary {
    let plan = plan.clone();
    courier::Boundary::new(move |delivery| {
        let today = Offset::constant(7).to_datetime(clock.now()).date();
        may_go(&plan, delivery, today)
    })
}

fn may_go(plan: &Plan, delivery: &Delivery, today: Date) -> Result<(), String> {
    let routes = &plan.routes;
    let Delivery {
        route: id, step, ..
    } = delivery;
    let route = routes.route(id).ok_or_else(|| format!("no route `{id}`"))?;
    let step = route
        .step(step)
        .ok_or_else(|| format!("route `{id}` has no step `{step}`"))?;
    let unit = &delivery.unit;
    let (unit, province) = match delivery.province {
        Some(province) => (None, province),
        None => {
            let resolved = plan.territory.resolve(&unit.code, unit.valid_on);
            let resolved = resolved.map_err(|error| error.to_string())?;
            (Some(resolved.unit), resolved.province)
        }
    };
    let binding = routes
        .destination(&step.agency, unit, province, today)
        .map_err(|error| error.to_string())?;
    let named = &delivery.destination;
    let is_bound = &binding.destination.id == named;
    let stays = route.boundary.policy == BoundaryPolicy::Strict
        || delivery.classification == Classification::Confidential;
    if stays && !is_bound {
        let now = &binding.destination.id;
        return Err(format!(
            "the work must not leave the competent unit, and goes to `{now}` today, not to `{named}`"
        ));
    }
    let reaches = |serves: &Serves| {
        let by_province = match &serves.provinces {
            Provinces::All => true,
            Provinces::Only(codes) => codes.contains(&province),
        };
        by_province || unit.is_some_and(|unit| serves.units.contains(&unit))
    };
    let serves = routes.bindings().any(|binding| {
        binding.destination.id == *named
            && binding.role == step.agency
            && binding.destination.agency == delivery.agency
            && binding.valid.contains(today)
            && reaches(&binding.serves)
    });
    if serves {
        Ok(())
    } else {
        let agency = &delivery.agency;
        Err(format!(
            "`{named}` does not serve agency `{agency}` there today"
        ))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use domain::{DeliveryId, UnitRef};
    use jiff::civil::date;

    use super::*;
    use crate::settings::Settings;

    fn plan() -> Plan {
        let settings = Settings::load(None).unwrap();
        crate::plan::load(&settings.routes).unwrap()
    }

    /// The delivery of the first step of a route of the samples, to wherever it goes on that day.
    fn delivery(plan: &Plan, on: Date) -> Delivery {
        let route = plan.routes.routes().next().unwrap();
        let step = &route.steps[0];
        let unit = UnitRef {
            code: "14797".parse().unwrap(),
            valid_on: on,
        };
        let resolved = plan.territory.resolve(&unit.code, on).unwrap();
        let binding = plan
            .routes
            .destination(&step.agency, Some(resolved.unit), resolved.province, on)
            .unwrap();
        let dossier = "d-1".parse().unwrap();
        let at = jiff::Timestamp::UNIX_EPOCH;
        Delivery {
            id: DeliveryId::derive(&dossier, &route.id, &step.id, 0),
            dossier,
            code: None,
            procedure: route.procedures[0].clone(),
            route: route.id.clone(),
            step: step.id.clone(),
            agency: binding.destination.agency.clone(),
            destination: binding.destination.id.clone(),
            unit,
            province: None,
            classification: Classification::Internal,
            received_at: at,
            opened_at: at,
            due_at: at,
            dossier_due_at: at,
            task: String::new(),
            product: String::new(),
            legal_basis: String::new(),
            cause: ("desk".parse().unwrap(), "e-1".parse().unwrap()),
            content_type: String::new(),
            data: Bytes::new(),
        }
    }

    #[test]
    fn a_delivery_may_go_where_the_routes_of_today_send_it_and_nowhere_else() {
        let (plan, today) = (plan(), date(2026, 11, 20));
        let good = delivery(&plan, today);
        assert_eq!(may_go(&plan, &good, today), Ok(()));
        let refused = |changed: Delivery, why: &str| {
            let reason = may_go(&plan, &changed, today).unwrap_err();
            assert!(reason.contains(why), "{reason}");
        };
        let route = "gone@2020-01-01".parse().unwrap();
        refused(
            Delivery {
                route,
                ..good.clone()
            },
            "no route `gone@2020-01-01`",
        );
        let step = "gone".parse().unwrap();
        refused(
            Delivery {
                step,
                ..good.clone()
            },
            "has no step `gone`",
        );
        let destination = "gone".parse().unwrap();
        let moved = Delivery {
            destination,
            classification: Classification::Internal,
            ..good.clone()
        };
        refused(moved.clone(), "`gone`");
        let confidential = Delivery {
            classification: Classification::Confidential,
            ..moved
        };
        refused(confidential, "must not leave the competent unit");
        let agency = "another".parse().unwrap();
        refused(
            Delivery { agency, ..good },
            "does not serve agency `another`",
        );
    }
}
