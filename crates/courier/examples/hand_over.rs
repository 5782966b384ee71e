//! What handing over costs: deliveries per second over one stream, CPU per delivery by thread, and
//! the memory of deliveries parked for a destination that is away.
//!
//! ```sh
//! cargo run --release -p courier --example hand_over -- 100000
//! ```
#![expect(clippy::print_stdout, reason = "it exists to print figures")]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use calendar::Calendars;
use courier::{Config, Handle, Service};
use domain::{Classification, Delivery, DeliveryId, Destination, RetrySteps, Terms, UnitRef};
use futures_util::{Stream, StreamExt};
use log::{Log, Record, Topic};
use proto::v1::inbox_server::{Inbox, InboxServer};
use proto::v1::{self, verdict::Verdict};
use runtime::{Clock, Health, Tasks};
use store::Store;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, transport::Server};

type Failure = Box<dyn std::error::Error>;

/// Takes everything at once.
struct Instantly(Arc<AtomicUsize>);

const BATCH: usize = 500;
/// Clock ticks of /proc are hundredths of a second on Linux.
const TICK_MICROS: u64 = 10_000;

#[tonic::async_trait]
impl Inbox for Instantly {
    type DeliverStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::DeliverStreamResponse, Status>> + Send>>;

    async fn deliver(
        &self,
        _: Request<v1::DeliverRequest>,
    ) -> Result<Response<v1::DeliverResponse>, Status> {
        Err(Status::unimplemented("stream only"))
    }

    async fn deliver_stream(
        &self,
        request: Request<Streaming<v1::DeliverStreamRequest>>,
    ) -> Result<Response<Self::DeliverStreamStream>, Status> {
        let count = self.0.clone();
        let verdicts = request.into_inner().map(move |request| {
            count.fetch_add(1, Ordering::Relaxed);
            let delivery_id = request?.delivery.unwrap_or_default().id;
            let verdict = Some(Verdict::Taken(v1::Taken {}));
            Ok(v1::DeliverStreamResponse {
                delivery_id,
                verdict: Some(v1::Verdict { verdict }),
            })
        });
        Ok(Response::new(Box::pin(verdicts)))
    }

    async fn query(
        &self,
        _request: Request<v1::QueryRequest>,
    ) -> Result<Response<v1::QueryResponse>, Status> {
        Err(Status::unimplemented("it keeps nothing"))
    }
}

fn delivery(n: usize, destination: &str) -> Result<Delivery, Failure> {
    let (dossier, step) = (format!("dossier-{n:08}").parse()?, "residence".parse()?);
    let route = "birth@2026-09-01".parse()?;
    Ok(Delivery {
        id: DeliveryId::derive(&dossier, &route, &step, 0),
        dossier,
        code: None,
        procedure: "3.000722".parse()?,
        route,
        step,
        agency: "justice".parse()?,
        destination: destination.parse()?,
        unit: UnitRef {
            code: "14797".parse()?,
            valid_on: "2026-09-21".parse()?,
        },
        province: None,
        classification: Classification::Internal,
        received_at: "2026-09-21T02:00:00Z".parse()?,
        opened_at: "2026-09-21T02:05:00Z".parse()?,
        due_at: "2026-09-25T10:00:00Z".parse()?,
        dossier_due_at: "2026-09-25T10:00:00Z".parse()?,
        task: "Đăng ký thường trú".to_owned(),
        product: "registration".to_owned(),
        legal_basis: "an example".to_owned(),
        cause: ("desk".parse()?, "e-1".parse()?),
        content_type: "application/json".to_owned(),
        data: Bytes::from(vec![b'x'; 1024]),
    })
}

fn record(n: usize, destination: &str) -> Result<Record, Failure> {
    let delivery = delivery(n, destination)?;
    let dossier = delivery.dossier.clone();
    let (attributes, data) = proto::encode_delivery(delivery);
    Ok(consumer::record(&dossier, attributes, data))
}

fn destination(id: &str, address: SocketAddr) -> Result<Destination, Failure> {
    Ok(Destination {
        id: id.parse()?,
        agency: "justice".parse()?,
        endpoint: format!("grpc://{address}").parse()?,
        calendar: "national-office".parse()?,
        max_in_flight: 512,
        timeout: Duration::from_secs(30),
        retry: RetrySteps {
            steps: vec![Duration::from_secs(60)],
            max_attempts: 10,
        },
        terms: Terms::default(),
    })
}

/// CPU ticks by the first part of the thread's name.
fn cpu_by_thread() -> BTreeMap<String, u64> {
    let mut ticks = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(')') else {
            continue;
        };
        let name = head.split_once('(').map_or("", |(_, name)| name);
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let spent = |index: usize| fields.get(index).and_then(|f| f.parse::<u64>().ok());
        let total = spent(11).unwrap_or(0) + spent(12).unwrap_or(0);
        *ticks.entry(name.to_owned()).or_default() += total;
    }
    ticks
}

