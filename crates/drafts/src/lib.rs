//! YAML files that people write: every value with its place, and all that is wrong with a file at once.
//!
//! ```text
//!  dir ─▶ read_dir ─▶ Source ─▶ Check::document ─▶ fields, At<value> ─▶ Check::needed, value, … ─▶ values
//!                                    │                                            │
//!                                    └── another shape ──▶ Problem ◀── one each ──┘
//! ```
//!
//! A crate that owns a file format declares its shape: serde structs whose fields are `Option<At<_>>`, so
//! that a missing field is a [`Problem`] among others and does not end the reading. A [`Check`] gives the
//! values one by one, and keeps what is wrong; every function that reads returns `None` where it told a
//! problem, so that a caller reads everything first and unwraps with `?` at the end:
//!
//! ```
//! use drafts::{At, Check, SLUG, Shape, slug};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct LampFile {
//!     name: Option<At<String>>,
//!     watts: Option<At<String>>,
//! }
//!
//! const SHAPE: Shape = Shape { expected: "YAML of a lamp", plainer: &[] };
//!
//! fn lamp(file: &At<LampFile>, check: &mut Check<'_>) -> Option<(String, u32)> {
//!     let At { value: file, position: at } = file;
//!     check.about("lamp", file.name.as_ref());
//!     let name = check.needed("name", file.name.as_ref(), *at, SLUG);
//!     let name = name.and_then(|name| check.value("name", name, SLUG, slug));
//!     let watts = check.parsed("watts", file.watts.as_ref(), *at, "a whole number");
//!     Some((name?, watts?))
//! }
//!
//! let mut problems = Vec::new();
//! let mut check = Check::new("lamps.yaml", &mut problems);
//! let file = check.document("name: Hall\nwatts: many\n", SHAPE);
//! assert_eq!(file.and_then(|file| lamp(&file, &mut check)), None);
//! let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
//! assert_eq!(lines, [
//!     "lamps.yaml:1:7: lamp `Hall`: `name` is `Hall`; expected 1 to 63 lowercase letters, digits or hyphens",
//!     "lamps.yaml:2:8: lamp `Hall`: `watts` is `many`; expected a whole number",
//! ]);
//! ```
//!
//! It knows no format and no domain. [`read_dir`] is its only I/O.

mod at;
mod check;
mod problem;
mod shape;
mod source;

pub use at::At;
pub use check::{Check, SLUG, list, shorten, slug};
pub use problem::{Position, Problem};
pub use shape::Shape;
pub use source::{OwnedSource, Source, read_dir};
