use std::collections::BTreeSet;

use drafts::{At, Check, Position};

use crate::file::FixtureFile;
use crate::rule_draft::{reading, readings};
use crate::rules::Rules;
use crate::{GrpcCode, Match, Reading, Reply};

/// The name under which `by` asks that no rule reads the reply.
pub(crate) const OTHERWISE: &str = "otherwise";

/// A recorded reply, and how it is to be read.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) position: Position,
    status: Option<u16>,
    grpc: Option<GrpcCode>,
    headers: Vec<(String, String)>,
    body: String,
    delivery: String,
    reads: Reading,
    by: Option<String>,
    retry_after: Option<String>,
}

/// A fixture as the file has it, or `None` and the problems. `rules`: the names that `by` may say.
pub(crate) fn read(
    file: At<FixtureFile>,
    rules: &BTreeSet<String>,
    check: &mut Check<'_>,
) -> Option<Fixture> {
    let At {
        value: file,
        position,
    } = file;
    check.about("fixture", file.name.as_ref());
    let name = check.needed("name", file.name, position, "what the reply is, in words");
    if file.status.is_none() && file.grpc.is_none() {
        let expected = "a reply with one of them";
        check.problem(position, "neither `status` nor `grpc` is here", expected);
    }
    let grpc = file.grpc.map(|code| {
        let expected = "a gRPC code like `UNAVAILABLE`";
        check.parsed("grpc", Some(&code), position, expected)
    });
    let reads = check.needed("reads", file.reads, position, &readings());
    let reads = reads.and_then(|word| reading("reads", &word, check));
    let by = file.by.map(|by| {
        let expected = format!("the name of a rule, or `{OTHERWISE}`");
        check.value("by", &by, &expected, |name| {
            (name == OTHERWISE || rules.contains(name)).then(|| name.to_owned())
        })
    });
    Some(Fixture {
        name: name?.value,
        position,
        status: file.status,
        grpc: transposed(grpc)?,
        headers: file.headers.into_iter().collect(),
        body: file.body,
        delivery: file.delivery,
        reads: reads?,
        by: transposed(by)?,
        retry_after: file.retry_after,
    })
}

// === impl Fixture ===

impl Fixture {
    /// How the rules read it; an error says what was found and what the fixture expects.
    pub(crate) fn run<'r>(
        &self,
        rules: &'r Rules,
    ) -> Result<Match<'r>, (Match<'r>, String, String)> {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let found = rules.read(&Reply {
            status: self.status,
            grpc: self.grpc,
            headers: &headers,
            body: self.body.as_bytes(),
            delivery: &self.delivery,
        });
        let by = found.rule.unwrap_or(OTHERWISE);
        let is_read = found.reading == self.reads && self.by.as_ref().is_none_or(|name| name == by);
        if !is_read {
            let text = format!("is read as `{}` by `{by}`", found.reading);
            let expected = match &self.by {
                Some(by) => format!("`{}` by `{by}`", self.reads),
                None => format!("`{}`", self.reads),
            };
            return Err((found, text, expected));
        }
        if self.retry_after.is_some() && self.retry_after != found.retry_after {
            let asked = found.retry_after.as_deref().unwrap_or("nothing");
            let text = format!("asks to wait for `{asked}`");
            let expected = format!("`{}`", self.retry_after.as_deref().unwrap_or_default());
            return Err((found, text, expected));
        }
        Ok(found)
    }
}

/// What was not given is fine; what was given wrongly is not.
fn transposed<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}
