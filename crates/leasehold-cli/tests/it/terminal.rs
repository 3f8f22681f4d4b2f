//! What a person sees who runs the command at a terminal, a pseudo-terminal of 80 columns.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::support::Place;

const COLUMNS: u16 = 80;

/// The side of a terminal at which the person sits.
struct Terminal {
    screen: File,
    seen: String,
}

impl Terminal {
    /// Opens a terminal; the other side is for a program.
    fn open() -> (Self, OwnedFd) {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let path = ptsname(&screen, Vec::new()).unwrap();
        let program = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        tcsetwinsize(&program, Winsize { ws_row: 24, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        (Self { screen: screen.into(), seen: String::new() }, program)
    }

    /// Reads on; tells whether there was anything, which there is not once all programs have closed their side.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        // Linux has an error for the end.
        let read = self.screen.read(&mut bytes).unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
        read > 0
    }

    /// Reads until a line that was shown meets a condition.
    fn wait_for(&mut self, condition: impl Fn(&str) -> bool) -> String {
        loop {
            if let Some(line) = self.lines().into_iter().find(|line| condition(line)) {
                return line;
            }
            assert!(self.read(), "the terminal has shown {:?}", self.seen);
        }
    }

    fn read_to_end(&mut self) {
        while self.read() {}
    }

    /// Everything that a line of the terminal has shown at some moment, without what moves the cursor.
    fn lines(&self) -> Vec<String> {
        let mut plain = String::new();
        let mut parts = self.seen.split("\u{1b}[");
        plain.push_str(parts.next().unwrap());
        for part in parts {
            let end = part.find(|c: char| c.is_ascii_alphabetic()).map_or(part.len(), |at| at + 1);
            // Whatever moves the cursor or clears ends what was shown; colours do not.
            if !part[..end].ends_with('m') {
                plain.push('\n');
            }
            plain.push_str(&part[end..]);
        }
        plain.split(['\r', '\n']).map(|line| line.trim_end().to_owned()).collect()
    }

    fn has_colours(&self) -> bool {
        self.seen
            .split("\u{1b}[")
            .skip(1)
            .any(|part| part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
    }
}

/// A run with that end of a terminal as its standard error. The end is closed here, so that the run closes the last one.
fn spawn(mut command: Command, program: OwnedFd) -> std::process::Child {
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").stderr(program).spawn().unwrap()
}

#[test]
fn a_bar_shows_rate_remaining_time_memory_and_the_use_of_the_pool() {
    let place = Place::new();
    place.file("a.txt", "Owls are birds of prey that hunt at night and in silence.\n".repeat(400_000));
    let (mut terminal, program) = Terminal::open();
    let mut run = spawn(place.command(&["embed", "a.txt", "-o", "out.jsonl"]), program);
    let is_whole = |line: &str| {
        ["%", " left", " tokens/s", "pool ", "memory ", " texts"].iter().all(|part| line.contains(part))
    };
    let line = terminal.wait_for(is_whole);
    rustix::process::kill_process(rustix::process::Pid::from_child(&run), rustix::process::Signal::INT)
        .unwrap();
    terminal.read_to_end();
    assert_eq!(run.wait().unwrap().code(), Some(130));

    assert!(line.chars().count() <= usize::from(COLUMNS), "{line:?}");
    // " 12 %  3m left  812 tokens/s  pool 90/192 MiB  memory 130 MiB  52 texts"
    let between = |behind: &str, before: &str| {
        let rest = line.split_once(behind).unwrap().1;
        rest.split_once(before).unwrap().0.trim().to_owned()
    };
    let number = |text: &str| text.parse::<f64>().unwrap();
    assert!(number(&between("", "%")) <= 100.0, "{line:?}");
    assert!(number(&between("left", "tokens/s")) > 0.0, "{line:?}");
    let pool = between("pool", "MiB");
    let (rented, budget) = pool.split_once('/').unwrap();
    assert!(number(rented) > 0.0 && number(rented) <= number(budget), "{line:?}");
    let memory = number(&between("memory", "MiB"));
    assert!(memory > 10.0 && memory < 10_000.0, "{line:?}");
}

#[test]
fn of_a_stream_a_bar_shows_how_long_it_has_been_read_and_in_the_end_what_was_done() {
    let place = Place::new();
    let (mut terminal, program) = Terminal::open();
    let mut command = place.command(&["embed", "-", "-o", "out.jsonl"]);
    command.stdin(Stdio::piped());
    let mut run = spawn(command, program);
    let mut input = run.stdin.take().unwrap();
    writeln!(input, "Owls are birds of prey.\n").unwrap();
    let is_whole = |line: &str| {
        ["s  ", "tokens/s", "pool ", "memory ", "1 texts"].iter().all(|part| line.contains(part))
    };
    let line = terminal.wait_for(is_whole);
    assert!(!line.contains("left"), "{line:?}");
    drop(input);
    terminal.read_to_end();
    assert!(run.wait().unwrap().success());
    let lines = terminal.lines();
    assert!(lines.iter().any(|line| line.starts_with("1 documents, 8 tokens in ")), "{lines:?}");
}

#[test]
fn where_standard_error_is_no_terminal_nothing_is_shown() {
    let place = Place::new();
    place.file("a.txt", "Owls are birds of prey.\n");
    let (mut terminal, program) = Terminal::open();
    let mut command = place.command(&["embed", "a.txt"]);
    command.stdout(program).stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    drop(command);
    terminal.read_to_end();
    let output = run.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(terminal.seen.contains("Owls are birds"), "{:?}", terminal.seen);
}

/// What a search shows on a terminal, with a variable of the environment.
fn search(place: &Place, variable: Option<(&str, &str)>) -> Terminal {
    let (mut terminal, program) = Terminal::open();
    let mut command = place.command(&["search", "birds", "a.txt", "--no-cache"]);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(variable);
    command.stdout(program.try_clone().unwrap()).stderr(program);
    let mut run = command.spawn().unwrap();
    drop(command);
    terminal.read_to_end();
    assert!(run.wait().unwrap().success());
    assert!(terminal.seen.contains("Owls are birds of prey."), "{:?}", terminal.seen);
    terminal
}

#[test]
fn colours_are_shown_unless_somebody_does_not_want_them() {
    let place = Place::new();
    place.file("a.txt", "Owls are birds of prey.\n");
    assert!(search(&place, None).has_colours());
    assert!(search(&place, Some(("NO_COLOR", ""))).has_colours(), "an empty value says nothing");
    for unwanted in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        assert!(!search(&place, Some(unwanted)).has_colours(), "{unwanted:?}");
    }
}
