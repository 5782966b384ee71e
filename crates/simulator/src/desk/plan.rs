use calendar::{Calendar, OutOfRange, WorkingTime};
use domain::{AgencyId, DossierCode, Event, ProvinceCode, UnitCode, UnitRef};
use jiff::{
    Timestamp,
    civil::{Date, Time, time},
};
use rand::{RngExt, rngs::StdRng};
use territory::{TWO_TIER_SINCE, Territory};

use super::{Filing, Load, Mix, Share};
use crate::chance::chance;

/// What the desks of one province will hand in: a pure function of its options and the day.
#[derive(Clone, Debug)]
pub struct DeskPlan {
    options: DeskOptions,
    units: Vec<Place>,
    /// Of all units.
    weight: u64,
}

/// What shapes a plan.
#[derive(Clone, Debug)]
pub struct DeskOptions {
    /// The province.
    pub province: ProvinceCode,
    /// How many dossiers a working day brings.
    pub load: Load,
    /// Which procedures are asked for.
    pub mix: Mix,
    /// The desks' hours.
    pub hours: Calendar,
    /// The share of dossiers that arrive after 15:00, the legal cut-off.
    pub after_cut_off: f64,
    /// The share of dossiers that were filed online before a desk accepts them.
    pub online: f64,
    /// The share of dossiers whose paper still names the unit by its code of before 1 July 2025.
    pub old_codes: f64,
    /// Payloads are padded to so many bytes.
    pub payload: usize,
    /// Where the chances come from.
    pub seed: u64,
}

/// No plan can be made.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The province has no units.
    #[error("no commune-level unit belongs to province {0}")]
    NoUnits(ProvinceCode),
    /// The day lies outside the desks' calendar.
    #[error("no plan for {day}")]
    Calendar {
        /// The day.
        day: Date,
        /// Why not.
        #[source]
        source: OutOfRange,
    },
}

#[derive(Clone, Debug)]
struct Place {
    code: UnitCode,
    old_code: Option<UnitCode>,
    /// The weights of this unit and all before it.
    weight_up_to: u64,
}

/// One day's working time in seconds: to noon, to the cut-off, to closing time.
struct Day {
    date: Date,
    midnight: Timestamp,
    noon: i64,
    cut_off: i64,
    end: i64,
}

// === impl DeskPlan ===

impl DeskPlan {
    const CUT_OFF: Time = time(15, 0, 0, 0);
    /// The share of the morning in what comes before the cut-off.
    const MORNING: f64 = 0.62;

