use std::ops::RangeInclusive;

use drafts::{At, Check, Position, SLUG, list, shorten, slug};

use crate::condition::Condition;
use crate::file::{
    HeaderFile, JsonFile, RetryAfterFile, RuleFile, SoapFaultFile, StatusFile, WhenFile, WordsFile,
};
use crate::fixture::OTHERWISE;
use crate::one_or_more::OneOrMore;
use crate::rules::{RetryAfter, Rule};
use crate::words::{self, Words};
use crate::{GrpcCode, Reading};

const STATUS: &str = "a status from 100 to 999, or a range like `500-599`";
const POINTER: &str = "a JSON pointer like `/error/code`";
const ONE_TEST: &str = "exactly one of `equals`, `contains`, `matches`";
const ONE_PLACE: &str = "exactly one of `header`, `json`, `seconds`";
const HEADER: &str = "the name of a header, like `Retry-After`";
const LONGEST_REGEX: usize = 1_000;

type Texts = Option<At<OneOrMore<String>>>;

/// One rule as the file has it, or `None` and the problems.
pub(crate) fn read(file: At<RuleFile>, check: &mut Check<'_>) -> Option<Rule> {
    let At {
        value: file,
        position: at,
    } = file;
    check.about("rule", file.name.as_ref());
    let name = check
        .needed("name", file.name, at, SLUG)
        .and_then(|name| rule_name(&name, check));
    let when = check
        .needed(
            "when",
            file.when,
            at,
            "conditions; `{}` holds for every reply",
        )
        .and_then(|when| conditions(when, check));
    let then = check.needed("then", file.then, at, &readings());
    let then = then.and_then(|word| reading("then", &word, check));
    let retry_after = match file.retry_after {
        None => Some(None),
        Some(file) => retry_after(file, check).map(Some),
    };
    Some(Rule {
        name: name?,
        when: when?,
        then: then?,
        retry_after: retry_after?,
    })
}

pub(crate) fn reading(field: &str, word: &At<String>, check: &mut Check<'_>) -> Option<Reading> {
    check.parsed(field, Some(word), word.position, &readings())
}

pub(crate) fn readings() -> String {
    format!("one of {}", list(Reading::ALL))
}

fn rule_name(name: &At<String>, check: &mut Check<'_>) -> Option<String> {
    let expected = format!("{SLUG}, and not `{OTHERWISE}`");
    check.value("name", name, &expected, |text| {
        slug(text).filter(|name| name != OTHERWISE)
    })
}

fn conditions(when: At<WhenFile>, check: &mut Check<'_>) -> Option<Vec<Condition>> {
    let when = when.value;
    let mut all = Vec::new();
    if let Some(status) = when.status {
        all.push(statuses(status, check).map(Condition::Status));
    }
    if let Some(codes) = when.grpc {
        all.push(grpc(codes, check).map(Condition::Grpc));
    }
    if let Some(headers) = when.header {
        let headers = filled("header", headers, check).unwrap_or_default();
        all.extend(headers.into_iter().map(|file| header(file, check)));
    }
    if let Some(values) = when.json {
        let values = filled("json", values, check).unwrap_or_default();
        all.extend(values.into_iter().map(|file| json(file, check)));
    }
    if let Some(fault) = when.soap_fault {
        all.push(soap_fault(fault.value, check));
    }
    if let Some(text) = when.text {
        all.push(words("text", text, check).map(Condition::Text));
    }
    all.extend(
        when.names_delivery
            .map(|wanted| Some(Condition::NamesDelivery(wanted))),
    );
    all.into_iter().collect()
}

fn statuses(
    statuses: At<OneOrMore<StatusFile>>,
    check: &mut Check<'_>,
) -> Option<Vec<RangeInclusive<u16>>> {
    let statuses: Vec<_> = filled("status", statuses, check)?
        .into_iter()
        .map(|At { value, position }| {
            let text = At {
                value: value.0,
                position,
            };
            check.value("status", &text, STATUS, range)
        })
        .collect();
    statuses.into_iter().collect()
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| text.trim().parse().ok();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (status(first)?, status(last)?);
    (100 <= first && first <= last && last <= 999).then_some(first..=last)
}

fn grpc(codes: At<OneOrMore<String>>, check: &mut Check<'_>) -> Option<Vec<GrpcCode>> {
    let expected = format!("one of {}", list(GrpcCode::ALL));
    let codes = filled("grpc", codes, check)?;
    let codes: Vec<_> = codes
        .iter()
        .map(|code| check.parsed("grpc", Some(code), code.position, &expected))
        .collect();
    codes.into_iter().collect()
}

fn header(file: At<HeaderFile>, check: &mut Check<'_>) -> Option<Condition> {
    let At {
        value: file,
        position: at,
    } = file;
    let name = check.needed("header.name", file.name, at, HEADER);
    let name = name.and_then(|name| header_name("header.name", &name, check));
    let tests = [file.equals, file.contains, file.matches];
    let value = one_test("header", at, tests, check);
    Some(Condition::Header {
        name: name?,
        value: value?,
    })
}

