//! Rows, measured in turns.

use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// How long a turn of a row takes, about.
const TURN_NS: f64 = 400_000.0;

/// One turn of a row.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Nanoseconds for all operations.
    pub ns: f64,
    /// Operations that were measured, and are known to have taken place.
    pub operations: u64,
    /// Heavy barriers of the library meanwhile, in all threads.
    pub barriers: u64,
}

impl Sample {
    /// Measures what `work` does, which is `operations` operations.
    pub fn of(operations: u64, clock: fn() -> Clock, work: impl FnOnce()) -> Sample {
        let barriers = leasehold::counters().heavy_barriers;
        let clock = clock();
        work();
        let ns = clock.ns();
        Sample { ns, operations, barriers: leasehold::counters().heavy_barriers - barriers }
    }
}

/// What a row should cost. A miss is printed and fails nothing.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// There to compare with.
    None,
    /// At most so many locked instructions.
    Locked(f64),
    /// At most so many times what the named row costs.
    Times(f64, &'static str),
    /// At most so many locked instructions more than the named row.
    Plus(f64, &'static str),
}

impl Goal {
    /// The row that the goal is measured by.
    fn named(self) -> Option<&'static str> {
        match self {
            Goal::None | Goal::Locked(_) => None,
            Goal::Times(_, name) | Goal::Plus(_, name) => Some(name),
        }
    }
}

/// One row of a table.
pub struct Row<'a> {
    name: String,
    goal: Goal,
    /// Whether a heavy barrier is a miss.
    free_of_barriers: bool,
    turn: Box<dyn FnMut() -> Option<Sample> + 'a>,
    /// Nanoseconds of an operation in each turn.
    turns: Vec<f64>,
    operations: u64,
    barriers: u64,
}

impl<'a> Row<'a> {
    /// A row of one thread. `operation` returns how many operations it did, as it found out from what it touched.
    pub fn one(name: impl Into<String>, operation: impl FnMut() -> u64 + 'a) -> Row<'a> {
        Row::varied(name, [operation])
    }

    /// A row of one thread with the same operation on several objects, which take turns: where an object happens to lie
    /// relative to another decides up to a third of what five cycles of loads and stores cost.
    pub fn varied<O>(name: impl Into<String>, operations: impl IntoIterator<Item = O>) -> Row<'a>
    where
        O: FnMut() -> u64 + 'a,
    {
        let mut operations: Vec<O> = operations.into_iter().collect();
        let (mut times, mut turn) = (16, 0);
        Row::new(name, move || {
            let variants = operations.len();
            let operation = &mut operations[turn % variants];
            turn += 1;
            let mut done = 0;
            let mut sample = Sample::of(0, Clock::thread, || done = repeat(times, operation));
            assert!(done >= times, "every call of the operation does at least one");
            sample.operations = done;
            let ns = sample.ns;
            if ns < TURN_NS / 2.0 {
                times *= if ns < TURN_NS / 16.0 { 8 } else { 2 };
                return None;
            }
            Some(sample)
        })
    }

    /// A row that measures itself. A turn that went wrong, because somebody else used the processor, returns `None`.
    pub fn new(name: impl Into<String>, turn: impl FnMut() -> Option<Sample> + 'a) -> Row<'a> {
        Row {
            name: name.into(),
            goal: Goal::None,
            free_of_barriers: false,
            turn: Box::new(turn),
            turns: Vec::new(),
            operations: 0,
            barriers: 0,
        }
    }

    /// Sets the goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Row<'a> {
        self.goal = goal;
        self
    }

    /// Makes a heavy barrier a miss.
    #[must_use]
    pub fn free_of_barriers(mut self) -> Row<'a> {
        self.free_of_barriers = true;
        self
    }

    fn take_turn(&mut self) {
        let Some(sample) = (self.turn)() else { return };
        self.turns.push(sample.ns / sample.operations as f64);
        self.operations += sample.operations;
        self.barriers += sample.barriers;
    }

    fn best(&self) -> Option<f64> {
        self.turns.iter().copied().min_by(f64::total_cmp)
    }

