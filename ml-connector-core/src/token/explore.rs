//! Every interleaving of two hosts on one chain, with crashes, lost answers, pauses, wrong clocks and writes whose
//! outcome is unknown, driven through the real [`step`].
//!
//! A host's move is one swap, one request or one answer; time moves on between any two of them. Bounds: two
//! rotations, and so many faults as [`Faults`] says. In half of the worlds the second host is configured with the
//! refresh token of another consent.

use std::{
    collections::{HashSet, hash_map::RandomState},
    hash::BuildHasher,
    time::Duration,
};

use http::StatusCode;
use uuid::Uuid;

use super::{
    Rotation,
    blob::{Blob, Cause, Kept, ReceivedAnswer, RefreshPhase},
    machine::{Blocked, Configured, Granted, Input, NextAction, Rules, TokenOutcome, step},
};
use crate::{Secret, Timestamp, http::Answer};

/// When the model's time begins, in Unix seconds.
const EPOCH: i64 = 1_792_000_000;
const DEADLINE: i64 = 30;
/// The first refresh tokens of two consents. What either is exchanged for is counted up from it.
const SEEDS: [u8; 2] = [0, 8];

/// What may still go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Faults {
    crashes: u8,
    losses: u8,
    /// Swaps that happen, but report a failure.
    torn: u8,
    /// Leaps of the clock.
    leaps: u8,
    /// Answers that say nothing of the token, such as a word that nobody knows.
    odd: u8,
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    rotation: Rotation,
    /// Whether the vendor takes the refresh token before the current one.
    accepts_previous: bool,
    /// How far the second host's clock is ahead.
    skew: i64,
    /// Whether a host may sleep, with a request out, for longer than any time limit.
    sleeps: bool,
    /// Whether the second host is configured with another consent.
    anew: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    now: i64,
    blob: Blob,
    hosts: [Host; 2],
    /// The number of the newest refresh token that the vendor has issued for each consent.
    issued: [u8; 2],
    /// How often each was sent.
    uses: [u8; 16],
    /// Bit n: the answer with token n never reached a host that lived to store it.
    gone: u16,
    /// Whether a host has crashed, an answer was lost or a write was in doubt.
    hurt: bool,
    left: Faults,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Host {
    owner: u128,
    doing: Doing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doing {
    Rest,
    /// It has read the store and its clock, and is about to swap; `stale`: somebody else was quicker.
    Swap {
        task: Task,
        now: i64,
        stale: bool,
    },
    /// It may send.
    Ask {
        token: u8,
        generation: u64,
        at: i64,
    },
    /// It has sent; the vendor may have answered.
    Asked {
        token: u8,
        generation: u64,
        sent: i64,
        answer: Option<u8>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Task {
    Want,
    Send,
    Unsent(u64),
    Lost,
    Answered(ReceivedAnswer),
    Classified(ReceivedAnswer),
}

/// The answer of a vendor that refuses.
const REFUSED: u8 = 99;
/// The answer of a vendor that says a word that nobody knows.
const ODD: u8 = 98;

impl Setting {
    /// The chain is followed until this generation: another consent is a generation, too.
    fn goal(&self) -> u64 {
        2 + u64::from(self.anew)
    }

    /// As a host is configured.
    fn rules(&self, host: usize) -> Rules {
        let seed = SEEDS[if self.anew { host } else { 0 }];
        Rules {
            rotation: self.rotation,
            refresh_after: None,
            lead: Duration::ZERO,
            not_before: Duration::ZERO,
            budget: 1000,
            day_budget: None,
            throttle_pause: Duration::ZERO,
            deadline: Duration::from_secs(30),
            idle_life: None,
            needs_refresh_token: true,
            unending: false,
            initial: Some(token(seed)),
            seed: Some(seed.to_string()),
            config: Configured::default(),
        }
    }

    fn begin(&self, left: Faults) -> World {
        let host = |owner| Host { owner, doing: Doing::Rest };
        let mut blob = Blob::new(Some(token(SEEDS[0])));
        blob.seeds = Some(vec![SEEDS[0].to_string()]);
        World {
            now: 0,
            blob,
            hosts: [host(1), host(2)],
            issued: SEEDS,
            uses: [0; 16],
            gone: 0,
            hurt: false,
            left,
        }
    }

    fn clock(&self, world: &World, host: usize) -> i64 {
        world.now + if host == 1 { self.skew } else { 0 }
    }

    /// The vendor exchanges a refresh token for the next one, or refuses.
    fn exchange(&self, issued: &mut [u8; 2], token: u8) -> u8 {
        let current = &mut issued[consent_of(token)];
        if token != *current && !(self.accepts_previous && token + 1 == *current) {
            return REFUSED;
        }
        *current += 1;
        *current
    }

    fn swap(&self, world: &World, host: usize, task: Task) -> Doing {
        Doing::Swap { task, now: self.clock(world, host), stale: false }
    }

    /// All worlds that one move leads to.
    fn moves(&self, world: &World) -> Vec<World> {
        let mut worlds = Vec::new();
        for host in 0..2 {
            self.host_moves(world, host, &mut worlds);
            if world.left.crashes > 0 && world.hosts[host].doing != Doing::Rest {
                let mut crashed = world.clone();
                crashed.left.crashes -= 1;
                crashed.hurt = true;
                crashed.note_gone(host);
                crashed.hosts[host] = Host { owner: world.hosts[host].owner + 2, doing: Doing::Rest };
                worlds.push(crashed);
            }
        }
        let quiet = world.hosts.iter().all(|host| host.doing == Doing::Rest)
            && world.blob.phase == RefreshPhase::Idle;
        for leap in [20, 40, 70] {
            let late = world.hosts.iter().any(
                |host| matches!(host.doing, Doing::Asked { sent, .. } if world.now + leap - sent > DEADLINE),
            );
            if world.left.leaps > 0 && !quiet && (self.sleeps || !late) {
                let mut later = world.clone();
                later.left.leaps -= 1;
                later.now += leap;
                worlds.push(later);
            }
        }
        worlds
    }

    fn host_moves(&self, world: &World, host: usize, worlds: &mut Vec<World>) {
        let mut push = |change: &dyn Fn(&mut World) -> Doing| {
            let mut next = world.clone();
            next.hosts[host].doing = change(&mut next);
            worlds.push(next);
        };
        match &world.hosts[host].doing {
            Doing::Rest if world.blob.generation < self.goal() => {
                push(&|next| self.swap(next, host, Task::Want));
            }
            Doing::Rest => {}
            Doing::Swap { task, stale: true, .. } => {
                push(&|next| self.swap(next, host, task.clone()));
            }
            Doing::Swap { task, now, .. } => {
                let owner = world.hosts[host].owner;
                let (blob, action) = step(&world.blob, &input(task, owner), at(*now), &self.rules(host));
                let write = |next: &mut World| {
                    if let Some(blob) = &blob {
                        next.blob = blob.clone();
                        next.blob.asked.clear(); // the budget is not explored
                        if let Doing::Swap { stale, .. } = &mut next.hosts[1 - host].doing {
                            *stale = true;
                        }
                    }
                };
                push(&|next| {
                    write(next);
                    self.follow(next, host, &action)
                });
                if world.left.torn > 0 && blob.is_some() {
                    push(&|next| {
                        write(next);
                        next.left.torn -= 1;
                        next.hurt = true;
                        match task {
                            Task::Answered(_) => self.swap(next, host, task.clone()), // tried again
                            _ => Doing::Rest,
                        }
                    });
                }
            }
            Doing::Ask { token, generation, at } => push(&|next| {
                let now = self.clock(next, host);
                if now < *at || now - at > DEADLINE {
                    return self.swap(next, host, Task::Unsent(*generation));
                }
                next.uses[usize::from(*token)] += 1;
                Doing::Asked { token: *token, generation: *generation, sent: next.now, answer: None }
            }),
            Doing::Asked { token, generation, sent, answer: None } => {
                push(&|next| {
                    let answer = Some(self.exchange(&mut next.issued, *token));
                    Doing::Asked { token: *token, generation: *generation, sent: *sent, answer }
                });
                if world.left.losses > 0 {
                    push(&|next| {
                        next.left.losses -= 1;
                        next.hurt = true;
                        self.swap(next, host, Task::Lost)
                    });
                }
                if world.left.odd > 0 {
                    push(&|next| {
                        next.left.odd -= 1;
                        // It was sent, and known not to be spent.
                        next.uses[usize::from(*token)] -= 1;
                        Doing::Asked {
                            token: *token,
                            generation: *generation,
                            sent: *sent,
                            answer: Some(ODD),
                        }
                    });
                }
            }
            Doing::Asked { generation, answer: Some(answer), .. } => {
                push(&|next| {
                    let now = self.clock(next, host);
                    let by = Uuid::from_u128(next.hosts[host].owner);
                    self.swap(next, host, Task::Answered(received(*generation, by, now, *answer)))
                });
                if world.left.losses > 0 {
                    push(&|next| {
                        next.left.losses -= 1;
                        next.hurt = true;
                        next.note_gone(host);
                        self.swap(next, host, Task::Lost)
                    });
                }
            }
        }
    }

    /// What the manager does after a swap.
    fn follow(&self, world: &World, host: usize, action: &NextAction) -> Doing {
        match action {
            NextAction::Done | NextAction::Wait(_) | NextAction::Stop(_) => Doing::Rest,
            NextAction::Again if world.blob.generation >= self.goal() => Doing::Rest,
            NextAction::Again => self.swap(world, host, Task::Want),
            NextAction::Claimed => self.swap(world, host, Task::Send),
            NextAction::Classify(received) => self.swap(world, host, Task::Classified(received.clone())),
            NextAction::Ask { refresh, generation, at } => {
                let token = number(refresh.as_ref().unwrap());
                Doing::Ask { token, generation: *generation, at: secs(*at) }
            }
        }
    }

    /// What must hold in every world.
    fn check(&self, world: &World) -> Result<(), &'static str> {
        if world.uses.iter().any(|uses| *uses > 2) {
            return Err("a refresh token was used a third time");
        }
        let mut asked = world.hosts.iter().filter_map(|host| match host.doing {
            Doing::Asked { generation, .. } => Some(generation),
            _ => None,
        });
        if !self.sleeps && asked.next().is_some_and(|one| asked.next() == Some(one)) {
            return Err("two requests are under way for one generation");
        }
        let newest = world.issued[world.consent()];
        if !world.knows(newest) && world.gone & (1 << newest) == 0 {
            return Err("an answer that reached a host that lived was lost");
        }
        if world.hosts.iter().all(|host| host.doing == Doing::Rest) {
            return (0..2).try_for_each(|host| self.check_recovery(world, host));
        }
        Ok(())
    }

    /// One host goes on without further faults: it ends with a token, or says that somebody has to connect, and
    /// the latter only when an answer was lost.
    fn check_recovery(&self, world: &World, host: usize) -> Result<(), &'static str> {
        let rules = self.rules(host);
        let (mut blob, mut now, mut issued) = (world.blob.clone(), world.now, world.issued);
        let consent = world.consent().max(if self.anew { host } else { 0 });
        let begun = blob.generation;
        let mut task = Task::Want;
        for _ in 0..40 {
            if blob.generation > begun && blob.access.is_some() && blob.failure.is_none() {
                let is_of = consent_of(number(&blob.refresh.unwrap().0));
                return if is_of == consent || world.hurt {
                    Ok(())
                } else {
                    Err("the older consent is used")
                };
            }
            let (next, action) = step(&blob, &input(&task, 77), at(now), &rules);
            blob = next.unwrap_or(blob);
            task = match action {
                NextAction::Done => return Ok(()), // the token there is still good
                NextAction::Again => Task::Want,
                NextAction::Claimed => Task::Send,
                NextAction::Classify(received) => Task::Classified(received),
                NextAction::Ask { refresh, generation, .. } => {
                    let answer = self.exchange(&mut issued, number(refresh.as_ref().unwrap()));
                    Task::Answered(received(generation, Uuid::from_u128(77), now, answer))
                }
                NextAction::Wait(until) => {
                    now = secs(until);
                    Task::Want
                }
                NextAction::Stop(Blocked::Until(until)) => {
                    now = secs(until);
                    Task::Want
                }
                NextAction::Stop(Blocked::NoToken) => return Err("the refresh token is gone"),
                NextAction::Stop(Blocked::Failed(failure)) => match failure.until {
                    Some(until) => {
                        now = secs(until);
                        Task::Want
                    }
                    None if !world.hurt => return Err("parked although nothing was lost"),
                    None if blob.lost == 0 => return Err("parked without saying that an answer was lost"),
                    None => return Ok(()),
                },
            };
        }
        Err("it never ends")
    }
}

impl World {
    /// The consent that counts: the newest that any host has taken up.
    fn consent(&self) -> usize {
        let is_known = |seed: &u8| self.blob.seeds.iter().flatten().any(|known| *known == seed.to_string());
        SEEDS.iter().rposition(is_known).unwrap()
    }

    /// A host's memory is gone, or an answer on its way to it.
    fn note_gone(&mut self, host: usize) {
        let answer = match &self.hosts[host].doing {
            Doing::Asked { answer: Some(answer), .. } if *answer < ODD => *answer,
            Doing::Swap { task: Task::Answered(received), .. } => match verdict(received) {
                TokenOutcome::Granted(granted) => number(&granted.refresh.unwrap()),
                _ => return,
            },
            _ => return,
        };
        self.gone |= 1 << answer;
    }

    /// Whether the store, or a host that lives, has this refresh token or an answer with it.
    fn knows(&self, wanted: u8) -> bool {
        let is = |kept: &Option<Kept>| kept.as_ref().is_some_and(|kept| number(&kept.0) == wanted);
        let carries = |received: &ReceivedAnswer| match verdict(received) {
            TokenOutcome::Granted(granted) => is(&granted.refresh.map(Kept)),
            _ => false,
        };
        is(&self.blob.refresh)
            || is(&self.blob.spare)
            || self.blob.received.iter().any(carries)
            || self.hosts.iter().any(|host| match &host.doing {
                Doing::Asked { answer, .. } => *answer == Some(wanted),
                Doing::Swap { task: Task::Answered(received), .. } => carries(received),
                _ => false,
            })
    }
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(EPOCH + secs)
}

/// Seconds of the model's time.
fn secs(at: Timestamp) -> i64 {
    at.as_secs() - EPOCH
}

fn token(n: u8) -> Secret {
    Secret::from(n.to_string())
}

fn consent_of(token: u8) -> usize {
    usize::from(token >= SEEDS[1])
}

fn number(token: &Secret) -> u8 {
    token.expose().parse().unwrap()
}

fn received(generation: u64, by: Uuid, now: i64, answer: u8) -> ReceivedAnswer {
    let answer = Answer {
        status: StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: answer.to_string().into(),
        received_at: at(now),
    };
    ReceivedAnswer::new(generation, by, &answer)
}

fn verdict(received: &ReceivedAnswer) -> TokenOutcome {
    let body = received.answer().body;
    let refresh = Secret::from(std::str::from_utf8(&body).unwrap());
    let cause = match number(&refresh) {
        REFUSED => Some(Cause::Refused),
        ODD => Some(Cause::Unavailable),
        _ => None,
    };
    if let Some(cause) = cause {
        return TokenOutcome::Failed {
            cause,
            code: String::new(),
            message: None,
            until: None,
            refresh: None,
        };
    }
    // A life of nothing: the next refresh is due at once.
    let granted = Granted {
        access: Some(refresh.clone()),
        expires_in: Some(Duration::ZERO),
        refresh: Some(refresh),
        ..Granted::default()
    };
    TokenOutcome::Granted(granted)
}

fn input(task: &Task, owner: u128) -> Input {
    let owner = Uuid::from_u128(owner);
    match task {
        Task::Want => Input::Want { owner },
        Task::Send => Input::Send { owner },
        Task::Unsent(generation) => Input::Unsent { owner, generation: *generation, why: None },
        Task::Lost => Input::Lost { owner },
        Task::Answered(received) => Input::Answered(received.clone()),
        Task::Classified(received) => Input::Classified(received.clone(), verdict(received)),
    }
}

/// Walks through every world and returns how many there are.
fn explore(setting: Setting, left: Faults) -> usize {
    let begin = setting.begin(left);
    let hasher = RandomState::new();
    let mut seen = HashSet::from([hasher.hash_one(&begin)]);
    let mut open = vec![begin];
    while let Some(world) = open.pop() {
        if let Err(wrong) = setting.check(&world) {
            panic!("{wrong}: {setting:?}\n{world:#?}");
        }
        for next in setting.moves(&world) {
            if seen.insert(hasher.hash_one(&next)) {
                open.push(next);
            }
        }
    }
    seen.len()
}

const VENDORS: [(Rotation, bool); 4] = [
    (Rotation::RetryOnce, true),
    (Rotation::RetryOnce, false),
    (Rotation::SingleUse, true),
    (Rotation::SingleUse, false),
];

fn explore_all(vendors: &[(Rotation, bool)], skews: &[i64], anew: bool, faults: &[Faults]) -> usize {
    let mut worlds = 0;
    for (rotation, accepts_previous) in vendors.iter().copied() {
        for skew in skews.iter().copied() {
            for sleeps in [false, true] {
                for left in faults {
                    worlds += explore(Setting { rotation, accepts_previous, skew, sleeps, anew }, *left);
                }
            }
        }
    }
    worlds
}

/// How deep the search goes: an environment variable, `quick` unless it is set.
///
/// `ML_CONNECTOR_TOKEN_MODEL=deep` allows more faults in a row, for all kinds of vendors, and takes minutes (twenty
/// million worlds): run it after a change of the machine.
const DEPTH: &str = "ML_CONNECTOR_TOKEN_MODEL";

#[test]
fn no_interleaving_loses_an_answer_or_uses_a_refresh_token_a_third_time() {
    let faults = [
        Faults { crashes: 1, losses: 1, torn: 0, leaps: 1, odd: 0 },
        Faults { crashes: 0, losses: 0, torn: 1, leaps: 1, odd: 0 },
        Faults { crashes: 0, losses: 0, torn: 0, leaps: 2, odd: 0 },
        Faults { crashes: 1, losses: 0, torn: 0, leaps: 1, odd: 1 },
    ];
    let fewer = [
        Faults { crashes: 1, losses: 0, torn: 0, leaps: 1, odd: 0 },
        Faults { crashes: 0, losses: 1, torn: 0, leaps: 1, odd: 0 },
        Faults { crashes: 0, losses: 0, torn: 1, leaps: 0, odd: 0 },
        Faults { crashes: 0, losses: 0, torn: 0, leaps: 1, odd: 1 },
    ];
    let vendors = [VENDORS[0], VENDORS[3]];
    let mut worlds = explore_all(&vendors, &[5], false, &faults) + explore_all(&vendors, &[5], true, &fewer);
    let mut expected = 300_000;
    match std::env::var(DEPTH).as_deref() {
        Err(_) | Ok("quick") => {}
        Ok("deep") => {
            let faults = [
                Faults { crashes: 0, losses: 1, torn: 1, leaps: 2, odd: 0 },
                Faults { crashes: 1, losses: 0, torn: 1, leaps: 2, odd: 0 },
                Faults { crashes: 0, losses: 0, torn: 0, leaps: 3, odd: 0 },
                Faults { crashes: 0, losses: 1, torn: 0, leaps: 2, odd: 2 },
            ];
            for anew in [false, true] {
                worlds += explore_all(&VENDORS, &[0, 5], anew, &faults);
            }
            expected = 10_000_000;
        }
        other => panic!("{DEPTH}: expected quick or deep, got {other:?}"),
    }
    println!("{worlds} worlds");
    assert!(worlds > expected, "{worlds} worlds are too few to mean anything");
}
