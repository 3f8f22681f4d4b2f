//! A conversation that grows turn by turn.

use leasehold::{BoundedPool, MemoryWriter};

use super::{Role, SlidingWindows, Turn, Window};
use crate::{document::Text, encoder::Encoder, error::HistoryError};

/// A conversation as one growing buffer: the system prompt, then turn after turn.
///
/// Each turn is tokenized once and written behind the last one, into rented blocks that are never moved. What a model is
/// shown is slices of them: neither text nor token ids are copied for a window, however often a turn is in one, and turns
/// that follow each other in a block are one slice of it.
///
/// ```text
///  system   turn 0   turn 1     turn 2   turn 3  room for more
/// [--------|--------|----------|--------|-------|.............]
/// |________|                   |________________|             window: the prompt, and the last turns that fit
///             |________|                                      sliding windows: any tokens, with any overlap
///                  |________|
/// ```
///
/// # Examples
/// ```no_run
/// use leasehold::MemoryPool;
/// use leasehold_pipeline::{Cache, Encoder, History, Precision, Role};
///
/// let pool = MemoryPool::builder().build_bounded(256 << 20);
/// let encoder = Encoder::open(&Cache::of_user()?.model(&mut |_| {})?, Precision::F32, &pool)?;
/// let mut history = History::new(&encoder, &pool);
/// history.set_system("You answer in one sentence.")?;
/// history.push(Role::User, "What is a lease?")?;
/// history.push(Role::Assistant, "The time in which a buffer is yours to use.")?;
/// let window = history.window(128)?;
/// for segment in window.segments() {
///     println!("{}: {}", segment.role, segment.text.as_str()?);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct History {
    encoder: Encoder,
    buffers: Buffers,
    system: Option<Turn>,
    turns: Vec<Turn>,
    /// Turns that were forgotten.
    forgotten: u64,
    /// Tokens of all turns.
    tokens: usize,
}

impl History {
    /// A conversation in which nothing was said yet. Its blocks are rented from `pool`.
    #[must_use]
    pub fn new(encoder: &Encoder, pool: &BoundedPool) -> Self {
        let (encoder, buffers) = (encoder.clone(), Buffers::new(pool));
        Self { encoder, buffers, system: None, turns: Vec::new(), forgotten: 0, tokens: 0 }
    }

    /// Sets the system prompt, which is the beginning of every context window.
    ///
    /// # Errors
    ///
    /// When the pool has no room for it or the tokenizer fails; the last prompt stays then.
    pub fn set_system(&mut self, text: &str) -> Result<(), HistoryError> {
        self.system = Some(self.turn(Role::System, Said::ToCopy(text))?);
        Ok(())
    }

    /// Adds a turn, whose text is copied behind that of the last. Windows that were made before are as they were.
    ///
    /// # Errors
    ///
    /// When the pool has no room for it or the tokenizer fails; the history is as it was then.
    pub fn push(&mut self, role: Role, text: &str) -> Result<(), HistoryError> {
        let turn = self.turn(role, Said::ToCopy(text))?;
        self.add(turn);
        Ok(())
    }

