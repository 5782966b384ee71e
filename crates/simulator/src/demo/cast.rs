//! The four agencies of the demo. Their figures are invented, their differences are the field's.

use std::{net::SocketAddr, time::Duration};

use calendar::Calendar;
use jiff::civil::{Date, time};

use super::{DemoPorts, at};
use crate::{Protocol, Script, Spread, Window};

/// One agency.
pub(super) struct Role {
    /// The id of its destination and the source of its events.
    pub(super) id: &'static str,
    pub(super) calendar: &'static str,
    pub(super) protocol: Protocol,
    pub(super) listen: fn(&DemoPorts) -> SocketAddr,
    pub(super) script: fn(&Calendar, &[Date]) -> Script,
    /// When it will be away, as it says beforehand.
    pub(super) announced: fn(&Calendar, &[Date]) -> Vec<Window>,
}

pub(super) const ROLES: &[Role] = &[
    Role {
        id: "demo-justice",
        calendar: "national-office",
        protocol: Protocol::Grpc,
        listen: |ports| ports.justice,
        script: justice,
        announced: never,
    },
    Role {
        id: "demo-police",
        calendar: "ward-police",
        protocol: Protocol::Grpc,
        listen: |ports| ports.police,
        script: police,
        announced: never,
    },
    Role {
        id: "demo-social-insurance",
        calendar: "social-insurance",
        protocol: Protocol::Http,
        listen: |ports| ports.social_insurance,
        script: social_insurance,
        announced: never,
    },
    Role {
        id: "demo-province",
        calendar: "national-office",
        protocol: Protocol::Grpc,
        listen: |ports| ports.province,
        script: province,
        announced: mornings,
    },
];

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Fast; its certificates are due on the same day.
fn justice(office: &Calendar, _days: &[Date]) -> Script {
    Script {
        latency: spread(Duration::from_millis(150), Duration::from_millis(900)),
        work: hours(35 * MINUTE, 130 * MINUTE),
        error_rate: 0.002,
        refusal_rate: 0.003,
        ..usual(office)
    }
}

/// Slow by nature, slower still in the busiest hour.
fn police(office: &Calendar, days: &[Date]) -> Script {
    let busiest = |day: &Date| (hour_of(office, *day, 10), 3.0);
    Script {
        latency: spread(Duration::from_millis(2_500), Duration::from_secs(7)),
        work: hours(3 * HOUR + 30 * MINUTE, 12 * HOUR),
        busy_rate: 0.02,
        retry_after: Some(Duration::from_secs(2 * MINUTE)),
        error_rate: 0.005,
        refusal_rate: 0.004,
        supplement_rate: 0.02,
        slow: days.iter().map(busiest).collect(),
        ..usual(office)
    }
}

/// Away for an hour every afternoon, without a word.
fn social_insurance(office: &Calendar, days: &[Date]) -> Script {
    Script {
        latency: spread(Duration::from_millis(700), Duration::from_secs(3)),
        work: hours(3 * HOUR, 11 * HOUR),
        error_rate: 0.01,
        lost_answer_rate: 0.005,
        outages: days.iter().map(|day| hour_of(office, *day, 14)).collect(),
        ..usual(office)
    }
}

/// Away for an hour every morning, as it announced.
fn province(office: &Calendar, days: &[Date]) -> Script {
    Script {
        latency: spread(Duration::from_millis(400), Duration::from_secs(2)),
        work: hours(6 * HOUR, 16 * HOUR),
        supplement_rate: 0.01,
        outages: mornings(office, days),
        ..usual(office)
    }
}

fn mornings(office: &Calendar, days: &[Date]) -> Vec<Window> {
    days.iter().map(|day| hour_of(office, *day, 9)).collect()
}

fn never(_: &Calendar, _: &[Date]) -> Vec<Window> {
    Vec::new()
}

/// What all of them have in common.
fn usual(office: &Calendar) -> Script {
    Script {
        office: Some(office.clone()),
        duplicate_reply_rate: 0.01,
        out_of_order_rate: 0.005,
        handover_rate: 0.5,
        supplement: Spread::Uniform(Duration::from_secs(HOUR), Duration::from_secs(5 * HOUR)),
        ..Script::default()
    }
}

fn spread(p50: Duration, p99: Duration) -> Spread {
    Spread::LogNormal { p50, p99 }
}

fn hours(p50: u64, p99: u64) -> Spread {
    spread(Duration::from_secs(p50), Duration::from_secs(p99))
}

fn hour_of(office: &Calendar, day: Date, hour: i8) -> Window {
    Window {
        from: at(office, day, time(hour, 0, 0, 0)),
        to: at(office, day, time(hour + 1, 0, 0, 0)),
    }
}