    /// Reads the province's units.
    pub fn new(territory: &Territory, options: DeskOptions) -> Result<Self, PlanError> {
        let mut weight = 0;
        let place = |unit: territory::Unit<'_>| {
            weight += u64::from(unit.weight.max(1));
            Place {
                code: unit.code,
                old_code: territory.predecessors(&unit.code).next(),
                weight_up_to: weight,
            }
        };
        let units: Vec<_> = territory.units_of(&options.province).map(place).collect();
        if units.is_empty() {
            return Err(PlanError::NoUnits(options.province));
        }
        Ok(Self {
            options,
            units,
            weight,
        })
    }

    /// The name under which the desks publish.
    pub fn desk(&self) -> AgencyId {
        let name = format!("demo-desk-{}", self.options.province);
        name.parse().expect("two digits make a slug")
    }

    /// How many filings the working day of this index brings.
    pub fn count(&self, index: u32) -> usize {
        let Load {
            communes,
            provincial,
        } = self.options.load;
        count(communes, index) + count(provincial, index)
    }

    /// The filings of one working day, `index` counted from 0 over the working days, in the order in
    /// which they are accepted. Over many days the counts add up to the load exactly.
    pub fn filings(&self, date: Date, index: u32) -> Result<Vec<Filing>, PlanError> {
        let calendar = |source| PlanError::Calendar { day: date, source };
        let day = Day::new(&self.options.hours, date).map_err(calendar)?;
        let province = self.options.province;
        let mut rng = chance(
            self.options.seed,
            "desk-day",
            &[province.as_str(), &date.to_string()],
        );
        let (load, mix) = (self.options.load, &self.options.mix);
        let of_communes = std::iter::repeat_n(&mix.communes, count(load.communes, index));
        let of_centre = std::iter::repeat_n(&mix.provincial, count(load.provincial, index));
        let mut arrivals = Vec::new();
        for shares in of_communes.chain(of_centre) {
            if let Some(share) = Mix::pick(shares, &mut rng) {
                let position = self.position(&day, &mut rng);
                arrivals.push((position, share, self.unit(date, &mut rng)));
            }
        }
        arrivals.sort_by_key(|(position, _, unit)| (*position, unit.code));
        let mut filings = Vec::with_capacity(arrivals.len());
        for (number, (position, share, unit)) in (1..).zip(arrivals) {
            let filing = self.filing(&day, number, position, share, unit, &mut rng);
            filings.push(filing.map_err(calendar)?);
        }
        Ok(filings)
    }

    /// The events of a day's filings in the order of their times.
    pub fn events(&self, filings: &[Filing]) -> Vec<Event> {
        let desk = self.desk();
        let mut events: Vec<_> = filings
            .iter()
            .flat_map(|filing| filing.events(&desk, self.options.payload))
            .collect();
        events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        events
    }

    fn filing(
        &self,
        day: &Day,
        number: u32,
        position: i64,
        share: &Share,
        unit: UnitRef,
        rng: &mut StdRng,
    ) -> Result<Filing, OutOfRange> {
        let hours = &self.options.hours;
        let at = |position: i64| hours.add(day.midnight, WorkingTime::from_seconds(position));
        let waited = rng.random_range(60..1_800);
        let online = rng.random_bool(self.options.online);
        let filed_at = online.then(|| at((position - waited).max(1))).transpose()?;
        let date = day.date.strftime("%y%m%d");
        let (province, seed) = (self.options.province, self.options.seed);
        let dossier = format!("{province}-{date}-s{seed}-{number:06}");
        Ok(Filing {
            dossier: dossier.parse().expect("digits and hyphens are a key"),
            code: self.code(&date.to_string(), number),
            number,
            procedure: share.procedure.clone(),
            form: share.form,
            unit,
            filed_at: filed_at
                .filter(|filed| position > 1 && at(position).is_ok_and(|a| *filed < a)),
            accepted_at: at(position)?,
        })
    }

    /// Thanh Hóa's agency code is H56; which codes the other provinces kept is not known here, and codes
    /// are never made up. `.99` is the simulation's own desk.
    fn code(&self, date: &str, number: u32) -> Option<DossierCode> {
        let code = format!("H56.99-{date}-{number:06}");
        (self.options.province.as_str() == "38")
            .then(|| code.parse().ok())
            .flatten()
    }

    /// A working second of the day: a hump in the morning, one after lunch, and what comes after the
    /// cut-off.
    fn position(&self, day: &Day, rng: &mut StdRng) -> i64 {
        let (from, to, humped) = if rng.random_bool(self.options.after_cut_off) {
            (day.cut_off, day.end, false)
        } else if rng.random_bool(Self::MORNING) {
            (0, day.noon, true)
        } else {
            (day.noon, day.cut_off, true)
        };
        let (from, to) = if from < to { (from, to) } else { (0, day.end) };
        let mut part: f64 = rng.random();
        if humped {
            part = (part + rng.random::<f64>()) / 2.0;
        }
        from + 1 + (part * (to - from - 1) as f64) as i64
    }

    fn unit(&self, date: Date, rng: &mut StdRng) -> UnitRef {
        let draw = rng.random_range(0..self.weight);
        let old = rng.random_bool(self.options.old_codes);
        let at = self
            .units
            .partition_point(|place| place.weight_up_to <= draw);
        let place = &self.units[at];
        match place.old_code {
            Some(code) if old => UnitRef {
                code,
                valid_on: TWO_TIER_SINCE.yesterday().unwrap_or(TWO_TIER_SINCE),
            },
            _ => UnitRef {
                code: place.code,
                valid_on: date,
            },
        }
    }
}

/// How many of `rate` a day fall on day `index`.
fn count(rate: f64, index: u32) -> usize {
    let up_to = |days: f64| (rate.max(0.0) * days + 1e-6).floor() as usize;
    up_to(f64::from(index) + 1.0) - up_to(f64::from(index))
}

// === impl Day ===

