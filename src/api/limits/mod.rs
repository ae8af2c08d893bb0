//! How much one caller may ask for: so many calls a second by class of operation, so many at once, and few wrong
//! passwords. Each node counts for itself.

mod rate;

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};
use dashmap::{DashMap, Entry};

use crate::domain::{permission::Permission, principal::Principal};

use super::{
    identity::Caller,
    problem::{self, Problem},
    table::{Kind, Operation},
    tokens::sha256,
};

pub use rate::Rate;

/// Calls of one caller that may be under way at once, over all its connections.
pub const IN_FLIGHT_MAX: usize = 256;
/// Callers that are remembered. Beyond that the idle ones are forgotten, and newcomers share one bucket.
const CALLERS_MAX: usize = 100_000;
/// Idle callers are looked for at most this often.
const SWEEP_EVERY_US: i64 = 1_000_000;

/// Wrong passwords for one account from one address.
const WRONG_FROM_ONE_PLACE: (u32, u32) = (30, 10);
/// Wrong passwords for one account from anywhere: many, since a stranger must not be able to lock its owner out.
const WRONG_FOR_ONE_ACCOUNT: (u32, u32) = (20, 100);
/// Wrong passwords from one address for any account.
const WRONG_FROM_ONE_ADDRESS: (u32, u32) = (5, 100);

/// Calls a second of one caller; 0 means any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Reads, per principal.
    pub reads: u32,
    /// Changes, per principal.
    pub writes: u32,
    /// Calls that need no token, per address: logins and the like, which cost much.
    pub credentials: u32,
}

/// What kind of work an operation is, as far as limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// It reads.
    Read,
    /// It changes something.
    Write,
    /// It gives or takes credentials, without a token.
    Credentials,
}

impl Class {
    /// Returns the class of an operation.
    pub fn of(operation: &Operation) -> Self {
        match (operation.permission, operation.kind) {
            (Permission::Public, _) => Self::Credentials,
            (_, Kind::Query) => Self::Read,
            (_, Kind::Mutation) => Self::Write,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Credentials => "credentials",
        }
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Bucket {
    Calls(Class, Who),
    /// Wrong passwords, by the hash of what they were for.
    Wrong([u8; 16]),
    /// Everyone who came when there was no room.
    Others,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Principal(Principal),
    Address(IpAddr),
    Unknown,
}

impl Who {
    fn of(caller: &Caller, class: Class) -> Self {
        match (&caller.identity, caller.address) {
            (Some(identity), _) if class != Class::Credentials => Self::Principal(identity.principal),
            (_, Some(address)) => Self::Address(network(address)),
            (_, None) => Self::Unknown,
        }
    }
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// What every caller has used up.
pub struct Limits {
    rates: Rates,
    marks: DashMap<Bucket, i64>,
    swept_us: AtomicI64,
    in_flight: DashMap<Who, usize>,
}

impl Limits {
    /// Starts counting.
    pub fn new(rates: Rates) -> Self {
        Self { rates, marks: DashMap::new(), swept_us: AtomicI64::new(0), in_flight: DashMap::new() }
    }

    /// Lets a call in, until the pass is dropped; or says when to come again.
    pub fn admit(&self, operation: &Operation, caller: &Caller, now: DateTime<Utc>) -> Result<Pass<'_>, Problem> {
        self.admit_as(Class::of(operation), caller, now)
    }

    /// The same for what is no operation.
    pub fn admit_as(&self, class: Class, caller: &Caller, now: DateTime<Utc>) -> Result<Pass<'_>, Problem> {
        let who = Who::of(caller, class);
        let count = match class {
            Class::Read => self.rates.reads,
            Class::Write => self.rates.writes,
            Class::Credentials => self.rates.credentials,
        };
        if count > 0 {
            self.take(Bucket::Calls(class, who), Rate::per_second(count), now).map_err(|wait_us| {
                metrics::counter!("link_limited_total", "class" => class.name()).increment(1);
                later(format!("more than {count} calls of this kind a second"), wait_us)
            })?;
        }
        let mut flying = self.in_flight.entry(who).or_default();
        if *flying >= IN_FLIGHT_MAX {
            metrics::counter!("link_limited_total", "class" => "in_flight").increment(1);
            return Err(later(format!("at most {IN_FLIGHT_MAX} calls at once"), 100_000));
        }
        *flying += 1;
        Ok(Pass { limits: self, who })
    }

    /// Counts an attempt to log in before the password is looked at; a right one is forgiven.
    pub fn login(&self, email: &str, address: Option<IpAddr>, now: DateTime<Utc>) -> Result<Login<'_>, Problem> {
        let (account, place) = (email.to_lowercase(), address.map(network).map(|address| address.to_string()));
        let place = place.unwrap_or_default();
        let counted = [
            (format!("{account}\n{place}"), WRONG_FROM_ONE_PLACE),
            (format!("{account}\n"), WRONG_FOR_ONE_ACCOUNT),
            (format!("\n{place}"), WRONG_FROM_ONE_ADDRESS),
        ];
        let mut login = Login { limits: self, taken: Vec::with_capacity(counted.len()) };
        for (name, (seconds, burst)) in counted {
            let (bucket, rate) = (wrong(&name), Rate::one_in(seconds, burst));
            if let Err(wait_us) = self.take(bucket, rate, now) {
                login.forgive();
                metrics::counter!("link_limited_total", "class" => "login").increment(1);
                return Err(later("too many wrong passwords".into(), wait_us));
            }
            login.taken.push((bucket, rate));
        }
        Ok(login)
    }

