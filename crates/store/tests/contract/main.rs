//! What both back ends promise. SQLite runs always; PostgreSQL runs when `LIENTHONG_TEST_POSTGRES`
//! holds the URL of a database in which schemas may be created and dropped.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fence;
mod guards;
mod inbox;
mod migrate;
mod model;
mod outbox;
mod postgres_faults;
mod rows;
mod scratch;
mod sqlite_faults;
