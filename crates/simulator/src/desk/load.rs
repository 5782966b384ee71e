use domain::ProvinceCode;
use territory::Territory;

/// How many dossiers a province receives on one working day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// At the desks of communes, wards and special zones.
    pub communes: f64,
    /// At the provincial centre.
    pub provincial: f64,
}

/// Published figures of one province.
struct Published {
    province: &'static str,
    working_days: f64,
    communes: f64,
    provincial: f64,
}

/// What two provinces have reported since 1 July 2025 (press, quoting the authorities): Thanh Hóa up to
/// 15 August, Đắk Lắk up to 2 September 2025.
const PUBLISHED: [Published; 2] = [
    Published {
        province: "38",
        working_days: 34.0,
        communes: 149_470.0,
        provincial: 7_542.0,
    },
    Published {
        province: "66",
        working_days: 44.0,
        communes: 162_532.0,
        provincial: 93_826.0,
    },
];

/// The whole country on one working day: 4.4 million dossiers in 36 working days up to 19 August 2025.
const NATION: f64 = 122_000.0;

// === impl Load ===

impl Load {
    /// The load of a province: as published where figures exist; otherwise its share of the national load
    /// by the weights of its units, split between communes and centre as in Thanh Hóa.
    pub fn of(territory: &Territory, province: &ProvinceCode) -> Self {
        let known = PUBLISHED
            .iter()
            .find(|published| published.province == province.as_str());
        if let Some(known) = known {
            return known.load();
        }
        let weight = |code: &ProvinceCode| -> f64 {
            let units = territory.units_of(code);
            units.map(|unit| f64::from(unit.weight)).sum()
        };
        let nation: f64 = territory.provinces().map(|p| weight(&p.code)).sum();
        let total = NATION * weight(province) / nation.max(1.0);
        let model = PUBLISHED[0].load();
        let communes = model.communes / (model.communes + model.provincial);
        Self {
            communes: total * communes,
            provincial: total * (1.0 - communes),
        }
    }
}

// === impl Published ===

impl Published {
    fn load(&self) -> Load {
        Load {
            communes: self.communes / self.working_days,
            provincial: self.provincial / self.working_days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(province: &str) -> Load {
        let territory = Territory::embedded().unwrap();
        Load::of(&territory, &province.parse().unwrap())
    }

    #[test]
    fn thanh_hoa_has_its_published_load() {
        let load = load("38");
        assert_eq!((load.communes * 34.0).round(), 149_470.0);
        assert_eq!((load.provincial * 34.0).round(), 7_542.0);
    }

    #[test]
    fn the_provinces_together_carry_about_the_national_load() {
        let territory = Territory::embedded().unwrap();
        let loads = territory.provinces().map(|p| Load::of(&territory, &p.code));
        let sum: f64 = loads.map(|load| load.communes + load.provincial).sum();
        assert!((0.9..1.1).contains(&(sum / NATION)), "{sum}");
        assert!(load("79").communes > load("11").communes);
    }
}