fn resident_mib() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4 / 1024
}

async fn agency(
    address: SocketAddr,
    count: Arc<AtomicUsize>,
    tasks: Tasks,
) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tasks.spawn("agency", |stop| {
        let service = InboxServer::new(Instantly(count));
        Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
    });
    Ok(address)
}

/// A courier with a destination that answers at once and one that is away.
struct Setting {
    log: Log,
    courier: Handle,
    count: Arc<AtomicUsize>,
    tasks: Tasks,
    scratch: PathBuf,
}

async fn set_up(agencies: &Runtime) -> Result<Setting, Failure> {
    let scratch = std::env::temp_dir().join(format!("hand-over-{}", std::process::id()));
    let clock = Clock::system();
    let log_clock = clock.clone();
    let embedded = log::Embedded::new(scratch.join("log"), Arc::new(move || log_clock.now()));
    let log = Log::open(log::Config::Embedded(embedded)).await?;
    let store = Store::open(store::Config::sqlite(scratch.join("store.db"))).await?;
    let (tasks, count) = (Tasks::default(), Arc::new(AtomicUsize::new(0)));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let (there, served) = (tasks.clone(), count.clone());
    let listening = async move { agency(any, served, there).await.map_err(|e| e.to_string()) };
    let address = agencies.spawn(listening).await??;
    let nobody = TcpListener::bind(any).await?.local_addr()?;
    let destinations = vec![
        destination("justice", address)?,
        destination("away", nobody)?,
    ];
    let config = Config::new(destinations, Arc::new(Calendars::built_in()?));
    let health = Health::default();
    let courier = Service::start(config, log.clone(), store, clock, &tasks, health).await?;
    Ok(Setting {
        log,
        courier,
        count,
        tasks,
        scratch,
    })
}

async fn append(log: &Log, from: usize, number: usize, to: &str) -> Result<(), Failure> {
    let end = from + number;
    for first in (from..end).step_by(BATCH) {
        let records = (first..end.min(first + BATCH)).map(|n| record(n, to));
        log.append(Topic::Deliveries, records.collect::<Result<_, _>>()?)
            .await?;
    }
    Ok(())
}

async fn measure_rate(setting: &Setting, number: usize) -> Result<(), Failure> {
    let Setting { log, count, .. } = setting;
    let (begun, before) = (Instant::now(), cpu_by_thread());
    append(log, 0, number, "justice").await?;
    let appended = begun.elapsed().as_secs_f64();
    while count.load(Ordering::Relaxed) < number || outcomes(log).await? < number {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let rate = number as f64 / took;
    println!(
        "{number} deliveries of 1 KiB in {took:.2} s, {rate:.0}/s; appended in {appended:.2} s"
    );
    println!("CPU per delivery by thread, in µs:");
    let mut sum = 0.0;
    for (thread, ticks) in cpu_by_thread() {
        let spent = ticks - before.get(&thread).copied().unwrap_or(0);
        let micros = (spent * TICK_MICROS) as f64 / number as f64;
        if micros >= 0.1 {
            println!("  {thread:<20} {micros:>6.1}");
            sum += micros;
        }
    }
    println!("  {:<20} {sum:>6.1}", "sum");
    Ok(())
}

async fn measure_parked(setting: &Setting, from: usize, parked: usize) -> Result<(), Failure> {
    let before = resident_mib();
    append(&setting.log, from, parked, "away").await?;
    loop {
        let lanes = setting.courier.lanes().await;
        let number = |key: &str| lanes[0][key].as_u64().unwrap_or(0);
        if number("queued") + number("waiting") + number("in_flight") == parked as u64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "{parked} parked: {before} MiB before, {} MiB after",
        resident_mib()
    );
    Ok(())
}

async fn outcomes(log: &Log) -> Result<usize, Failure> {
    let bounds = log.bounds(Topic::Outcomes).await?;
    let ends = bounds
        .iter()
        .map(|bounds| usize::try_from(bounds.end).unwrap_or(0));
    Ok(ends.sum())
}

fn main() -> Result<(), Failure> {
    let number = std::env::args()
        .nth(1)
        .map_or(Ok(100_000), |text| text.parse())?;
    let runtime = |name| {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(2)
            .thread_name(name)
            .enable_all()
            .build()
    };
    let (agencies, courier) = (runtime("agency")?, runtime("courier")?);
    courier.block_on(async {
        let setting = set_up(&agencies).await?;
        measure_rate(&setting, number).await?;
        measure_parked(&setting, number, 100_000).await?;
        setting.tasks.drain(Duration::from_secs(10)).await?;
        fs::remove_dir_all(&setting.scratch)?;
        Ok(())
    })
}
