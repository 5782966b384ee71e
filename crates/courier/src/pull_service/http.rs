use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use proto::v1;
use serde::de::DeserializeOwned;

use super::bodies::{AnswerBody, ConfirmBody, ExtendBody, OneOrMany, ReleaseBody, TakeQuery};
use super::problem::Problem;
use super::{Ask, Pulls, not_zero};
use crate::cloud_event;

type Body = Result<Bytes, BytesRejection>;
type Answer = Result<Json<Vec<AnswerBody>>, Problem>;

/// Of a request's body.
const LARGEST_BODY: usize = 512 << 10;
const BATCH: &str = "application/cloudevents-batch+json";

/// `POST /pull/{destination}/take|confirm|extend|release`.
pub(crate) fn router(pulls: Pulls) -> Router {
    Router::new()
        .route("/pull/{destination}/take", post(take))
        .route("/pull/{destination}/confirm", post(confirm))
        .route("/pull/{destination}/extend", post(extend))
        .route("/pull/{destination}/release", post(release))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(pulls)
}

async fn take(
    State(pulls): State<Pulls>,
    Path(destination): Path<String>,
    query: Result<Query<TakeQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) =
        query.map_err(|error| Problem::unreadable(error.status(), error.body_text()))?;
    let ask = Ask::new(query.max, query.wait()?, query.lease()?)?;
    let leases = pulls.take(&destination, ask).await?;
    let events = leases.into_iter().filter_map(cloud_event);
    let batch = format!("[{}]\n", events.collect::<Vec<_>>().join(","));
    Ok(([(header::CONTENT_TYPE, BATCH)], batch).into_response())
}

async fn confirm(
    State(pulls): State<Pulls>,
    Path(destination): Path<String>,
    body: Body,
) -> Answer {
    let all = read::<OneOrMany<ConfirmBody>>(body)?.into_vec();
    let all: Result<Vec<_>, _> = all.into_iter().map(ConfirmBody::into_wire).collect();
    Ok(answer(pulls.confirm(&destination, all?)?))
}

async fn extend(State(pulls): State<Pulls>, Path(destination): Path<String>, body: Body) -> Answer {
    let body: ExtendBody = read(body)?;
    let by = not_zero("by", body.by()?)?;
    let tokens = body.tokens.into_vec();
    Ok(answer(pulls.extend(&destination, tokens, by)?))
}

async fn release(
    State(pulls): State<Pulls>,
    Path(destination): Path<String>,
    body: Body,
) -> Answer {
    let body: ReleaseBody = read(body)?;
    let tokens = body.tokens.into_vec();
    Ok(answer(pulls.release(&destination, tokens)?))
}

/// Whatever media type the client names: `curl --data` says that it is a form.
fn read<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let body = body.map_err(|error| Problem::unreadable(error.status(), error.body_text()))?;
    let read = serde_json::from_slice(&body);
    read.map_err(|error| Problem::unreadable(StatusCode::BAD_REQUEST, error))
}

fn answer(answers: Vec<v1::LeaseAnswer>) -> Json<Vec<AnswerBody>> {
    Json(answers.into_iter().map(AnswerBody::from).collect())
}

/// A leased delivery as a CloudEvent in structured mode; token and end of the lease are two more
/// attributes.
fn cloud_event(lease: v1::Lease) -> Option<String> {
    let until = proto::timestamp_from_wire("until", lease.until).ok()?;
    let more = [
        ("leasetoken", lease.token),
        ("leaseuntil", until.to_string()),
    ];
    Some(cloud_event::to_json(&lease.delivery?, more))
}