    /// Adds a turn whose text lies in a block already, and stays there.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_text(&mut self, role: Role, text: Text) -> Result<(), HistoryError> {
        let turn = self.turn(role, Said::InABlock(text))?;
        self.add(turn);
        Ok(())
    }

    /// Forgets the oldest turns, so many of them. A block goes back when nothing that is in it is part of the history or of a
    /// window any more.
    pub fn forget(&mut self, turns: usize) {
        let turns = turns.min(self.turns.len());
        self.tokens -= self.turns.drain(..turns).map(|turn| turn.ids.len()).sum::<usize>();
        self.forgotten += turns as u64;
    }

    /// The system prompt.
    #[must_use]
    pub fn system(&self) -> Option<&Turn> {
        self.system.as_ref()
    }

    /// The turns that were not forgotten, the oldest first.
    #[must_use]
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Tokens of these turns, without the system prompt's.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// What a model with room for so many tokens is shown: the system prompt and as many of the latest turns as fit, whole.
    ///
    /// Costs one atomic addition or two for each turn in it.
    ///
    /// # Errors
    ///
    /// When the system prompt or the latest turn does not fit.
    pub fn window(&self, tokens: usize) -> Result<Window, HistoryError> {
        let mut window = Window::new();
        if let Some(system) = &self.system {
            if system.ids.len() > tokens {
                return Err(HistoryError::SystemTooLong { tokens: system.ids.len(), room: tokens });
            }
            window.push(system, None, 0..system.ids.len());
        }
        let room = tokens - window.tokens;
        let mut left = room;
        let fits = |turn: &&Turn| left.checked_sub(turn.ids.len()).map(|rest| left = rest).is_some();
        let fitting = self.turns.iter().rev().take_while(fits).count();
        if let (0, Some(last)) = (fitting, self.turns.last()) {
            return Err(HistoryError::TurnTooLong { tokens: last.ids.len(), room });
        }
        let first = self.turns.len() - fitting;
        for (turn, number) in self.turns[first..].iter().zip(self.forgotten + first as u64..) {
            window.push(turn, Some(number), 0..turn.ids.len());
        }
        Ok(window)
    }

    /// Windows of `tokens` tokens over all turns, each with the last `overlap` of the one before; the last may be shorter.
    ///
    /// They begin and end wherever a token does, and do not have the system prompt.
    ///
    /// # Panics
    ///
    /// When `overlap` is not less than `tokens`.
    #[must_use]
    pub fn windows(&self, tokens: usize, overlap: usize) -> SlidingWindows<'_> {
        assert!(overlap < tokens, "windows of {tokens} tokens with {overlap} in common would not move");
        SlidingWindows { history: self, next: Some(0), tokens, step: tokens - overlap }
    }

    /// So many tokens of the turns, from one on.
    pub(super) fn slice(&self, start: usize, tokens: usize) -> Window {
        let mut window = Window::new();
        let end = start.saturating_add(tokens);
        let mut before = 0;
        for (turn, number) in self.turns.iter().zip(self.forgotten..) {
            let length = turn.ids.len();
            let range =
                start.clamp(before, before + length) - before..end.clamp(before, before + length) - before;
            if !range.is_empty() {
                window.push(turn, Some(number), range);
            }
            before += length;
        }
        window
    }

    fn add(&mut self, turn: Turn) {
        self.tokens += turn.ids.len();
        self.turns.push(turn);
    }

    /// Tokenizes, once.
    fn turn(&mut self, role: Role, said: Said<'_>) -> Result<Turn, HistoryError> {
        let readable = match &said {
            Said::ToCopy(text) => *text,
            Said::InABlock(text) => text.as_str().map_err(|_| HistoryError::Changed)?,
        };
        let (ids, starts) = self.encoder.tokenizer().encode_whole(readable)?;
        self.buffers.reserve(&said, ids.len())?;
        Ok(self.buffers.write(role, said, &ids, &starts))
    }
}

/// What is said in a turn.
enum Said<'a> {
    ToCopy(&'a str),
    InABlock(Text),
}

/// Where turns are written, one behind the other.
#[derive(Debug)]
struct Buffers {
    pool: BoundedPool,
    text: MemoryWriter<u8>,
    ids: MemoryWriter<u32>,
    starts: MemoryWriter<usize>,
}

impl Buffers {
    fn new(pool: &BoundedPool) -> Self {
        Self {
            pool: pool.clone(),
            text: MemoryWriter::contiguous(pool),
            ids: MemoryWriter::contiguous(pool),
            starts: MemoryWriter::contiguous(pool),
        }
    }

    /// Makes room for a turn of so many tokens.
    fn reserve(&mut self, said: &Said<'_>, tokens: usize) -> Result<(), HistoryError> {
        if let Said::ToCopy(text) = said {
            self.text.try_reserve(text.len())?;
        }
        self.ids.try_reserve(tokens)?;
        self.starts.try_reserve(tokens)?;
        Ok(())
    }

    /// Writes a turn for which there is room.
    fn write(&mut self, role: Role, said: Said<'_>, ids: &[u32], starts: &[usize]) -> Turn {
        let text = match said {
            Said::InABlock(text) => text,
            Said::ToCopy(text) => {
                self.text.push_slice(text.as_bytes());
                Text::new(self.text.split()).expect("a copy of text is text")
            }
        };
        self.ids.push_slice(ids);
        self.starts.push_slice(starts);
        Turn { role, text, ids: self.ids.split(), starts: self.starts.split() }
    }
}

/// What was written is shared; a clone goes on in blocks of its own.
impl Clone for Buffers {
    fn clone(&self) -> Self {
        Self::new(&self.pool)
    }
}
