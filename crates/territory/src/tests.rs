//! The registry against the counts of the national statistics list and of the official conversion
//! table of 1 July 2025.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use domain::{ProvinceCode, UnitCode};
use jiff::civil::{Date, date};
use proptest::prelude::*;

use crate::{
    Certainty, Kind, ProvinceKind, Resolved, TWO_TIER_SINCE, Territory, Unresolved, Way, fold,
};

const LAST_DAY_OF_DISTRICTS: Date = date(2025, 6, 30);
const OCTOBER_2026: Date = date(2026, 10, 1);

fn territory() -> &'static Territory {
    static ONCE: LazyLock<Territory> = LazyLock::new(|| Territory::embedded().unwrap());
    &ONCE
}

fn code(text: &str) -> UnitCode {
    text.parse().unwrap()
}

fn kinds(territory: &Territory, on: Date) -> (usize, usize, usize) {
    let count = |kind| {
        let of = |row: &&crate::registry::UnitRow| territory.view(row, on).kind == kind;
        territory.units.iter().filter(of).count()
    };
    (
        count(Kind::Commune),
        count(Kind::Ward),
        count(Kind::SpecialZone),
    )
}

/// Resolves every unit of 30 June 2025.
fn all_old(territory: &Territory) -> Vec<(UnitCode, Resolved)> {
    let resolve = |code| {
        (
            code,
            territory.resolve(&code, LAST_DAY_OF_DISTRICTS).unwrap(),
        )
    };
    territory.old.iter().map(|row| resolve(row.code)).collect()
}

#[test]
fn there_are_34_provinces_and_3321_units() {
    let territory = territory();
    assert_eq!(territory.provinces().count(), 34);
    assert_eq!(territory.units.len(), 3_321);
    assert_eq!(territory.old.len(), 10_035);
    let listed: usize = territory
        .provinces()
        .map(|p| territory.units_of(&p.code).count())
        .sum();
    assert_eq!(listed, 3_321);
}

#[test]
fn kinds_are_dated() {
    let territory = territory();
    assert_eq!(kinds(territory, TWO_TIER_SINCE), (2_621, 687, 13));
    assert_eq!(kinds(territory, date(2026, 4, 29)), (2_621, 687, 13));
    assert_eq!(kinds(territory, date(2026, 4, 30)), (2_611, 697, 13));
    assert_eq!(kinds(territory, OCTOBER_2026), (2_599, 709, 13));

    let cities = |on| {
        territory
            .provinces()
            .filter(|p| p.kind(on) == ProvinceKind::City)
            .count()
    };
    assert_eq!((cities(TWO_TIER_SINCE), cities(OCTOBER_2026)), (6, 9));

    let long_thanh = |on| territory.unit(&code("26368"), on).unwrap().to_string();
    assert_eq!(long_thanh(date(2026, 4, 29)), "Xã Long Thành");
    assert_eq!(long_thanh(date(2026, 4, 30)), "Phường Long Thành");
}

#[test]
fn provinces_are_found_by_code_and_by_any_spelling() {
    let territory = territory();
    for text in [
        "38",
        "Thanh Hóa",
        "Thanh Hoá",
        "thanh hoa",
        " TỈNH THANH HÓA ",
    ] {
        assert_eq!(
            territory.province(text).unwrap().code.as_str(),
            "38",
            "{text}"
        );
    }
    assert_eq!(
        territory.province("TP. Hồ Chí Minh").unwrap().code.as_str(),
        "79"
    );
    for text in ["", "tinh", "Hà Giang", "99", "Thanh"] {
        assert_eq!(territory.province(text), None, "{text}");
    }
}

#[test]
fn units_of_a_province_are_its_own_in_order() {
    let territory = territory();
    #[track_caller]
    fn check(territory: &Territory, province: &str, communes: usize, wards: usize) {
        let province: ProvinceCode = province.parse().unwrap();
        let units: Vec<_> = territory.units_of(&province).collect();
        let count = |kind| units.iter().filter(|unit| unit.kind == kind).count();
        assert_eq!((count(Kind::Commune), count(Kind::Ward)), (communes, wards));
        assert_eq!(units.len(), communes + wards);
        assert!(units.is_sorted_by(|a, b| a.code < b.code));
        assert!(
            units
                .iter()
                .all(|unit| unit.province == province && unit.weight > 0)
        );
    }
    check(territory, "38", 147, 19);
    check(territory, "66", 88, 14);
    check(territory, "02", 0, 0); // Hà Giang ended on 30 June 2025
}

