//! Connections outwards, guarded at the moment they are made.
//!
//! ```text
//!   Uri ─▶ spelling ─▶ resolve once ─▶ Policy on EVERY address ─▶ dial THAT address ─▶ TLS
//!          refused     failure closes   blocked ones are left      one time limit       https never
//!          if odd                       out; none left: blocked    over everything      becomes plain
//! ```
//!
//! The check stands between the resolver's answer and the dialled address, so that neither a name that
//! answers differently the second time nor an address in disguise passes it. Nothing here follows a
//! redirect or knows a proxy, and nothing knows the domain.

mod address;
mod connector;
mod entry;
mod error;
mod host;
mod policy;
mod resolve;
mod stream;
mod tls;

pub use connector::{Connector, Protocol};
pub use entry::InvalidEntry;
pub use error::{Blocked, Error, Never, Reason, Stage};
pub use policy::Policy;
pub use resolve::{Addresses, Resolve, SystemResolver};
pub use stream::Stream;
pub use tls::{InvalidRoots, Roots};
