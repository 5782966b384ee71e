use domain::{DeliveryId, EventKind, Status};

use super::*;
use crate::{
    Digest,
    agency::Case,
    test_support,
    toy_pipeline::{Fault, ToyPipeline},
};

#[derive(Default)]
struct Seen {
    snapshots: Vec<Snapshot>,
}

impl Progress for Seen {
    fn show(&mut self, snapshot: &Snapshot) {
        self.snapshots.push(snapshot.clone());
    }
}

struct Play {
    demo: Demo,
    pipeline: ToyPipeline,
    tasks: Tasks,
}

/// A small day, so many times faster than life that it takes two seconds.
async fn play(fault: Option<Fault>, change: impl FnOnce(&mut DemoSettings)) -> Play {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut settings = DemoSettings {
        speed: 20_000.0,
        ports: DemoPorts {
            justice: free,
            police: free,
            social_insurance: free,
            province: free,
        },
        load: Some(Load {
            communes: 60.0,
            provincial: 4.0,
        }),
        ..DemoSettings::of("38".parse().unwrap())
    };
    change(&mut settings);
    let calendars = Arc::new(Calendars::built_in().unwrap());
    let territory = Territory::embedded().unwrap();
    let start = Demo::starts_at(&settings, &calendars).unwrap();
    let clock = Clock::scaled(start, settings.speed);
    let tasks = Tasks::default();
    let demo = Demo::start(settings, &territory, &calendars, clock, &tasks)
        .await
        .unwrap();
    let justice = demo.agencies()[0].address();
    let pipeline = ToyPipeline::start(justice, fault, &tasks);
    Play {
        demo,
        pipeline,
        tasks,
    }
}

fn targets(address: &str) -> DemoTargets<'_> {
    DemoTargets {
        gateway: address,
        tracker: address,
        courier: None,
    }
}

impl Play {
    async fn run(&self) -> (Report, Seen) {
        let (address, mut seen) = (self.pipeline.address().to_string(), Seen::default());
        let stop = CancellationToken::new();
        let run = self
            .demo
            .run(targets(&address), &self.tasks, &stop, &mut seen);
        (run.await.unwrap(), seen)
    }
}

#[tokio::test]
async fn a_day_is_played_to_its_end_and_everything_is_accounted_for() {
    let play = play(None, |_| {}).await;

    let (report, seen) = play.run().await;

    assert_eq!(report.unaccounted_for, Vec::<String>::new());
    assert!(report.is_accounted());
    assert_eq!((report.accepted, report.completed), (64, 64));
    assert_eq!((report.open, report.held, report.dead), (0, 0, 0));
    assert_eq!(report.destinations[0].delivered, 64);
    let last = seen.snapshots.last().unwrap();
    assert_eq!(
        (last.phase, last.handed_in, last.planned),
        (Phase::Finishing, 64, 64)
    );
    assert!(
        seen.snapshots
            .iter()
            .any(|s| s.phase == Phase::Day { number: 1, of: 1 })
    );
    let violations = {
        let queries = TrackerQueries::connect(&play.pipeline.address().to_string()).unwrap();
        let record = play.demo.history().record();
        crate::check(&record, &queries.view(&record).await.unwrap())
    };
    assert_eq!(violations, []);
}

#[tokio::test]
async fn a_lost_event_and_an_invented_arrival_are_found() {
    let loses = play(Some(Fault::LosesOneEvent), |_| {}).await;
    let claims = play(Some(Fault::ClaimsOneDelivery), |_| {}).await;

    let ((lost, _), (claimed, _)) = tokio::join!(loses.run(), claims.run());

    assert!(!lost.is_accounted());
    assert!(
        lost.unaccounted_for[0].contains("is on no timeline"),
        "{lost:?}"
    );
    assert_eq!(claimed.unaccounted, 1, "{:?}", claimed.unaccounted_for);
}