    fn median(&self) -> Option<f64> {
        let mut turns = self.turns.clone();
        turns.sort_by(f64::total_cmp);
        turns.get(turns.len() / 2).copied()
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Calls `operation` so many times and adds up what it returns.
///
/// Never inlined, so that the loop has the registers to itself and the operation is called from one place only, where the
/// compiler inlines it.
#[inline(never)]
pub fn repeat(times: u64, mut operation: impl FnMut() -> u64) -> u64 {
    let mut done = 0;
    for _ in 0..times {
        done += operation();
    }
    black_box(done)
}

/// A group of rows under one title, the locked instruction first.
#[derive(Debug)]
pub struct Table<'a> {
    title: &'static str,
    rows: Vec<Row<'a>>,
}

const LOCKED_ROW: &str = "one locked instruction";

impl<'a> Table<'a> {
    /// A table with nothing but the locked instruction in it.
    pub fn new(title: &'static str) -> Table<'a> {
        #[repr(align(128))]
        struct Line(AtomicU64);
        // A static, so that nothing but the instruction is in the loop.
        static LINE: Line = Line(AtomicU64::new(0));
        let locked = Row::one(LOCKED_ROW, || {
            // Relaxed: only the cost matters.
            LINE.0.fetch_add(1, Ordering::Relaxed);
            1
        });
        Table { title, rows: vec![locked] }
    }

    /// Adds a row.
    pub fn row(&mut self, row: Row<'a>) -> &mut Self {
        self.rows.push(row);
        self
    }

    /// Measures and prints. Reads the command line: `--seconds N`, `--json`, and parts of names of rows to keep,
    /// with those that their goals refer to. Without `--bench`, which cargo passes to a bench, it takes a few turns only, to see that everything works.
    pub fn run(mut self) {
        let options = Options::parse(std::env::args().skip(1));
        let kept = self.rows.iter().filter(|row| options.keeps(&row.name));
        let compared: Vec<_> = kept.filter_map(|row| row.goal.named()).collect();
        self.rows.retain(|row| options.keeps(&row.name) || compared.contains(&row.name.as_str()));
        let end = Instant::now() + options.time;
        let mut turns = 0;
        while turns < options.least_turns || Instant::now() < end {
            self.rows.iter_mut().for_each(Row::take_turn);
            turns += 1;
        }
        if options.json {
            self.rows.iter().for_each(|row| println!("{}", self.json(row)));
        } else {
            print!("{self}");
        }
    }

    fn named(&self, name: &str) -> Option<&Row<'a>> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The best turn of the row by the best turn of the locked instruction.
    fn ratio(&self, row: &Row<'_>) -> Option<f64> {
        Some(row.best()? / self.named(LOCKED_ROW)?.best()?)
    }

    /// The same of the turns in the middle: how it is on the machine as it is.
    fn median_ratio(&self, row: &Row<'_>) -> Option<f64> {
        Some(row.median()? / self.named(LOCKED_ROW)?.median()?)
    }

    /// The goal as a ratio to the locked instruction.
    fn goal(&self, row: &Row<'_>) -> Option<f64> {
        match row.goal {
            Goal::None => None,
            Goal::Locked(ratio) => Some(ratio),
            Goal::Times(times, name) => Some(times * self.ratio(self.named(name)?)?),
            Goal::Plus(more, name) => Some(self.ratio(self.named(name)?)? + more),
        }
    }

    fn verdict(&self, row: &Row<'_>) -> &'static str {
        if row.free_of_barriers && row.barriers > 0 {
            return "MISS: barriers";
        }
        match (self.ratio(row), self.goal(row)) {
            (Some(ratio), Some(goal)) if ratio <= goal => "pass",
            (Some(_), Some(_)) => "MISS",
            _ if row.free_of_barriers => "pass",
            _ => "",
        }
    }

    fn json(&self, row: &Row<'_>) -> String {
        let number = |number: Option<f64>| number.map_or("null".to_owned(), |number| format!("{number:.4}"));
        format!(
            "{{\"table\": {:?}, \"row\": {:?}, \"ns\": {}, \"locked\": {}, \"median\": {}, \"goal\": {}, \
             \"verdict\": {:?}, \"barriers\": {}, \"operations\": {}}}",
            self.title,
            row.name,
            number(row.best()),
            number(self.ratio(row)),
            number(self.median_ratio(row)),
            number(self.goal(row)),
            self.verdict(row),
            row.barriers,
            row.operations
        )
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        writeln!(f, "\n{}", self.title)?;
        writeln!(f, "{:width$} {:>9} {:>8} {:>8} {:>8}", "", "best ns", "/locked", "median", "goal")?;
        for row in &self.rows {
            let Some((ns, ratio)) = row.best().zip(self.ratio(row)) else {
                writeln!(f, "{:width$} not measured: no undisturbed turn", row.name)?;
                continue;
            };
            let median = self.median_ratio(row).unwrap_or(f64::NAN);
            let goal = self.goal(row).map_or(String::new(), |goal| format!("{goal:.2}"));
            write!(f, "{:width$} {ns:>9.2} {ratio:>8.3} {median:>8.3} {goal:>8}", row.name)?;
            write!(f, "  {}", self.verdict(row))?;
            if row.barriers > 0 {
                write!(f, "  {:.4} barriers each", row.barriers as f64 / row.operations as f64)?;
            } else if row.free_of_barriers {
                write!(f, "  no barrier")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

struct Options {
    time: Duration,
    least_turns: usize,
    json: bool,
    parts: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Options {
        let mut options = Options { time: Duration::ZERO, least_turns: 24, json: false, parts: Vec::new() };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => options.time = options.time.max(Duration::from_secs(10)),
                "--json" => options.json = true,
                "--seconds" => {
                    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok());
                    options.time = Duration::from_secs(seconds.expect("--seconds takes a whole number"));
                }
                _ if argument.starts_with('-') => eprintln!("ignored: {argument}"),
                _ => options.parts.push(argument),
            }
        }
        options
    }

    fn keeps(&self, name: &str) -> bool {
        name == LOCKED_ROW
            || self.parts.is_empty()
            || self.parts.iter().any(|part| name.contains(part.as_str()))
    }
}
