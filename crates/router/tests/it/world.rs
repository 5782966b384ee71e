//! One dossier and what the router made of it.

use std::sync::{Arc, LazyLock};

use calendar::Calendars;
use domain::{
    Classification, Delivery, DossierEnd, Event, EventKind, FactReason, HoldReason, Outcome,
    OutcomeKind, Status, UnitRef,
};
use jiff::{Timestamp, civil::Date};
use router::{Dossier, Effects, Plan};
use routes::{RouteSet, Source};
use territory::Territory;

static PLAN: LazyLock<Plan> = LazyLock::new(|| {
    let calendars = Calendars::built_in().unwrap();
    plan_of(RouteSet::built_in(&calendars).unwrap(), calendars)
});

/// Two steps in a row, of justice and of police.
pub(crate) const ROUTE: &str = r#"route: birth
title: { vi: Khai sinh, en: Birth }
procedures: ["3.000722"]
valid: { from: 2026-09-01 }
boundary: { policy: province, legal_basis: Decree 118/2025 }
calendar: national-office
within: 4 working days
legal_basis: Decree 301/2026
steps:
  - id: civil-status
    agency: justice
    unit: competent
    task: { vi: Đăng ký, en: Register }
    within: same day
    product: { vi: Giấy khai sinh, en: Certificate }
    responsible: { vi: Công chức, en: Officer }
    legal_basis: Decree 63/2024
  - id: residence
    after: [civil-status]
    agency: police
    unit: competent
    task: { vi: Đăng ký, en: Register }
    within: 2 working days
    product: { vi: Thông báo, en: Notice }
    responsible: { vi: Công an, en: Police }
    legal_basis: Decree 63/2024
"#;

/// The plan of `deploy`.
pub(crate) fn built_in() -> Plan {
    PLAN.clone()
}

/// A plan of other routes and destinations.
pub(crate) fn custom(routes: &str, destinations: &str) -> Plan {
    let calendars = Calendars::built_in().unwrap();
    let source = |name, text| [Source { name, text }];
    let (routes, destinations) = (source("r.yaml", routes), source("d.yaml", destinations));
    let routes = RouteSet::from_sources(&routes, &destinations, &calendars).unwrap();
    plan_of(routes, calendars)
}

fn plan_of(routes: RouteSet, calendars: Calendars) -> Plan {
    static TERRITORY: LazyLock<Arc<Territory>> =
        LazyLock::new(|| Arc::new(Territory::embedded().unwrap()));
    Plan {
        routes: Arc::new(routes),
        territory: Arc::clone(&TERRITORY),
        calendars: Arc::new(calendars),
    }
}

/// 09:00 in Viet Nam on the day of the real appointment.
pub(crate) const FILED: &str = "2026-09-21T09:00:00+07:00";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An accepted birth bundle, to be changed by the test.
pub(crate) fn accepted() -> Event {
    Event {
        id: "e-accepted".parse().unwrap(),
        source: "thanh-hoa-desk".parse().unwrap(),
        kind: EventKind::Status(Status::Accepted),
        time: at(FILED),
        dossier: "d-1".parse().unwrap(),
        code: Some("H56.14-260921-0042".parse().unwrap()),
        procedure: "3.000722.H56".parse().unwrap(),
        unit: unit("14797", Date::constant(2026, 9, 21)),
        step: None,
        classification: Classification::Personal,
        content_type: "application/json".to_owned(),
        traceparent: None,
        data: "{\"child\":\"invented\"}".into(),
    }
}

pub(crate) fn unit(code: &str, valid_on: Date) -> UnitRef {
    UnitRef {
        code: code.parse().unwrap(),
        valid_on,
    }
}

/// A status of a step, or of the dossier where `step` is empty.
pub(crate) fn status(step: &str, status: Status, time: &str) -> Event {
    let step = (!step.is_empty()).then(|| step.parse().unwrap());
    let name = step.as_ref().map_or("dossier", domain::StepId::as_str);
    Event {
        id: format!("e-{name}-{status}-{time}").parse().unwrap(),
        source: "justice".parse().unwrap(),
        kind: EventKind::Status(status),
        time: at(time),
        step,
        code: None,
        data: "".into(),
        ..accepted()
    }
}

/// One dossier under one plan.
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) dossier: Dossier,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) outcomes: Vec<Outcome>,
}

// === impl World ===

impl World {
    pub(crate) fn new() -> Self {
        Self::with(built_in())
    }

    pub(crate) fn with(plan: Plan) -> Self {
        Self {
            plan,
            dossier: Dossier::new("d-1".parse().unwrap()),
            deliveries: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    /// The steps that an event opened.
    pub(crate) fn tell(&mut self, event: &Event) -> Vec<String> {
        let effects = router::decide(&mut self.dossier, event, false, &self.plan);
        self.keep(effects)
    }

    pub(crate) fn tell_conflict(&mut self, event: &Event) -> Vec<String> {
        let effects = router::decide(&mut self.dossier, event, true, &self.plan);
        self.keep(effects)
    }

    /// A start of the router with another plan.
    pub(crate) fn restart(&mut self, plan: Plan) -> Vec<String> {
        self.plan = plan;
        let effects = router::reopen(&mut self.dossier, &self.plan);
        self.keep(effects)
    }

    fn keep(&mut self, effects: Effects) -> Vec<String> {
        let opened = effects.deliveries.iter().map(|one| one.step.to_string());
        let opened = opened.collect();
        self.deliveries.extend(effects.deliveries);
        self.outcomes.extend(effects.outcomes);
        opened
    }

    pub(crate) fn delivery(&self, step: &str) -> &Delivery {
        let mut of = self
            .deliveries
            .iter()
            .filter(|one| one.step.as_str() == step);
        let found = of.next().unwrap_or_else(|| panic!("{step} is not open"));
        assert_eq!(of.next(), None, "{step} was opened twice");
        found
    }

    pub(crate) fn ends(&self) -> Vec<DossierEnd> {
        let ends = self
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome.kind {
                OutcomeKind::DossierEnded { end, .. } => Some(end),
                _ => None,
            });
        ends.collect()
    }

    pub(crate) fn facts(&self) -> Vec<FactReason> {
        let facts = self
            .outcomes
            .iter()
            .filter_map(|outcome| match outcome.kind {
                OutcomeKind::FactKept { reason, .. } => Some(reason),
                _ => None,
            });
        facts.collect()
    }

    /// `Some(reason)` for each hold, `None` for each release, in order.
    pub(crate) fn holds(&self) -> Vec<Option<HoldReason>> {
        let holds = self
            .outcomes
            .iter()
            .filter_map(|outcome| match &outcome.kind {
                OutcomeKind::DossierHeld { reason, .. } => Some(Some(*reason)),
                OutcomeKind::DossierReleased => Some(None),
                _ => None,
            });
        holds.collect()
    }
}
