//! The cases of bad days: cuts, floods, garbage.

use std::time::{Duration, Instant};

use super::{
    Case, Finding, Stage,
    client::{Malformed, Queried},
    duties::{failed, taken},
    reading::{Reply, Said},
    sample::{Load, Parcel},
};

/// How many deliveries come at once.
const MANY: u32 = 64;

/// After how long calls are cut.
const CUTS: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(50),
];

/// How long to wait when the endpoint is busy.
const PAUSE: Duration = Duration::from_millis(50);

impl Stage {
    pub(super) async fn cancel(&self) -> Finding {
        let mut cut = Vec::new();
        for (dossier, after) in (1..).zip(CUTS) {
            let parcel = self.parcel(Load::of(Case::Cancel, dossier));
            self.client.cut(&parcel, after).await;
            cut.push(parcel);
        }
        let half = self.parcel(Load::of(Case::Cancel, 0).of_bytes(64 << 10));
        self.client.send_half(&half).await;
        cut.push(half);
        for parcel in &cut {
            let reply = self.insist(parcel).await;
            taken(&reply, "the same delivery after its call was cut")?;
        }
        Ok(format!(
            "{} calls cut; each delivery was taken afterwards",
            cut.len()
        ))
    }

    /// Sends a delivery until it is taken or the endpoint was busy for twice the time-out.
    async fn insist(&self, parcel: &Parcel) -> Reply {
        let begun = Instant::now();
        loop {
            let reply = self.client.send(parcel).await;
            if reply.said != Said::Busy || begun.elapsed() > self.timeout * 2 {
                return reply;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(super) async fn burst(&self) -> Finding {
        let parcels: Vec<Parcel> = (1..=MANY)
            .map(|dossier| self.parcel(Load::of(Case::Burst, dossier)))
            .collect();
        let replies = self.client.send_all(&parcels).await;
        let mut put_off = Vec::new();
        for (parcel, reply) in parcels.iter().zip(&replies) {
            match reply.said {
                Said::Taken | Said::AlreadyTaken => {}
                Said::Busy => put_off.push(parcel),
                _ => return failed(format!("one of {MANY} at once: {}", reply.words)),
            }
        }
        for parcel in &put_off {
            taken(
                &self.insist(parcel).await,
                "one that was put off, sent again alone",
            )?;
        }
        let (mut found, mut missing) = (0, 0);
        for parcel in &parcels {
            match self.client.query(parcel.id()).await {
                Queried::Found { .. } => found += 1,
                Queried::Missing => missing += 1,
                Queried::NotOffered => break,
            }
        }
        if found > 0 && missing > 0 {
            return failed(format!(
                "{missing} of {MANY} that were answered with success are unknown to the query operation"
            ));
        }
        let slowest = replies
            .iter()
            .map(|reply| reply.took)
            .max()
            .unwrap_or_default();
        Ok(format!(
            "{MANY} at once: {} put off and taken later; the slowest answer after {} ms",
            put_off.len(),
            slowest.as_millis()
        ))
    }

    pub(super) async fn malformed(&self) -> Finding {
        let garbage = self.client.send_malformed(Malformed::Garbage).await;
        match garbage.said {
            Said::Refused | Said::Unauthorized | Said::Undecodable => {}
            _ => return failed(format!("garbage: {}", garbage.words)),
        }
        let empty = self.client.send_malformed(Malformed::Empty).await;
        match empty.said {
            Said::Refused | Said::Unauthorized => {}
            _ => {
                return failed(format!(
                    "a delivery in which everything is missing: {}",
                    empty.words
                ));
            }
        }
        let good = self.parcel(Load::of(Case::Malformed, 1));
        taken(
            &self.client.send(&good).await,
            "a valid delivery afterwards",
        )?;
        Ok(format!("refused: {}", garbage.words))
    }
}
