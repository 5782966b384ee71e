//! The cases that every receiver meets every day.

use sha2::{Digest, Sha256};

use super::{
    Case, Finding, Stage, Trouble,
    client::Queried,
    reading::{Reply, Said},
    sample::{Load, Parcel},
    wire::UNKNOWN_FIELD,
};

/// How many deliveries of the case `slow` are in flight at once.
const A_FEW: u32 = 8;

/// The largest payload: a record of the log holds 1 MiB, and the envelope needs its part.
const LARGEST_PAYLOAD: usize = (1 << 20) - (16 << 10);

/// What else the payload's JSON takes.
const JSON_AROUND: usize = 128;

impl Stage {
    pub(super) async fn happy(&self) -> Finding {
        let parcel = self.parcel(Load::of(Case::Happy, 1));
        let reply = self.client.send(&parcel).await;
        taken(&reply, "a valid delivery")?;
        let seen = match self.client.query(parcel.id()).await {
            Queried::Found { .. } => "; the query operation knows it",
            Queried::Missing | Queried::NotOffered => "",
        };
        Ok(format!("taken in {} ms{seen}", reply.took.as_millis()))
    }

    pub(super) async fn duplicate(&self) -> Finding {
        let parcel = self.parcel(Load::of(Case::Duplicate, 1));
        taken(&self.client.send(&parcel).await, "the delivery")?;
        for repeat in ["the repeat", "the second repeat"] {
            let reply = self.client.send(&parcel).await;
            taken(&reply, repeat)?;
            if reply.said == Said::Taken && self.client.has_word_for_repeats() {
                return failed(format!(
                    "{repeat} was answered `taken`, as if it were new, instead of `already_taken`"
                ));
            }
        }
        match self.client.query(parcel.id()).await {
            Queried::Found {
                effects: Some(effects),
                ..
            } if effects != 1 => failed(format!(
                "sent three times, it had {effects} effects by the query operation"
            )),
            Queried::Found {
                effects: Some(_), ..
            } => Ok(
                "two repeats taken without effect; the query operation tells one effect".to_owned(),
            ),
            Queried::Found { .. } | Queried::Missing | Queried::NotOffered => Ok(
                "two repeats answered with success; effects are not told, check them on your side"
                    .to_owned(),
            ),
        }
    }

    pub(super) async fn conflict(&self) -> Finding {
        let first = self.parcel(Load::of(Case::Conflict, 1));
        let new = self.client.send(&first).await;
        taken(&new, "the delivery")?;
        let mut other = first.clone();
        let changed = self.parcel(Load::of(Case::Conflict, 1).noting("changed on the way"));
        other.delivery.data = changed.delivery.data;
        let reply = self.client.send(&other).await;
        match reply.said {
            Said::AlreadyTaken => {}
            Said::Refused | Said::OutOfOrder => {
                return Ok(format!("refused: {}", reply.words));
            }
            Said::Taken if self.client.has_word_for_repeats() => {
                return failed("another content under the same id was answered `taken`".to_owned());
            }
            Said::Taken => {}
            _ => {
                return failed(format!(
                    "another content under the same id: {}",
                    reply.words
                ));
            }
        }
        match self.client.query(first.id()).await {
            Queried::Found {
                effects: Some(effects),
                ..
            } if effects != 1 => failed(format!("it had {effects} effects by the query operation")),
            Queried::Found {
                digest: Some(digest),
                ..
            } if digest != digest_of(&first) => failed(format!(
                "the query operation tells the digest {digest}, which is not that of the first content"
            )),
            Queried::Found { .. } => {
                Ok("the first content stays, by the query operation".to_owned())
            }
            Queried::Missing | Queried::NotOffered if reply.said == Said::AlreadyTaken => {
                Ok(format!("answered as a repeat: {}", reply.words))
            }
            Queried::Missing | Queried::NotOffered => Err(Trouble::NotChecked(format!(
                "answered like a new one ({}), and there is no query operation to ask what was kept; \
                 answer 409 or 422, or offer the query operation",
                reply.words
            ))),
        }
    }

