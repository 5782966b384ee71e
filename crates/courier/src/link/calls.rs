//! One call per delivery, many at once, all in the lane's own task.

use std::future::Future;

use domain::AttemptClass;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::time::timeout;

use super::{Answered, Job, Link};
use crate::answer::Answer;

/// Hands over one delivery.
pub(crate) trait Call {
    /// The attempt; its time is limited outside.
    fn call(&self, job: Job) -> impl Future<Output = Answer> + Send;
}

const BATCHES: usize = 64;

/// Calls until no more jobs can come; attempts still open then are given up.
pub(crate) async fn run<C: Call + Sync>(call: C, mut link: Link) {
    let mut open = FuturesUnordered::new();
    let mut batches = Vec::new();
    loop {
        tokio::select! {
            received = link.jobs.recv_many(&mut batches, BATCHES) => {
                if received == 0 {
                    return;
                }
                for job in batches.drain(..).flatten() {
                    open.push(attempt(&call, job, link.patience.clone()));
                }
            }
            Some(first) = open.next(), if !open.is_empty() => {
                let mut answered = vec![first];
                while let Some(Some(next)) = open.next().now_or_never() {
                    answered.push(next);
                }
                link.report(answered);
            }
        }
    }
}

async fn attempt<C: Call>(call: &C, job: Job, patience: super::Patience) -> Answered {
    let (id, limit) = (job.id, patience.real());
    let started_at = patience.clock.now();
    let answer = match timeout(limit, call.call(job)).await {
        Ok(answer) => answer,
        Err(_) => Answer::timeout(patience.timeout),
    };
    Answered {
        id,
        started_at,
        took: since(&patience.clock, started_at),
        answer,
    }
}

/// How long ago that was, by the clock.
pub(crate) fn since(clock: &runtime::Clock, started_at: jiff::Timestamp) -> std::time::Duration {
    clock
        .now()
        .duration_since(started_at)
        .try_into()
        .unwrap_or_default()
}

/// An answer for a job that cannot even be tried.
pub(crate) fn impossible(reason: impl AsRef<str>) -> Answer {
    Answer::new(AttemptClass::Permanent, reason)
}
