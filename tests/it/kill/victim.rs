use std::time::Duration;

use lienthong::pipeline::{Pipeline, Role};
use rand::{RngExt, rngs::StdRng};

use crate::harness::{Child, House, Launch, Roles, Site, eventually};

/// Some roles that are killed and started again.
pub(crate) struct Victim {
    home: Home,
    roles: Vec<Role>,
    life: Option<Life>,
    /// How it ended without being killed, each time.
    pub(crate) died: Vec<String>,
    /// What it said on standard error before it was killed: errors, unless the logs are turned up.
    pub(crate) said: Vec<String>,
}

/// Where the roles run.
#[derive(Clone)]
pub(crate) enum Home {
    /// In a runtime of their own, over the log and the store of this pipeline.
    Runtime(Box<Pipeline>),
    /// In a process of their own.
    Process,
}

enum Life {
    Runtime(Roles),
    Process(Box<Child>),
}

// === impl Victim ===

impl Victim {
    pub(crate) fn new(home: Home, roles: Vec<Role>) -> Self {
        Self {
            home,
            roles,
            life: None,
            died: Vec::new(),
            said: Vec::new(),
        }
    }

    pub(crate) fn start(&mut self, site: &Site) {
        self.life = Some(match &self.home {
            Home::Runtime(pipeline) => {
                Life::Runtime(Roles::start(pipeline.as_ref().clone(), self.roles.clone()))
            }
            Home::Process => {
                let launch = Launch::Roles(self.roles.clone());
                Life::Process(Box::new(Child::start(site, &launch)))
            }
        });
    }

    /// Waits until it works, if it does not yet.
    pub(crate) async fn ready(&mut self) {
        match &mut self.life {
            Some(Life::Runtime(roles)) => roles.ready().await,
            Some(Life::Process(child)) => child.ready().await,
            None => panic!("it was not started"),
        }
    }

    /// Waits until it is in the midst of its work. A courier whose predecessor was killed as a process is
    /// ready long before that one's leases have ended and it has anything to do.
    async fn at_work(&mut self, house: &House) {
        self.ready().await;
        if self.roles == [Role::Courier] && matches!(self.home, Home::Process) {
            let before = house.taken();
            eventually("the courier hands over", async || {
                (house.taken() > before).then_some(())
            })
            .await;
        }
    }

    /// Kills it at a random instant of its work or, one time in four, of its start; then starts it
    /// again.
    pub(crate) async fn kill_at_random(&mut self, house: &House, chance: &mut StdRng) {
        let site = &house.site;
        let millis = if chance.random_bool(0.75) {
            self.at_work(house).await;
            chance.random_range(100..400)
        } else {
            chance.random_range(0..300)
        };
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.check(site).await;
        match self.life.take() {
            Some(Life::Runtime(roles)) => roles.kill(),
            Some(Life::Process(child)) => {
                let said = child.kill().await;
                self.said.extend(said.lines().map(str::to_owned));
            }
            None => {}
        }
        self.start(site);
    }

    /// The bytes of memory that its process has.
    pub(crate) fn resident(&self) -> u64 {
        match &self.life {
            Some(Life::Process(child)) => child.resident(),
            _ => panic!("it is no process of its own"),
        }
    }

    /// Kills it for good.
    pub(crate) async fn end(&mut self) {
        if let Some(Life::Process(child)) = self.life.take() {
            let said = child.kill().await;
            self.said.extend(said.lines().map(str::to_owned));
        }
    }

    /// Notes an end that nobody asked for, and starts again as a supervisor would.
    pub(crate) async fn check(&mut self, site: &Site) {
        let how = match &mut self.life {
            Some(Life::Runtime(roles)) if !roles.run() => "a task ended".to_owned(),
            Some(Life::Process(child)) => match child.has_ended().await {
                Some(how) => format!("{how:?}"),
                None => return,
            },
            _ => return,
        };
        let names: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        self.died.push(format!("{}: {how}", names.join(", ")));
        self.start(site);
    }
}
