use std::ops::RangeInclusive;

use crate::GrpcCode;
use crate::facts::Facts;
use crate::fold::fold;
use crate::words::Words;

/// One condition of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    Status(Vec<RangeInclusive<u16>>),
    Grpc(Vec<GrpcCode>),
    Header {
        name: String,
        value: Words,
    },
    Json {
        pointer: String,
        value: Words,
    },
    SoapFault {
        code: Option<Words>,
        text: Option<Words>,
    },
    Text(Words),
    NamesDelivery(bool),
}

// === impl Condition ===

impl Condition {
    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        let any = |words: &Words, texts: &[String]| texts.iter().any(|text| words.hold(text));
        let reply = facts.reply;
        match self {
            Self::Status(ranges) => reply
                .status
                .is_some_and(|status| ranges.iter().any(|range| range.contains(&status))),
            Self::Grpc(codes) => reply.grpc.is_some_and(|code| codes.contains(&code)),
            Self::Header { name, value } => {
                reply.header(name).any(|found| value.hold(&fold(found)))
            }
            Self::Json { pointer, value } => facts
                .json_text(pointer)
                .is_some_and(|found| value.hold(&fold(&found))),
            Self::SoapFault { code, text } => facts.fault().is_some_and(|fault| {
                code.as_ref().is_none_or(|words| any(words, &fault.codes))
                    && text.as_ref().is_none_or(|words| any(words, &fault.texts))
            }),
            Self::Text(words) => any(words, facts.said()),
            Self::NamesDelivery(wanted) => reply.names_delivery() == *wanted,
        }
    }
}
