use crate::condition::Condition;
use crate::facts::Facts;
use crate::{Reading, Reply};

/// Rules in their order, and the reading of what none of them knows. The default has no rules and reads by
/// status or code alone.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) otherwise: Otherwise,
}

/// How a reply was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match<'r> {
    /// What it means.
    pub reading: Reading,
    /// The rule that says so; `None`: no rule knew it.
    pub rule: Option<&'r str>,
    /// How long the destination asks us to wait: seconds or a date, as it wrote them.
    pub retry_after: Option<String>,
}

/// One rule.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// All of them must hold.
    pub(crate) when: Vec<Condition>,
    pub(crate) then: Reading,
    pub(crate) retry_after: Option<RetryAfter>,
}

/// Where a rule finds the wait.
#[derive(Clone, Debug)]
pub(crate) enum RetryAfter {
    Header(String),
    Json(String),
    Seconds(u32),
}

/// What a reply means that no rule knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Otherwise {
    #[default]
    ByDefault,
    Always(Reading),
}

/// The longest text that can be a wait: an HTTP date takes 29 characters.
const LONGEST_WAIT: usize = 64;

// === impl Rules ===

impl Rules {
    /// What the reply means.
    pub fn read(&self, reply: &Reply<'_>) -> Match<'_> {
        let facts = Facts::new(reply);
        let rule = self.rules.iter().find(|rule| rule.holds(&facts));
        let reading = match (rule, self.otherwise) {
            (Some(rule), _) => rule.then,
            (None, Otherwise::Always(reading)) => reading,
            (None, Otherwise::ByDefault) => Reading::by_default(reply),
        };
        let told = rule.and_then(|rule| rule.retry_after.as_ref()?.find(&facts));
        Match {
            reading,
            rule: rule.map(|rule| rule.name.as_str()),
            retry_after: told.or_else(|| header(&facts, "Retry-After")),
        }
    }

    /// The names of the rules, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }
}

// === impl Rule ===

impl Rule {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        self.when.iter().all(|condition| condition.holds(facts))
    }
}

// === impl RetryAfter ===

impl RetryAfter {
    fn find(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Self::Header(name) => header(facts, name),
            Self::Json(pointer) => facts.json_text(pointer).and_then(|text| wait(&text)),
            Self::Seconds(seconds) => Some(seconds.to_string()),
        }
    }
}

fn header(facts: &Facts<'_>, name: &str) -> Option<String> {
    facts.reply.header(name).find_map(wait)
}

fn wait(text: &str) -> Option<String> {
    let text = text.trim();
    (1..=LONGEST_WAIT)
        .contains(&text.len())
        .then(|| text.to_owned())
}
