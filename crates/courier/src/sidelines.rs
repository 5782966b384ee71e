//! Deliveries that stand aside for a while: those of a dossier, of a procedure, or of a sender. They are
//! parked or come last; they are never dropped.

use std::collections::{BTreeMap, HashMap};

use domain::{Delivery, Note, Order, SidelineWay, Subject};
use serde::{Deserialize, Serialize};
use store::{Op, ReadError, Row, Store, row};

use crate::entry::{DossierMark, Millis};
use crate::tables::SIDELINES;

/// What stands aside, as lanes ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sidelines {
    dossiers: HashMap<DossierMark, Aside>,
    procedures: HashMap<u32, Aside>,
    senders: HashMap<u32, Aside>,
}

/// How a delivery stands aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sidelined {
    /// It waits.
    Hold {
        /// Until then.
        until: Millis,
    },
    /// All others go first.
    Demote {
        /// Until then.
        until: Millis,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Aside {
    way: SidelineWay,
    until: Millis,
}

/// What was ordered of one subject, as its row holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) way: SidelineWay,
    pub(crate) since: Millis,
    pub(crate) until: Millis,
    pub(crate) by: Note,
    pub(crate) reason: Note,
}

/// The rules by subject, as orders change them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(pub(crate) BTreeMap<Subject, Rule>);

/// Stands for the procedure and the sender of a delivery. Rows hold it, so it never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) procedure: u32,
    /// The source of the event that caused the delivery.
    pub(crate) sender: u32,
}

/// The 32-bit FNV-1a hash of a text: the same on every machine and for good.
pub(crate) fn mark32(text: &str) -> u32 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(PRIME);
    text.bytes().fold(BASIS, step)
}

// === impl Sidelines ===

impl Sidelines {
    fn is_empty(&self) -> bool {
        self.dossiers.is_empty() && self.procedures.is_empty() && self.senders.is_empty()
    }

    /// How a delivery of that dossier, procedure and sender stands aside now. A hold wins; of two, the
    /// longer one.
    pub(crate) fn of(
        &self,
        dossier: DossierMark,
        procedure: u32,
        sender: u32,
        now: Millis,
    ) -> Option<Sidelined> {
        if self.is_empty() {
            return None;
        }
        let asides = [
            self.dossiers.get(&dossier),
            self.procedures.get(&procedure),
            self.senders.get(&sender),
        ];
        let longest = |way: SidelineWay| {
            let asides = asides.iter().flatten().filter(|aside| aside.way == way);
            asides
                .map(|aside| aside.until)
                .filter(|until| *until > now)
                .max()
        };
        let hold = longest(SidelineWay::Hold).map(|until| Sidelined::Hold { until });
        hold.or_else(|| longest(SidelineWay::Demote).map(|until| Sidelined::Demote { until }))
    }
}

// === impl Rules ===

impl Rules {
    /// Every rule that stands in the store.
    pub(crate) async fn load(store: &Store) -> Result<Self, ReadError> {
        let sql = "select subject, body from courier_sidelines";
        let kinds = &[store::Kind::Text, store::Kind::Text];
        let rows = store.query(sql, [], kinds).await?;
        let mut rules = BTreeMap::new();
        for row in rows {
            // Rows are written from whole rules only.
            if let (Ok(subject), Ok(rule)) =
                (row.text(0)?.parse(), serde_json::from_str(row.text(1)?))
            {
                rules.insert(subject, rule);
            }
        }
        Ok(Self(rules))
    }

    /// Does what the order says; rules that have ended are dropped. Tells whether anything changed.
    pub(crate) fn obey(
        &mut self,
        subject: &Subject,
        rule: Option<(SidelineWay, Millis)>,
        order: &Order,
    ) -> bool {
        let before = self.clone();
        let at = Millis::from(order.at);
        self.0.retain(|_, rule| rule.until > at);
        match rule {
            Some((way, until)) if until > at => {
                let rule = Rule {
                    way,
                    since: at,
                    until,
                    by: order.by.clone(),
                    reason: order.reason.clone(),
                };
                self.0.insert(subject.clone(), rule);
            }
            Some(_) => {}
            None => {
                self.0.remove(subject);
            }
        }
        *self != before
    }

    /// What writes these rules over those before.
    pub(crate) fn ops(&self, before: &Self) -> Vec<Op> {
        let gone = before
            .0
            .keys()
            .filter(|subject| !self.0.contains_key(*subject));
        let keys: Vec<Row> = gone.map(|subject| row![subject.to_string()]).collect();
        let rows: Vec<Row> = self
            .0
            .iter()
            .filter(|(subject, rule)| before.0.get(*subject) != Some(*rule))
            .filter_map(|(subject, rule)| {
                let body = serde_json::to_string(rule).ok()?;
                Some(row![subject.to_string(), body])
            })
            .collect();
        let mut ops = Vec::new();
        if !keys.is_empty() {
            let table = &SIDELINES;
            ops.push(Op::Delete { table, keys });
        }
        if !rows.is_empty() {
            let table = &SIDELINES;
            ops.push(Op::Upsert { table, rows });
        }
        ops
    }