impl Day {
    fn new(hours: &Calendar, date: Date) -> Result<Self, OutOfRange> {
        let at = |time| {
            let local = date.to_datetime(time);
            hours.offset().to_timestamp(local).unwrap_or(Timestamp::MAX)
        };
        let midnight = at(Time::midnight());
        let until = |to| Ok(hours.between(midnight, to)?.as_seconds());
        Ok(Self {
            date,
            midnight,
            noon: until(at(time(12, 0, 0, 0)))?,
            cut_off: until(at(DeskPlan::CUT_OFF))?,
            end: until(at(Time::MAX))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use calendar::Calendars;
    use jiff::civil::date;

    use super::*;

    const MONDAY: Date = date(2026, 9, 21);

    fn plan(seed: u64) -> DeskPlan {
        let territory = Territory::embedded().unwrap();
        let province = "38".parse().unwrap();
        let options = DeskOptions {
            province,
            load: Load::of(&territory, &province),
            mix: Mix::default(),
            hours: Calendars::built_in()
                .unwrap()
                .get("thanh-hoa-commune")
                .unwrap()
                .clone(),
            after_cut_off: 0.12,
            online: 0.4,
            old_codes: 0.01,
            payload: 0,
            seed,
        };
        DeskPlan::new(&territory, options).unwrap()
    }

    #[test]
    fn the_days_add_up_to_the_published_load() {
        let plan = plan(1);
        let Load {
            communes,
            provincial,
        } = plan.options.load;
        let days = |rate| (0..34).map(|day| count(rate, day)).sum::<usize>();
        assert_eq!((days(communes), days(provincial)), (149_470, 7_542));
        let first = plan.filings(MONDAY, 0).unwrap().len();
        assert_eq!((first, plan.count(0)), (4_617, 4_617));
    }

    #[test]
    fn the_same_seed_makes_the_same_day_and_another_seed_another() {
        let day = |seed, date| plan(seed).filings(date, 0).unwrap();
        assert_eq!(day(1, MONDAY), day(1, MONDAY));
        assert_ne!(day(1, MONDAY), day(2, MONDAY));
        let keys = |filings: Vec<Filing>| -> BTreeSet<_> {
            filings.into_iter().map(|filing| filing.dossier).collect()
        };
        let next = keys(day(1, date(2026, 9, 22)));
        assert!(keys(day(1, MONDAY)).is_disjoint(&next));
    }

    #[test]
    fn the_day_has_two_humps_and_a_tail_after_the_cut_off() {
        let plan = plan(1);
        let filings = plan.filings(MONDAY, 0).unwrap();
        let offset = plan.options.hours.offset();
        let mut by_hour: BTreeMap<i8, usize> = BTreeMap::new();
        for filing in &filings {
            let just_before = filing.accepted_at - jiff::SignedDuration::from_secs(1);
            assert!(plan.options.hours.is_open(just_before));
            *by_hour
                .entry(offset.to_datetime(just_before).hour())
                .or_default() += 1;
        }
        assert!(
            by_hour[&9] > by_hour[&7] && by_hour[&9] > by_hour[&11],
            "{by_hour:?}"
        );
        assert!(by_hour[&14] > by_hour[&15], "{by_hour:?}");
        let late = (by_hour[&15] + by_hour[&16]) as f64 / filings.len() as f64;
        assert!((0.10..0.14).contains(&late), "{late}");
    }

    #[test]
    fn units_are_those_of_the_province_by_their_weights() {
        let territory = Territory::embedded().unwrap();
        let plan = plan(1);
        let filings = plan.filings(MONDAY, 0).unwrap();
        let mut by_unit: BTreeMap<UnitCode, usize> = BTreeMap::new();
        for filing in &filings {
            let resolved = territory
                .resolve(&filing.unit.code, filing.unit.valid_on)
                .unwrap();
            assert_eq!(resolved.province, plan.options.province);
            *by_unit.entry(resolved.unit).or_default() += 1;
        }
        assert!(
            by_unit.len() > 160,
            "{} of 166 units have work",
            by_unit.len()
        );
        let old = filings
            .iter()
            .filter(|filing| filing.unit.valid_on != MONDAY)
            .count();
        assert!((10..100).contains(&old), "{old}");
        let heaviest = territory
            .units_of(&plan.options.province)
            .max_by_key(|unit| unit.weight);
        let busiest = by_unit[&heaviest.unwrap().code];
        assert!(busiest > filings.len() / 166, "{busiest}");
    }

    #[test]
    fn filed_comes_before_accepted_and_payloads_are_padded() {
        let plan = plan(1);
        let filings = plan.filings(MONDAY, 0).unwrap();
        let online = filings
            .iter()
            .filter(|filing| filing.filed_at.is_some())
            .count();
        assert!((0.35..0.45).contains(&(online as f64 / filings.len() as f64)));
        for filing in &filings {
            assert!(
                filing
                    .filed_at
                    .is_none_or(|filed| filed < filing.accepted_at)
            );
            assert!(filing.code.is_some());
        }
        let events = plan.events(&filings);
        assert_eq!(events.len(), filings.len() + online);
        assert!(events.is_sorted_by_key(|event| event.time));
        let padded = filings[0].events(&plan.desk(), 1_024);
        assert_eq!(padded[0].data.len(), 1_024);
        assert!(serde_json::from_slice::<serde_json::Value>(&padded[0].data).is_ok());
    }
}
