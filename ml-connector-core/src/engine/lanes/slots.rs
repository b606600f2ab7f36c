//! How many batches may be under way, and of which connections: one whose other side hangs must not take the slots that
//! others need.

use std::collections::HashMap;

use crate::model::ConnectionId;

/// What slots a connection's batches take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotClass {
    /// The system behind it: where one region of a vendor's hangs, all of its organizations do.
    pub(crate) system: &'static str,
    /// Whether somebody waits for the answer, as after a click: such work has slots of its own.
    pub(crate) is_prompt: bool,
}

/// A connection has at most half of the slots, and a system at most three quarters where there are several. The last quarter
/// is kept for connections that have nothing under way. What somebody waits for has a quarter as many slots beside these.
#[derive(Debug)]
pub(super) struct Slots {
    all: Pool,
    prompt: Pool,
    by_connection: HashMap<ConnectionId, (usize, Option<SlotClass>)>,
    by_system: HashMap<&'static str, usize>,
    classes: HashMap<ConnectionId, SlotClass>,
    has_several_systems: bool,
}

#[derive(Debug)]
struct Pool {
    max: usize,
    taken: usize,
}

impl Default for Slots {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Slots {
    pub(super) fn new(max: usize) -> Self {
        Self {
            all: Pool { max, taken: 0 },
            prompt: Pool { max: max.div_ceil(4), taken: 0 },
            by_connection: HashMap::new(),
            by_system: HashMap::new(),
            classes: HashMap::new(),
            has_several_systems: false,
        }
    }

    /// Says which slots connections take from now on.
    pub(super) fn classify(&mut self, classes: HashMap<ConnectionId, SlotClass>) {
        let mut systems = classes.values().filter(|class| !class.is_prompt).map(|class| class.system);
        let first = systems.next();
        self.has_several_systems = systems.any(|system| first.is_some_and(|first| first != system));
        self.classes = classes;
    }

    /// Whether a connection may begin a batch.
    pub(super) fn has_one_for(&self, connection: &ConnectionId) -> bool {
        let class = self.classes.get(connection);
        let pool = if class.is_some_and(|class| class.is_prompt) { &self.prompt } else { &self.all };
        let of_system = class.and_then(|class| self.by_system.get(class.system)).copied().unwrap_or(0);
        if self.has_several_systems
            && class.is_some_and(|class| !class.is_prompt)
            && of_system >= pool.max - pool.max / 4
        {
            return false;
        }
        let free = pool.max.saturating_sub(pool.taken);
        match self.by_connection.get(connection).map_or(0, |(taken, _)| *taken) {
            0 => free > 0,
            taken => taken < pool.max.div_ceil(2) && free > pool.max / 4,
        }
    }

    pub(super) fn take(&mut self, connection: &ConnectionId) {
        let class = self.classes.get(connection).copied();
        let (taken, class) = self.by_connection.entry(connection.clone()).or_insert((0, class));
        *taken += 1;
        let class = *class;
        self.pool(class).taken += 1;
        if let Some(class) = class.filter(|class| !class.is_prompt) {
            *self.by_system.entry(class.system).or_default() += 1;
        }
    }

    pub(super) fn give_back(&mut self, connection: &ConnectionId) {
        let Some((taken, class)) = self.by_connection.get_mut(connection) else { return };
        // As it was when they were taken.
        let class = *class;
        *taken = taken.saturating_sub(1);
        if *taken == 0 {
            self.by_connection.remove(connection);
        }
        let pool = self.pool(class);
        pool.taken = pool.taken.saturating_sub(1);
        if let Some(taken) =
            class.filter(|class| !class.is_prompt).and_then(|class| self.by_system.get_mut(class.system))
        {
            *taken = taken.saturating_sub(1);
        }
    }

    fn pool(&mut self, class: Option<SlotClass>) -> &mut Pool {
        if class.is_some_and(|class| class.is_prompt) { &mut self.prompt } else { &mut self.all }
    }
}