#[test]
fn every_old_unit_has_one_main_successor() {
    let territory = territory();
    let all = all_old(territory);
    let mut ways = BTreeMap::new();
    for (_, resolved) in &all {
        let others = match &resolved.way {
            Way::Split { others } => others.len(),
            _ => 0,
        };
        *ways.entry(others).or_insert(0) += 1;
    }
    // 9,601 of the conversion table less five island districts and one coastal flat without a code.
    assert_eq!(
        ways,
        BTreeMap::from([(0, 9_595), (1, 368), (2, 55), (3, 16), (4, 1)])
    );
    assert_eq!(territory.heirs.len() + territory.areas.len(), 10_571);

    let sure = |certainty| all.iter().filter(|(_, r)| r.certainty == certainty).count();
    let counts = [
        Certainty::Certain,
        Certainty::High,
        Certainty::Medium,
        Certainty::Low,
    ]
    .map(sure);
    assert_eq!(counts, [9_595, 345, 74, 21]);
}

#[test]
fn every_unit_has_a_predecessor() {
    let territory = territory();
    let orphans: Vec<_> = territory
        .units
        .iter()
        .filter(|unit| territory.predecessors(&unit.code).next().is_none())
        .map(|unit| {
            (
                unit.code.to_string(),
                territory.former_areas(&unit.code).count(),
            )
        })
        .collect();
    let islands = ["11948", "19742", "20333", "21548", "26732"];
    assert_eq!(orphans, islands.map(|code| (code.to_owned(), 1)));
}

#[test]
fn a_kept_code_may_mean_another_unit() {
    let territory = territory();
    let name = |on| territory.unit(&code("14758"), on).unwrap().to_string();
    assert_eq!(name(LAST_DAY_OF_DISTRICTS), "Phường Đông Thọ");
    assert_eq!(name(TWO_TIER_SINCE), "Phường Hàm Rồng");

    let before = territory
        .resolve(&code("14758"), LAST_DAY_OF_DISTRICTS)
        .unwrap();
    assert_eq!(before.unit, code("14797"));
    assert_eq!(
        territory
            .unit(&before.unit, OCTOBER_2026)
            .unwrap()
            .to_string(),
        "Phường Hạc Thành"
    );
    assert!(matches!(&before.way, Way::Split { others } if others.contains(&code("14758"))));
    assert!(before.certainty > Certainty::Certain);

    let after = territory.resolve(&code("14758"), TWO_TIER_SINCE).unwrap();
    assert_eq!((after.unit, after.way), (code("14758"), Way::Unchanged));
}

#[test]
fn seventeen_codes_live_on_without_their_unit() {
    let territory = territory();
    let moved: Vec<_> = all_old(territory)
        .into_iter()
        .filter(|(old, resolved)| resolved.unit != *old && territory.current(old).is_some())
        .map(|(old, resolved)| format!("{old} {}", resolved.unit))
        .collect();
    let expected = [
        "00103 00611",
        "00226 00229",
        "00454 00475",
        "00634 00637",
        "06799 06886",
        "09556 09552",
        "09616 09988",
        "10891 10543",
        "11383 11407",
        "11407 11383",
        "11533 11560",
        "13285 13366",
        "14758 14797",
        "22435 22453",
        "27019 27022",
        "27418 27424",
        "29770 29771",
    ];
    assert_eq!(moved, expected);
}

#[test]
fn most_codes_were_kept_and_half_of_them_renamed() {
    let territory = territory();
    let kept = territory
        .units
        .iter()
        .filter_map(|new| Some((new, territory.old(&new.code)?)));
    let names: Vec<_> = kept
        .map(|(new, old)| (fold(new.name), fold(old.name)))
        .collect();
    assert_eq!(names.len(), 3_316);
    assert_eq!(names.iter().filter(|(new, old)| new != old).count(), 1_794);
}