fn json(file: At<JsonFile>, check: &mut Check<'_>) -> Option<Condition> {
    let At {
        value: file,
        position: at,
    } = file;
    let pointer = check.needed("json.pointer", file.pointer, at, POINTER);
    let pointer = pointer.and_then(|text| json_pointer("json.pointer", &text, check));
    let tests = [file.equals, file.contains, file.matches];
    let value = one_test("json", at, tests, check);
    Some(Condition::Json {
        pointer: pointer?,
        value: value?,
    })
}

fn soap_fault(file: SoapFaultFile, check: &mut Check<'_>) -> Option<Condition> {
    let mut part = |field, file: Option<At<WordsFile>>| match file {
        None => Some(None),
        Some(file) => words(field, file, check).map(Some),
    };
    let code = part("soap_fault.code", file.code);
    let text = part("soap_fault.text", file.text);
    Some(Condition::SoapFault {
        code: code?,
        text: text?,
    })
}

fn words(field: &str, file: At<WordsFile>, check: &mut Check<'_>) -> Option<Words> {
    let tests = [file.value.equals, file.value.contains, file.value.matches];
    one_test(field, file.position, tests, check)
}

/// The one of `equals`, `contains` and `matches` that is there.
fn one_test(field: &str, at: Position, tests: [Texts; 3], check: &mut Check<'_>) -> Option<Words> {
    match tests {
        [Some(equals), None, None] => {
            texts(&format!("{field}.equals"), equals, check).map(Words::equal)
        }
        [None, Some(contains), None] => {
            texts(&format!("{field}.contains"), contains, check).map(Words::contained)
        }
        [None, None, Some(matches)] => {
            let field = format!("{field}.matches");
            let regexes: Vec<_> = filled(&field, matches, check)?
                .iter()
                .map(|pattern| regex(&field, pattern, check))
                .collect();
            let regexes: Option<Vec<_>> = regexes.into_iter().collect();
            regexes.map(Words::Matching)
        }
        tests => {
            let count = tests.iter().flatten().count();
            check.problem(at, &format!("`{field}` has {count} tests"), ONE_TEST);
            None
        }
    }
}

fn texts(field: &str, texts: At<OneOrMore<String>>, check: &mut Check<'_>) -> Option<Vec<String>> {
    let texts: Vec<_> = filled(field, texts, check)?
        .iter()
        .map(|text| {
            check.value(field, text, "text that is not blank", |text| {
                (!text.trim().is_empty()).then(|| text.to_owned())
            })
        })
        .collect();
    texts.into_iter().collect()
}

fn regex(field: &str, pattern: &At<String>, check: &mut Check<'_>) -> Option<regex::Regex> {
    let compiled = if pattern.value.len() > LONGEST_REGEX {
        Err(format!("longer than {LONGEST_REGEX} bytes"))
    } else {
        words::regex(&pattern.value)
    };
    match compiled {
        Ok(regex) => Some(regex),
        Err(reason) => {
            let found = format!("`{field}` is `{}`: {reason}", shorten(&pattern.value));
            check.problem(
                pattern.position,
                &found,
                "a regular expression as https://docs.rs/regex has them",
            );
            None
        }
    }
}

fn retry_after(file: At<RetryAfterFile>, check: &mut Check<'_>) -> Option<RetryAfter> {
    match (file.value.header, file.value.json, file.value.seconds) {
        (Some(name), None, None) => {
            header_name("retry_after.header", &name, check).map(RetryAfter::Header)
        }
        (None, Some(pointer), None) => {
            json_pointer("retry_after.json", &pointer, check).map(RetryAfter::Json)
        }
        (None, None, Some(seconds)) => Some(RetryAfter::Seconds(seconds)),
        (header, json, seconds) => {
            let count = [header.is_some(), json.is_some(), seconds.is_some()];
            let count = count.into_iter().filter(|given| *given).count();
            let found = format!("`retry_after` has {count} places");
            check.problem(file.position, &found, ONE_PLACE);
            None
        }
    }
}

fn header_name(field: &str, name: &At<String>, check: &mut Check<'_>) -> Option<String> {
    check.value(field, name, HEADER, |text| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        (!text.is_empty() && text.bytes().all(allowed)).then(|| text.to_owned())
    })
}

fn json_pointer(field: &str, text: &At<String>, check: &mut Check<'_>) -> Option<String> {
    check.value(field, text, POINTER, |text| {
        let is_rooted = text.is_empty() || text.starts_with('/');
        let is_escaped = text
            .split('~')
            .skip(1)
            .all(|rest| rest.starts_with(['0', '1']));
        (is_rooted && is_escaped).then(|| text.to_owned())
    })
}

fn filled<T>(field: &str, values: At<OneOrMore<T>>, check: &mut Check<'_>) -> Option<Vec<At<T>>> {
    let at = values.position;
    let list = OneOrMore::list(values);
    if list.is_empty() {
        check.problem(at, &format!("`{field}` is empty"), "at least one value");
        return None;
    }
    Some(list)
}
