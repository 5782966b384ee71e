//! The route language from outside: files in, answers or problems out.

mod deployed;
mod destinations;
mod good;
mod problems;
mod properties;
mod versions;
