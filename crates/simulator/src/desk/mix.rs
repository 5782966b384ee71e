use domain::ProcedureCode;
use rand::{Rng, RngExt};

/// Which procedures are asked for, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// At commune desks.
    pub communes: Vec<Share>,
    /// At the provincial centre.
    pub provincial: Vec<Share>,
}

/// One procedure's share of all dossiers.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The procedure.
    pub procedure: ProcedureCode,
    /// The word for it in payloads.
    pub form: &'static str,
    /// Its weight beside the others.
    pub weight: f64,
}

// === impl Mix ===

impl Mix {
    /// One of these shares by chance; none of none.
    pub(super) fn pick<'a>(shares: &'a [Share], rng: &mut impl Rng) -> Option<&'a Share> {
        let total: f64 = shares.iter().map(|share| share.weight).sum();
        let mut left = rng.random::<f64>() * total;
        let hit = shares.iter().find(|share| {
            left -= share.weight;
            left < 0.0
        });
        hit.or(shares.last())
    }
}

/// The two interlinked bundles and six single-agency procedures. The codes are official; the shares are
/// an assumption, no published figures were found.
impl Default for Mix {
    fn default() -> Self {
        let share = |code: &str, form, weight| Share {
            procedure: code.parse().expect("a literal code is well formed"),
            form,
            weight,
        };
        Self {
            communes: vec![
                share("3.000722", "birth", 8.0),
                share("2.002913", "death", 4.0),
                share("2.000908", "register-copy", 26.0),
                share("2.000635", "civil-status-extract", 20.0),
                share("1.004222", "permanent-residence", 24.0),
                share("1.000894", "marriage", 8.0),
                share("1.001731", "funeral-support", 10.0),
            ],
            provincial: vec![share("2.000488", "criminal-record", 100.0)],
        }
    }
}