#[tokio::test]
async fn a_dead_agency_leaves_its_dossiers_open_and_ends_the_demo_all_the_same() {
    let dead = |settings: &mut DemoSettings| settings.dead = Some("demo-justice".to_owned());
    let play = play(None, dead).await;

    let (report, _) = play.run().await;

    assert_eq!(
        (report.accepted, report.open, report.completed),
        (64, 64, 0)
    );
    assert_eq!(
        (report.unaccounted, report.destinations[0].pending),
        (0, 64)
    );
}

#[tokio::test]
async fn a_stop_ends_the_play_early_with_a_true_report() {
    let play = play(None, |settings| settings.speed = 2_000.0).await;
    let stop = CancellationToken::new();

    struct StopAtTen(CancellationToken);
    impl Progress for StopAtTen {
        fn show(&mut self, snapshot: &Snapshot) {
            if snapshot.handed_in >= 10 {
                self.0.cancel();
            }
        }
    }
    let address = play.pipeline.address().to_string();
    let mut progress = StopAtTen(stop.clone());
    let report = play
        .demo
        .run(targets(&address), &play.tasks, &stop, &mut progress)
        .await
        .unwrap();

    assert!((10..64).contains(&report.accepted), "{}", report.accepted);
    assert!(report.is_accounted(), "{:?}", report.unaccounted_for);
}

#[tokio::test]
async fn a_live_play_needs_no_clock_of_its_own() {
    let live = |settings: &mut DemoSettings| settings.live = true;
    let play = play(None, live).await;

    let (report, _) = play.run().await;

    assert_eq!(
        (report.accepted, report.completed, report.unaccounted),
        (64, 64, 0)
    );
}

#[test]
fn the_clock_starts_before_the_first_opening_and_days_are_working_days() {
    let calendars = Calendars::built_in().unwrap();
    let mut settings = DemoSettings::of("38".parse().unwrap());
    let start =
        |settings: &DemoSettings| Demo::starts_at(settings, &calendars).unwrap().to_string();
    assert_eq!(
        start(&settings),
        "2026-09-20T23:50:00Z",
        "desks of Thanh Hóa open at 07:00"
    );
    settings.province = "66".parse().unwrap();
    assert_eq!(start(&settings), "2026-09-21T00:20:00Z", "others at 07:30");
    let hours = calendars.get("national-office").unwrap();
    let days = working_days(hours, date(2026, 9, 25), 3).unwrap();
    assert_eq!(
        days,
        [date(2026, 9, 25), date(2026, 9, 28), date(2026, 9, 29)]
    );
}

/// Most certificates of a day are ready on the day itself: the demo's justice is fast, not perfect.
#[test]
fn the_cast_keeps_most_deadlines_and_misses_some() {
    let calendars = Calendars::built_in().unwrap();
    let office = calendars.get("national-office").unwrap();
    let justice = (cast::ROLES[0].script)(office, &[date(2026, 9, 21)]);
    let mut late = 0;
    for number in 0..2_000_u32 {
        let mut delivery = test_support::delivery(&test_support::event("e-1"), "civil-status");
        delivery.id = DeliveryId::from(u128::from(number).to_be_bytes());
        // Spread from 08:00 to 15:00.
        let taken_at = at(office, date(2026, 9, 21), Time::midnight())
            + SignedDuration::from_mins(480 + i64::from(number) % 420);
        let id = "demo-justice".parse().unwrap();
        let planned = Case::new(delivery, Digest::of(b"")).plan(&justice, &id, 1, taken_at);
        let ends = |event: &domain::Event| {
            let status = event.kind;
            status == EventKind::Status(Status::Processed)
                || status == EventKind::Status(Status::Stopped)
        };
        let ended_at = planned
            .iter()
            .find(|planned| ends(&planned.event))
            .unwrap()
            .event
            .time;
        let closing = at(office, date(2026, 9, 21), jiff::civil::time(17, 0, 0, 0));
        late += u32::from(ended_at > closing);
    }
    assert!((1..100).contains(&late), "{late} of 2,000");
}
