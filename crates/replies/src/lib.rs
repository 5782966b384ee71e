//! What a destination's reply means: rule sets as YAML files → a [`Reading`] of every [`Reply`].
//!
//! ```text
//!  replies/*.yaml ─▶ all problems, or RuleSets ─┬─▶ check(): every fixture is read as it says
//!                                               └─▶ rules(name) ─▶ Rules::read(&Reply) ─▶ Match
//! ```
//!
//! Rules are tried in their order, and the first whose conditions all hold gives the reading. No reply is
//! too broken to be read: what cannot be decoded or parsed meets no condition, and what meets no rule falls
//! to the set's `otherwise`. A file that is wrong in any way is refused with *every* [`Problem`] found.
//!
//! Pure but for [`RuleSets::load`], which reads one directory. It does not decide what follows from a
//! reading, reads no clock (`retry_after` is the text as it came) and knows no attempt that got no reply:
//! refused connections and time-outs are the courier's own to read.

mod condition;
mod facts;
mod fault;
mod file;
mod fixture;
mod fold;
mod grpc;
mod one_or_more;
mod reading;
mod reply;
mod rule_draft;
mod rule_set;
mod rule_sets;
mod rules;
mod words;
mod xml;

pub use drafts::{Position, Problem, Source};
pub use grpc::{GrpcCode, UnknownGrpcCode};
pub use reading::{Reading, UnknownReading};
pub use reply::Reply;
pub use rule_sets::{Checked, RuleSets};
pub use rules::{Match, Rules};