    pub(super) async fn out_of_order(&self) -> Finding {
        let earlier = self.parcel(Load::of(Case::OutOfOrder, 1));
        let later = self.parcel(Load::of(Case::OutOfOrder, 1).later());
        let early = self.client.send(&later).await;
        let seen = match early.said {
            Said::Taken => "taken before its predecessor",
            Said::OutOfOrder => "refused as out of order until its predecessor had come",
            Said::Busy => "put off until its predecessor had come",
            _ => {
                return failed(format!(
                    "the later step, before its predecessor: {}",
                    early.words
                ));
            }
        };
        taken(&self.client.send(&earlier).await, "the predecessor")?;
        taken(
            &self.client.send(&later).await,
            "the later step, after its predecessor",
        )?;
        Ok(seen.to_owned())
    }

    pub(super) async fn slow(&self) -> Finding {
        let parcels: Vec<Parcel> = (1..=A_FEW)
            .map(|dossier| self.parcel(Load::of(Case::Slow, dossier)))
            .collect();
        let replies = self.client.send_all(&parcels).await;
        let in_time = |reply: &&Reply| reply.is_success() || reply.said == Said::Busy;
        if let Some(reply) = replies.iter().find(|reply| !in_time(reply)) {
            return failed(format!("with {A_FEW} in flight: {}", reply.words));
        }
        let slowest = replies
            .iter()
            .map(|reply| reply.took)
            .max()
            .unwrap_or_default();
        Ok(format!(
            "{A_FEW} at once, the slowest answer after {} of {} ms",
            slowest.as_millis(),
            self.timeout.as_millis()
        ))
    }

    pub(super) async fn large(&self) -> Finding {
        let load = Load::of(Case::Large, 1).of_bytes(LARGEST_PAYLOAD - JSON_AROUND);
        let parcel = self.parcel(load);
        let bytes = parcel.delivery.data.len();
        let reply = self.client.send(&parcel).await;
        taken(&reply, &format!("a payload of {bytes} bytes"))?;
        Ok(format!(
            "{bytes} bytes taken in {} ms",
            reply.took.as_millis()
        ))
    }

    pub(super) async fn unknown_field(&self) -> Finding {
        let in_envelope = Parcel {
            headers: vec![("ce-conformanceunknown", "?".to_owned())],
            unknown: UNKNOWN_FIELD,
            ..self.parcel(Load::of(Case::UnknownField, 1))
        };
        let reply = self.client.send(&in_envelope).await;
        taken(&reply, "an unknown field of the message, or header")?;
        let in_payload = self.parcel(Load::of(Case::UnknownField, 2));
        let in_payload = in_payload.with_member("conformance_unknown");
        taken(
            &self.client.send(&in_payload).await,
            "an unknown member of the JSON payload",
        )?;
        Ok("ignored in the message and in the payload".to_owned())
    }

    pub(super) async fn bad_signature(&self) -> Finding {
        let plain = self.parcel(Load::of(Case::BadSignature, 1));
        let signed = Parcel {
            headers: vec![
                ("webhook-id", plain.id().to_owned()),
                (
                    "webhook-timestamp",
                    self.clock.now().as_second().to_string(),
                ),
                ("webhook-signature", WRONG_SIGNATURE.to_owned()),
            ],
            ..plain
        };
        let reply = self.client.send(&signed).await;
        match reply.said {
            Said::Unauthorized => Ok(format!("refused: {}", reply.words)),
            Said::Taken | Said::AlreadyTaken => Err(Trouble::NotChecked(
                "taken: the endpoint does not check signatures; they are not in force yet"
                    .to_owned(),
            )),
            _ => failed(format!("a wrong signature: {}", reply.words)),
        }
    }
}

/// Well formed, and of nothing.
const WRONG_SIGNATURE: &str = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

pub(super) fn failed(reason: String) -> Finding {
    Err(Trouble::Failed(reason))
}

/// That a delivery was answered with success.
pub(super) fn taken(reply: &Reply, what: &str) -> Result<(), Trouble> {
    if reply.is_success() {
        return Ok(());
    }
    Err(Trouble::Failed(format!("{what}: {}", reply.words)))
}

fn digest_of(parcel: &Parcel) -> String {
    let digest = Sha256::digest(&parcel.delivery.data);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