    fn take(&self, bucket: Bucket, rate: Rate, now: DateTime<Utc>) -> Result<(), i64> {
        let now_us = now.timestamp_micros();
        let bucket = if self.has_room(&bucket, now_us) { bucket } else { Bucket::Others };
        let mut mark = self.marks.entry(bucket).or_insert(0);
        *mark = rate.take(*mark, now_us)?;
        Ok(())
    }

    /// Tells whether a bucket is known or can be; forgets those that are full again when there is no room.
    fn has_room(&self, bucket: &Bucket, now_us: i64) -> bool {
        if self.marks.len() < CALLERS_MAX || self.marks.contains_key(bucket) {
            return true;
        }
        let swept_us = self.swept_us.load(Ordering::Relaxed);
        let due = now_us.abs_diff(swept_us) >= SWEEP_EVERY_US.unsigned_abs();
        let mine = self.swept_us.compare_exchange(swept_us, now_us, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if due && mine {
            self.marks.retain(|_, mark| *mark > now_us);
        }
        self.marks.len() < CALLERS_MAX
    }
}

fn wrong(name: &str) -> Bucket {
    let mut short = [0; 16];
    short.copy_from_slice(&sha256(name.as_bytes())[..16]);
    Bucket::Wrong(short)
}

fn later(detail: String, wait_us: i64) -> Problem {
    let mut problem = Problem::new(problem::TOO_MANY, detail);
    problem.retry_after_ms = Some(wait_us.unsigned_abs().div_ceil(1_000));
    problem
}

/// Lets one call count as under way.
pub struct Pass<'a> {
    limits: &'a Limits,
    who: Who,
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if let Entry::Occupied(mut flying) = self.limits.in_flight.entry(self.who) {
            *flying.get_mut() -= 1;
            if *flying.get() == 0 {
                flying.remove();
            }
        }
    }
}

/// One attempt to log in.
pub struct Login<'a> {
    limits: &'a Limits,
    taken: Vec<(Bucket, Rate)>,
}

impl Login<'_> {
    /// The password was right: it does not count.
    pub fn forgive(&mut self) {
        for (bucket, rate) in self.taken.drain(..) {
            if let Some(mut mark) = self.limits.marks.get_mut(&bucket) {
                *mark = rate.give_back(*mark);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { reads: 20, writes: 10, credentials: 1 };

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn from(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn one_account_takes_few_wrong_passwords_from_one_place_and_its_owner_still_gets_in_from_another() {
        let limits = Limits::new(RATES);
        for _ in 0..10 {
            assert!(limits.login("ada@example.org", from(1), now()).is_ok());
        }
        let refused = limits.login("ADA@example.org", from(1), now()).err().unwrap();
        assert_eq!((refused.code.as_str(), refused.retry_after_ms), ("too_many_requests", Some(30_000)));
        assert!(limits.login("ada@example.org", from(2), now()).is_ok());
        assert!(limits.login("bob@example.org", from(1), now()).is_ok());
        assert!(limits.login("ada@example.org", from(1), now() + chrono::TimeDelta::seconds(31)).is_ok());
    }

    #[test]
    fn right_passwords_never_run_out() {
        let limits = Limits::new(RATES);
        for _ in 0..1_000 {
            limits.login("ada@example.org", from(1), now()).unwrap().forgive();
        }
    }

    #[test]
    fn an_address_that_tries_many_accounts_is_slowed_down() {
        let limits = Limits::new(RATES);
        let tried = (0..200).filter(|n| limits.login(&format!("{n}@example.org"), from(1), now()).is_ok()).count();
        assert_eq!(tried, 100);
    }

    #[test]
    fn calls_under_way_are_counted_until_they_end() {
        let limits = Limits::new(Rates { reads: 0, writes: 0, credentials: 0 });
        let (table, caller) = (crate::api::table(), Caller { address: from(1), ..Caller::default() });
        let login = table.find("auth.login").unwrap();
        let passes: Vec<_> = (0..IN_FLIGHT_MAX).map(|_| limits.admit(login, &caller, now()).unwrap()).collect();
        assert!(limits.admit(login, &caller, now()).is_err());
        assert!(limits.admit(login, &Caller::default(), now()).is_ok(), "others are not concerned");
        drop(passes);
        assert!(limits.admit(login, &caller, now()).is_ok());
        assert!(limits.in_flight.is_empty());
    }

    #[test]
    fn callers_without_end_cost_bounded_memory() {
        let limits = Limits::new(RATES);
        let table = crate::api::table();
        let login = table.find("auth.login").unwrap();
        for n in 0..(CALLERS_MAX as u32 + 5_000) {
            let caller = Caller { address: Some(std::net::Ipv4Addr::from_bits(n).into()), ..Caller::default() };
            let _ = limits.admit(login, &caller, now());
        }
        assert!(limits.marks.len() <= CALLERS_MAX + 1);
        assert!(limits.in_flight.is_empty());
        let later = Caller { address: from(1), ..Caller::default() };
        assert!(limits.admit(login, &later, now() + chrono::TimeDelta::seconds(60)).is_ok());
        assert!(limits.marks.len() < 10, "those that were idle are forgotten");
    }
}