    /// The same for lanes.
    pub(crate) fn sidelines(&self) -> Sidelines {
        let mut sidelines = Sidelines::default();
        for (subject, rule) in &self.0 {
            let aside = Aside {
                way: rule.way,
                until: rule.until,
            };
            match subject {
                Subject::Dossier(key) => sidelines.dossiers.insert(key.into(), aside),
                Subject::Procedure(code) => sidelines.procedures.insert(mark32(code.base()), aside),
                Subject::Sender(agency) => sidelines.senders.insert(mark32(agency.as_str()), aside),
            };
        }
        sidelines
    }
}

// === impl Marks ===

impl Marks {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self {
            procedure: mark32(delivery.procedure.base()),
            sender: mark32(delivery.cause.0.as_str()),
        }
    }

    /// Both in the one number of the row.
    pub(crate) fn packed(self) -> i64 {
        i64::from(self.procedure) << 32 | i64::from(self.sender)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "each half of the number is one mark"
    )]
    pub(crate) fn unpacked(packed: i64) -> Self {
        Self {
            procedure: (packed as u64 >> 32) as u32,
            sender: packed as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_the_published_hash_and_go_round() {
        // Test vectors of the hash's authors.
        assert_eq!(mark32(""), 0x811c_9dc5);
        assert_eq!(mark32("a"), 0xe40c_292c);
        assert_eq!(mark32("foobar"), 0xbf9c_f968);
        let marks = Marks {
            procedure: u32::MAX,
            sender: 0xe40c_292c,
        };
        assert_eq!(Marks::unpacked(marks.packed()), marks);
    }

    fn order(at: i64) -> Order {
        Order {
            id: domain::RecordId::of("order", &[]),
            at: Millis(at).timestamp(),
            by: "Người Trực".parse().unwrap(),
            reason: "incident".parse().unwrap(),
            action: domain::Action::CancelJob {
                job: "j".parse().unwrap(),
            },
        }
    }

    fn rules(orders: &[(&str, Option<(SidelineWay, i64)>)]) -> Rules {
        let mut rules = Rules::default();
        for (subject, rule) in orders {
            let rule = rule.map(|(way, until)| (way, Millis(until)));
            rules.obey(&subject.parse().unwrap(), rule, &order(0));
        }
        rules
    }

    #[track_caller]
    fn check(orders: &[(&str, Option<(SidelineWay, i64)>)], expected: Option<Sidelined>) {
        let dossier = DossierMark::from(&"d-1".parse().unwrap());
        let (procedure, sender) = (mark32("3.000722"), mark32("desk"));
        let sidelines = rules(orders).sidelines();
        assert_eq!(
            sidelines.of(dossier, procedure, sender, Millis(10)),
            expected
        );
    }

    #[test]
    fn a_hold_wins_over_a_demotion_and_the_longer_over_the_shorter() {
        use SidelineWay::{Demote, Hold};
        let until = Millis;
        check(&[("dossier d-2", Some((Hold, 20)))], None);
        check(
            &[("dossier d-1", Some((Hold, 20)))],
            Some(Sidelined::Hold { until: until(20) }),
        );
        check(
            &[
                ("procedure 3.000722", Some((Demote, 20))),
                ("agency desk", Some((Demote, 30))),
            ],
            Some(Sidelined::Demote { until: until(30) }),
        );
        check(
            &[
                ("procedure 3.000722", Some((Demote, 20))),
                ("agency desk", Some((Hold, 15))),
            ],
            Some(Sidelined::Hold { until: until(15) }),
        );
        check(&[("dossier d-1", Some((Hold, 10)))], None);
        check(
            &[("dossier d-1", Some((Hold, 20))), ("dossier d-1", None)],
            None,
        );
    }

    #[test]
    fn ended_rules_leave_with_the_next_order_and_only_changes_are_written() {
        let before = rules(&[
            ("agency desk", Some((SidelineWay::Hold, 20))),
            ("agency other", Some((SidelineWay::Hold, 40))),
        ]);
        let mut after = before.clone();
        let subject = "dossier d-1".parse().unwrap();
        assert!(after.obey(&subject, Some((SidelineWay::Hold, Millis(50))), &order(30)));
        let [Op::Delete { keys, .. }, Op::Upsert { rows, .. }] = &after.ops(&before)[..] else {
            panic!("one row goes, one comes");
        };
        assert_eq!(keys, &[row!["agency desk"]]);
        assert_eq!((rows.len(), rows[0].text(0)), (1, Ok("dossier d-1")));
    }
}
