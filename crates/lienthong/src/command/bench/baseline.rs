use std::time::{Duration, Instant};

use log::{Log, Record, Topic};
use runtime::Clock;

use super::{
    child::{Backend, Scratch},
    echo::Echo,
    figure::Figure,
    load::{self, QUICK},
};

const BATCH: usize = 500;
const APPENDERS: usize = 8;

/// What the parts alone can do: gRPC echo, and bare appends to each log.
pub(crate) async fn measure(backends: &[Backend], span: Duration) -> anyhow::Result<Vec<Figure>> {
    let echo = Echo::start().await?;
    let sample = load::event("echo", 0, QUICK, &Clock::system());
    let unary = echo.unary_rate(64, &sample, span).await;
    let stream = echo.stream_rate(&sample, span).await?;
    echo.stop().await;
    let mut figures = vec![
        Figure::plain("baseline.echo.unary", unary, "calls/s"),
        Figure::plain("baseline.echo.stream", stream, "messages/s"),
    ];
    for backend in backends {
        let scratch = Scratch::new("append")?;
        let log = Log::open(backend.log(&scratch)).await?;
        let rate = append_rate(&log, span).await?;
        let name = format!("baseline.append.{}", backend.name);
        figures.push(Figure::plain(name, rate, "records/s"));
    }
    Ok(figures)
}

async fn append_rate(log: &Log, span: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let appenders = (0..APPENDERS).map(|appender| async move {
        let mut done = 0_usize;
        while begun.elapsed() < span {
            let records: Vec<Record> = (0..BATCH).map(|n| record(appender, done + n)).collect();
            done += log.append(Topic::Events, records).await?.len();
        }
        Ok::<_, log::AppendError>(done)
    });
    let done: usize = futures_util::future::try_join_all(appenders)
        .await?
        .into_iter()
        .sum();
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

fn record(appender: usize, number: usize) -> Record {
    let headers = vec![
        ("id".into(), format!("{appender}-{number}")),
        ("source".into(), "bench-desk".to_owned()),
    ];
    Record {
        key: format!("bench-{appender}-{number}"),
        headers,
        value: vec![b'x'; 1024].into(),
    }
}
