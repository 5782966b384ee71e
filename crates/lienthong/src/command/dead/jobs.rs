//! Jobs that send many dead letters again.

use proto::v1::{CancelJobRequest, Job, ListJobsRequest};
use serde_json::{Value, json};

use super::super::client::courier;
use crate::{
    cli::{Consent, CourierArgs, Output},
    exit::{Failure, from_status},
    output::{self, rfc3339, safe, time},
    settings::Settings,
};

pub(super) async fn list(
    at: CourierArgs,
    settings: &Settings,
    format: Output,
) -> Result<(), Failure> {
    let jobs = courier(at, settings)
        .await?
        .list_jobs(ListJobsRequest {})
        .await
        .map_err(|status| from_status("courier", &status))?
        .into_inner()
        .jobs;
    if format == Output::Json {
        let list: Vec<Value> = jobs.iter().map(job_json).collect();
        return Ok(output::json(&list)?);
    }
    let rows: Vec<[String; 9]> = jobs.iter().map(job_row).collect();
    let headings = [
        "JOB",
        "STATE",
        "SINCE (UTC+7)",
        "DONE",
        "OF",
        "REFUSED",
        "PASSED OVER",
        "BY",
        "REASON",
    ];
    output::table(headings, &rows);
    Ok(())
}

fn job_row(job: &Job) -> [String; 9] {
    [
        job.job.clone(),
        job.state.clone(),
        time(job.started_at),
        job.redriven.to_string(),
        job.total.to_string(),
        job.refused.to_string(),
        job.passed_over.to_string(),
        safe(&job.by),
        safe(&job.reason),
    ]
}

fn job_json(job: &Job) -> Value {
    json!({
        "job": job.job,
        "state": job.state,
        "rate_per_second": job.rate_per_second,
        "total": job.total,
        "redriven": job.redriven,
        "refused": job.refused,
        "passed_over": job.passed_over,
        "started_at": rfc3339(job.started_at),
        "by": job.by,
        "reason": job.reason,
        "filter": job.filter,
    })
}

pub(super) async fn cancel(
    job: String,
    consent: Consent,
    at: CourierArgs,
    settings: &Settings,
) -> Result<(), Failure> {
    let Some(signature) = consent.or_say(format_args!("job {} would end", safe(&job)))? else {
        return Ok(());
    };
    let request = CancelJobRequest {
        job,
        by: signature.by,
        reason: signature.reason,
    };
    courier(at, settings)
        .await?
        .cancel_job(request)
        .await
        .map_err(|status| from_status("courier", &status))?;
    output::note("ordered");
    Ok(())
}
