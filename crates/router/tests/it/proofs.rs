//! D14: an event that the agency of a step emits after the delivery tells the courier that it has it.

use domain::{Action, Event, EventKind, Order, Status, Status::InProcess};

use crate::world::{FILED, ROUTE, World, accepted, built_in, custom, status};

/// Repeats harm at the second one only.
fn destinations() -> String {
    let one = |id: &str, idempotent: bool| {
        format!(
            "- id: {id}-one\n  agency: {id}\n  agency_id: {id}-agency\n  \
             serves: {{ provinces: all }}\n  endpoint: grpc://127.0.0.1:7101\n  \
             calendar: national-office\n  max_in_flight: 8\n  timeout: 10s\n  \
             retry: {{ steps: [1m], attempts: 3 }}\n  valid: {{ from: 2026-01-01 }}\n  \
             idempotent: {idempotent}\n"
        )
    };
    one("justice", true) + &one("police", false)
}

const REGISTERED: &str = "2026-09-21T10:00:00+07:00";

/// Both steps are open.
fn opened() -> World {
    let mut world = World::with(custom(ROUTE, &destinations()));
    world.tell(&accepted());
    world.tell(&from(
        "justice-agency",
        &status("civil-status", Status::Processed, REGISTERED),
    ));
    world.delivery("residence");
    world
}

fn from(agency: &str, event: &Event) -> Event {
    Event {
        source: agency.parse().unwrap(),
        ..event.clone()
    }
}

fn later() -> Event {
    from(
        "police-agency",
        &status("residence", InProcess, "2026-09-21T10:00:05+07:00"),
    )
}

fn orders(world: &mut World, event: &Event) -> Vec<Order> {
    router::decide(&mut world.dossier, event, false, &world.plan).orders
}

#[test]
fn d14_a_later_event_of_the_agency_proves_the_delivery() {
    let mut world = opened();
    let event = later();
    let proofs = orders(&mut world, &event);
    let [proof] = &proofs[..] else {
        panic!("{proofs:?}")
    };
    let delivery = world.delivery("residence").id;
    let dossier = event.dossier.clone();
    assert_eq!(proof.action, Action::Prove { delivery, dossier });
    assert_eq!((proof.at, proof.by.as_str()), (event.time, "router"));
    let expected = format!("event {} of police-agency", event.id);
    assert_eq!(proof.reason.as_str(), expected);
}

#[test]
fn d14_what_moves_no_status_and_what_comes_after_the_end_proves_it_too() {
    let mut world = opened();
    let noted = Event {
        kind: EventKind::Noted,
        ..later()
    };
    assert_eq!(orders(&mut world, &noted).len(), 1);
    let end = from(
        "police-agency",
        &status("residence", Status::Processed, "2026-09-22T10:00:00+07:00"),
    );
    assert_eq!(orders(&mut world, &end).len(), 1);
    assert!(world.dossier.end.is_some());
    let handed = from(
        "police-agency",
        &status("residence", Status::HandedOver, "2026-09-23T10:00:00+07:00"),
    );
    assert_eq!(orders(&mut world, &handed).len(), 1);
}

#[test]
fn d14_nothing_else_proves_a_delivery() {
    let mut world = opened();
    let of_another = from("justice-agency", &later());
    let earlier = Event {
        time: FILED.parse().unwrap(),
        ..later()
    };
    let of_the_dossier = Event {
        step: None,
        ..later()
    };
    let of_no_step = from(
        "police-agency",
        &status("passport", InProcess, "2026-09-21T11:00:00+07:00"),
    );
    for event in [of_another, earlier, of_the_dossier, of_no_step] {
        assert_eq!(orders(&mut world, &event), [], "{event:?}");
    }
    let conflict = router::decide(&mut world.dossier, &later(), true, &world.plan);
    assert_eq!(conflict.orders, []);
    // Repeats do no harm there: it is sent again anyway.
    let harmless = from(
        "justice-agency",
        &status("civil-status", InProcess, "2026-09-21T11:00:00+07:00"),
    );
    assert_eq!(orders(&mut world, &harmless), []);
    // Where nothing was delivered there is nothing to prove.
    let mut world = World::with(custom(ROUTE, &destinations()));
    world.tell(&accepted());
    assert_eq!(orders(&mut world, &later()), []);
}

#[test]
fn d14_the_same_event_makes_the_same_record_and_another_one_another() {
    let bytes = |event: &Event| {
        let orders = orders(&mut opened(), event);
        orders.iter().map(proto::encode_order).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&later()), bytes(&later()));
    let other = Event {
        id: "e-other".parse().unwrap(),
        ..later()
    };
    let id = |event: &Event| orders(&mut opened(), event)[0].id;
    assert_ne!(id(&later()), id(&other));
}

#[test]
fn d14_a_destination_that_left_the_configuration_needs_no_proof() {
    let mut world = opened();
    world.plan = built_in();
    assert_eq!(orders(&mut world, &later()), []);
}
