//! One puller's stream: credit in, leases out.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use proto::v1::{self, work_request, work_response};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tonic::{Status, Streaming};

use super::grpc::span;
use super::{MOST, Pulls, Refusal, not_zero};
use crate::link::pull::{Bound, Closed, Shelf};

/// A stream that is being served.
pub(super) struct Work {
    pulls: Pulls,
    inbound: Streaming<v1::WorkRequest>,
    responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
}

/// A stream that has said which destination it works for.
struct Opened {
    pulls: Pulls,
    shelf: Arc<Shelf>,
    destination: String,
    lease: Option<Duration>,
    /// So many more leases may be sent.
    credit: usize,
    /// Taken over this stream, without a verdict that came over it.
    held: HashSet<String>,
    inbound: Streaming<v1::WorkRequest>,
    responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
}

/// How a stream goes on.
enum Next {
    /// As before.
    On,
    /// The puller said everything, is gone, or said goodbye.
    Ended,
}

/// How long a puller may take to give its last verdicts once the stop was asked for.
const LAST_VERDICTS: Duration = Duration::from_secs(2);

// === impl Work ===

impl Work {
    pub(super) fn new(
        pulls: Pulls,
        inbound: Streaming<v1::WorkRequest>,
        responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
    ) -> Self {
        Self {
            pulls,
            inbound,
            responses,
        }
    }

    /// Serves until the puller has said everything, is gone, or the process stops. A puller that does not
    /// read what it is sent stops being read.
    pub(super) async fn run(self) {
        let stop = self.pulls.stop();
        let patience = async {
            stop.cancelled().await;
            sleep(LAST_VERDICTS).await;
        };
        tokio::select! {
            () = self.whole() => {}
            () = patience => {}
        }
    }

    async fn whole(mut self) {
        let stop = self.pulls.stop();
        let Some(Some(Ok(first))) = stop.run_until_cancelled(self.inbound.next()).await else {
            return;
        };
        let responses = self.responses.clone();
        let ended = match self.open(first) {
            Ok(opened) => opened.serve().await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = ended {
            // A puller that is gone needs no reason.
            let _ = responses.send(Err(refusal.into())).await;
        }
    }

    fn open(self, first: v1::WorkRequest) -> Result<Opened, Refusal> {
        let Some(work_request::Request::Open(open)) = first.request else {
            return Err(invalid("must come first"));
        };
        let shelf = Arc::clone(self.pulls.shelf(&open.destination)?);
        Ok(Opened {
            pulls: self.pulls,
            shelf,
            destination: open.destination,
            lease: not_zero("lease", span(open.lease))?,
            credit: 0,
            held: HashSet::new(),
            inbound: self.inbound,
            responses: self.responses,
        })
    }
}

// === impl Opened ===

impl Opened {
    async fn serve(mut self) -> Result<(), Refusal> {
        let stop = self.pulls.stop();
        let shelf = Arc::clone(&self.shelf);
        loop {
            let arrived = shelf.arrived();
            if stop.is_cancelled() {
                break;
            }
            self.hand_out()?;
            let is_full = self.responses.capacity() == 0;
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.responses.closed() => return Ok(()),
                request = self.inbound.next() => {
                    if matches!(self.said(request).await?, Next::Ended) {
                        return Ok(());
                    }
                }
                () = arrived, if self.credit > 0 => {}
                () = room(&self.responses), if is_full && self.credit > 0 => {}
            }
        }
        self.last_verdicts().await
    }

    /// After the stop nothing is handed out, but what is held may still be answered for.
    async fn last_verdicts(&mut self) -> Result<(), Refusal> {
        loop {
            self.forget_ended();
            if self.held.is_empty() {
                return Ok(());
            }
            let request = self.inbound.next().await;
            if matches!(self.said(request).await?, Next::Ended) {
                return Ok(());
            }
        }
    }

    /// Leases run out, and end by other calls.
    fn forget_ended(&mut self) {
        let shelf = &self.shelf;
        self.held.retain(|token| shelf.holds(token));
    }

    /// Sends as many leases as there are credit, room and deliveries for.
    fn hand_out(&mut self) -> Result<(), Refusal> {
        let room = self.credit.min(self.responses.capacity());
        if room == 0 {
            return self.still_open();
        }
        if self.held.len() > MOST {
            self.forget_ended();
        }
        let leases = self.shelf.take(Bound::of(room), self.lease);
        for lease in leases.map_err(|Closed| self.closed())? {
            self.credit -= 1;
            self.held.insert(lease.token.clone());
            // There is room, as nobody else sends; when the puller has just gone, the lease runs out.
            let _ = self.responses.try_send(Ok(response(lease)));
        }
        Ok(())
    }

    fn still_open(&self) -> Result<(), Refusal> {
        self.shelf
            .is_open()
            .then_some(())
            .ok_or_else(|| self.closed())
    }

    fn closed(&self) -> Refusal {
        Refusal::Closed(self.destination.clone())
    }

    async fn said(
        &mut self,
        request: Option<Result<v1::WorkRequest, Status>>,
    ) -> Result<Next, Refusal> {
        use work_request::Request;

        let Some(Ok(request)) = request else {
            return Ok(Next::Ended);
        };
        let destination = self.destination.clone();
        let answers = match request.request {
            Some(Request::Credit(more)) => {
                let more = usize::try_from(more).unwrap_or(usize::MAX);
                self.credit = self.credit.saturating_add(more);
                return Ok(Next::On);
            }
            Some(Request::Confirm(confirmation)) => {
                self.held.remove(&confirmation.token);
                self.pulls.confirm(&destination, vec![confirmation])?
            }
            Some(Request::Extend(extend)) => {
                let by = not_zero("by", span(extend.by))?;
                self.pulls.extend(&destination, vec![extend.token], by)?
            }
            Some(Request::Release(token)) => {
                self.held.remove(&token);
                self.pulls.release(&destination, vec![token])?
            }
            Some(Request::Goodbye(_)) => {
                for token in self.held.drain() {
                    // One that has ended in another way needs no release.
                    let _ = self.shelf.release(&token);
                }
                return Ok(Next::Ended);
            }
            Some(Request::Open(_)) => return Err(invalid("must come once")),
            None => return Err(invalid("or another request must be there")),
        };
        for answer in answers {
            let response = Some(work_response::Response::Answer(answer));
            let sent = self.responses.send(Ok(v1::WorkResponse { response })).await;
            if sent.is_err() {
                return Ok(Next::Ended);
            }
        }
        Ok(Next::On)
    }
}

/// Waits until one more response can be sent, or nobody reads them.
async fn room(responses: &mpsc::Sender<Result<v1::WorkResponse, Status>>) {
    let _ = responses.reserve().await;
}

fn invalid(reason: &str) -> Refusal {
    Refusal::Invalid {
        field: "open",
        reason: reason.to_owned(),
    }
}

fn response(lease: v1::Lease) -> v1::WorkResponse {
    v1::WorkResponse {
        response: Some(work_response::Response::Lease(lease)),
    }
}
