//! What Ctrl-C does: the run is asked to stop, and ended when it does not.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{self, ExitCode},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    thread,
    time::Duration,
};

use leasehold_pipeline::Cancel;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator,
};

/// How long a run may take to stop, for example when it waits for input that does not come.
const GRACE: Duration = Duration::from_secs(1);

/// The signals that end a run, and what must be cleaned up then.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    cancel: Cancel,
    /// The signal that came, or zero.
    received: Arc<AtomicI32>,
    temporary: Arc<Mutex<Option<PathBuf>>>,
}

impl Signals {
    /// Takes over SIGHUP, SIGINT and SIGTERM, but for those that the program was started to ignore, as `nohup` does.
    pub(crate) fn install() -> io::Result<Self> {
        let signals = Self::default();
        let ignored = ignored();
        // Where it is not known whether somebody said nohup, the system ends the program, and a temporary file stays.
        let wanted = [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| match ignored {
            Some(ignored) => ignored & (1 << (signal - 1)) == 0,
            None => *signal != SIGHUP,
        });
        let mut incoming = iterator::Signals::new(wanted)?;
        let handler = signals.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if let Some(signal) = incoming.forever().next() {
                handler.handle(signal);
            }
        })?;
        Ok(signals)
    }

    /// The request that a signal makes.
    pub(crate) fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Names a file to be removed when the run does not stop by itself.
    pub(crate) fn remove_at_exit(&self, path: Option<&Path>) {
        *self.temporary.lock().unwrap_or_else(PoisonError::into_inner) = path.map(Path::to_owned);
    }

    /// The signal that came.
    pub(crate) fn received(&self) -> Option<i32> {
        // Relaxed: the number is all there is.
        Some(self.received.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }

    /// What a shell expects of a program that a signal has ended.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = 128 + self.received().unwrap_or(0);
        ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
    }

    fn handle(&self, signal: i32) {
        // Relaxed: as in `received`.
        self.received.store(signal, Ordering::Relaxed);
        self.cancel.cancel();
        thread::sleep(GRACE);
        if let Some(path) = &*self.temporary.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may have got its name, or been removed, in this moment.
            let _ = fs::remove_file(path);
        }
        process::exit(128 + signal);
    }
}

/// The signals that this process ignores, bit by bit; `None` where the system does not say.
fn ignored() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