#[test]
fn way_tells_what_happened() {
    let territory = territory();
    let way = |old: &str| {
        territory
            .resolve(&code(old), LAST_DAY_OF_DISTRICTS)
            .unwrap()
            .way
    };
    assert_eq!(way("00001"), Way::Merged); // Phúc Xá into Hồng Hà
    assert_eq!(way("24235"), Way::Renamed); // Krông Na is Buôn Đôn now
    assert_eq!(way("14845"), Way::Renamed); // Mường Lát: township, now commune
    // The official table: 127 unchanged, 2 of another kind, 2 renamed, 1 special zone. One of the 127
    // is spelt differently now, Tà Si Láng and Tà Xi Láng.
    let count = |way: &Way| {
        all_old(territory)
            .iter()
            .filter(|(_, r)| r.way == *way)
            .count()
    };
    assert_eq!((count(&Way::Unchanged), count(&Way::Renamed)), (126, 6));
}

#[test]
fn a_closed_code_is_followed_whenever_it_arrives() {
    let territory = territory();
    let before = territory
        .resolve(&code("00001"), LAST_DAY_OF_DISTRICTS)
        .unwrap();
    let after = territory.resolve(&code("00001"), OCTOBER_2026).unwrap();
    assert_eq!(before, after);
    assert_eq!(territory.unit(&code("00001"), OCTOBER_2026), None);
}

#[test]
fn a_code_dissolved_before_2025_is_followed_through_two_successions() {
    let territory = territory();
    // Quốc Tử Giám went into Văn Miếu - Quốc Tử Giám (00181), that into 00226.
    let resolved = territory.resolve(&code("00184"), date(2024, 3, 1)).unwrap();
    assert_eq!(resolved.unit, code("00226"));
    assert_eq!(
        resolved.way,
        Way::Dissolved {
            until: date(2025, 1, 4)
        }
    );
    assert_eq!(resolved.certainty, Certainty::Medium);
}

#[test]
fn what_has_no_successor_is_said_not_guessed() {
    let territory = territory();
    let on = date(2024, 3, 1);
    let gone = territory.resolve(&code("27370"), on);
    let expected = Unresolved::NoSuccessor {
        code: code("27370"),
        gone_by: date(2025, 1, 4),
    };
    assert_eq!(gone, Err(expected));
    let unknown = |code, on| Err(Unresolved::UnknownCode { code, on });
    assert_eq!(
        territory.resolve(&code("99999"), on),
        unknown(code("99999"), on)
    );
    // A code first issued on 1 July 2025 meant nothing the day before.
    let island = code("11948");
    assert_eq!(
        territory.resolve(&island, LAST_DAY_OF_DISTRICTS),
        unknown(island, LAST_DAY_OF_DISTRICTS)
    );
}

#[test]
fn the_registry_is_small() {
    assert!(territory().heap_bytes() < 20 * 1024 * 1024);
}

proptest! {
    /// T3: one heir in force today, or a reason to hold; never a code that is not in force.
    #[test]
    fn every_code_on_every_day_has_one_heir_or_a_reason(number in 0_u32..33_000, day in 0_i64..9_000) {
        let territory = territory();
        let code = code(&format!("{number:05}"));
        let on = date(2004, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
        match territory.resolve(&code, on) {
            Ok(resolved) => {
                let unit = territory.unit(&resolved.unit, TWO_TIER_SINCE).unwrap();
                prop_assert_eq!(unit.province, resolved.province);
                if let Way::Split { others } = &resolved.way {
                    prop_assert!(!others.is_empty() && !others.contains(&resolved.unit));
                }
            }
            Err(Unresolved::UnknownCode { code: unknown, .. }) => {
                prop_assert_eq!(unknown, code);
                prop_assert_eq!(territory.unit(&code, on), None);
            }
            Err(Unresolved::NoSuccessor { .. }) => {
                prop_assert_eq!(territory.unit(&code, on), None);
            }
        }
    }
}
