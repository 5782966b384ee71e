//! Whatever the order of arrival.

use std::collections::BTreeMap;

use domain::{Delivery, DeliveryId, Event, Status, StepId};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::world::{World, accepted, status};

/// Everything that is told of a birth bundle that goes well.
pub(crate) fn results() -> Vec<Event> {
    [
        ("civil-status", "2026-09-21T10:00:00+07:00"),
        ("residence", "2026-09-22T10:00:00+07:00"),
        ("health-card", "2026-09-22T09:00:00+07:00"),
        ("identity-card", "2026-09-24T09:00:00+07:00"),
    ]
    .into_iter()
    .flat_map(|(step, time)| {
        let begun = status(step, Status::InProcess, "2026-09-21T09:30:00+07:00");
        [begun, status(step, Status::Processed, time)]
    })
    .chain([accepted()])
    .collect()
}

fn opened(deliveries: &[Delivery]) -> BTreeMap<StepId, (DeliveryId, Timestamp, Timestamp)> {
    let opened = deliveries.iter().map(|one| {
        let what = (one.id, one.opened_at, one.due_at);
        (one.step.clone(), what)
    });
    opened.collect()
}

proptest! {
    #[test]
    fn every_order_opens_each_step_once_with_the_same_id_and_deadline(
        order in Just(results()).prop_shuffle()
    ) {
        let mut world = World::new();
        for event in &order {
            world.tell(event);
        }
        let mut expected = World::new();
        let mut straight = results();
        straight.sort_by_key(|event| event.time);
        for event in &straight {
            expected.tell(event);
        }
        prop_assert_eq!(world.deliveries.len(), 4);
        prop_assert_eq!(opened(&world.deliveries), opened(&expected.deliveries));
        prop_assert_eq!(world.ends(), expected.ends());
        prop_assert_eq!(&world.dossier.held, &None);
    }

    #[test]
    fn no_status_in_any_order_panics_or_opens_a_step_twice(
        told in prop::collection::vec((0..6_usize, 0..10_usize, 0..96_i64), 0..40)
    ) {
        let steps = ["", "civil-status", "residence", "health-card", "identity-card", "passport"];
        let mut world = World::new();
        for (step, kind, hours) in told {
            let mut event = status(steps[step], Status::ALL[kind], crate::world::FILED);
            event.time += jiff::SignedDuration::from_hours(hours);
            event.id = format!("e-{step}-{kind}-{hours}").parse().unwrap();
            world.tell(&event);
        }
        let mut ids: Vec<_> = world.deliveries.iter().map(|one| one.id).collect();
        ids.sort();
        ids.dedup();
        prop_assert_eq!(ids.len(), world.deliveries.len());
        prop_assert!(world.ends().len() <= 1);
    }
}
