//! A conversation that grows turn by turn.

use leasehold::BoundedPool;

use super::{Role, SlidingWindows, Turn, Window};
use crate::{document::Text, encoder::Encoder, error::HistoryError};

/// A conversation as one growing buffer: the system prompt, then turn after turn.
///
/// Each turn is tokenized once and lies in blocks of its own, so the buffer grows without moving, and what a model is shown is
/// a short list of slices: neither text nor token ids are copied for a window, however often a turn is in one.
///
/// ```text
/// system   turn 0   turn 1     turn 2   turn 3          blocks, rented once
/// [------] [-----] [--------] [------] [---]
/// |______|                    |____________|            window: the prompt, and the last turns that fit
///             |________|                                sliding windows: any tokens, with any overlap
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
    pool: BoundedPool,
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
        let (encoder, pool) = (encoder.clone(), pool.clone());
        Self { encoder, pool, system: None, turns: Vec::new(), forgotten: 0, tokens: 0 }
    }

    /// Sets the system prompt, which is the beginning of every context window.
    ///
    /// # Errors
    ///
    /// When the pool has no room for it or the tokenizer fails; the last prompt stays then.
    pub fn set_system(&mut self, text: &str) -> Result<(), HistoryError> {
        self.system = Some(self.turn(Role::System, self.rented(text)?)?);
        Ok(())
    }

    /// Adds a turn, whose text is copied into a rented block. SlidingWindows that were made before are as they were.
    ///
    /// # Errors
    ///
    /// When the pool has no room for it or the tokenizer fails; the history is as it was then.
    pub fn push(&mut self, role: Role, text: &str) -> Result<(), HistoryError> {
        self.push_text(role, self.rented(text)?)
    }

    /// Adds a turn whose text lies in a block already.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn push_text(&mut self, role: Role, text: Text) -> Result<(), HistoryError> {
        let turn = self.turn(role, text)?;
        self.tokens += turn.ids.len();
        self.turns.push(turn);
        Ok(())
    }

    /// Forgets the oldest turns, so many of them; their blocks go back when no window has them any more.
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

    /// SlidingWindows of `tokens` tokens over all turns, each with the last `overlap` of the one before; the last may be shorter.
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

    fn rented(&self, text: &str) -> Result<Text, HistoryError> {
        let mut block = self.pool.try_rent::<u8>(text.len())?;
        block.copy_from_slice(text.as_bytes());
        Ok(Text::new(block.into_shared()).expect("a copy of text is text"))
    }

    /// Tokenizes, once.
    fn turn(&self, role: Role, text: Text) -> Result<Turn, HistoryError> {
        let readable = text.as_str().map_err(|_| HistoryError::Changed)?;
        let (ids, starts) = self.encoder.tokenizer().encode_whole(readable)?;
        let mut rented_ids = self.pool.try_rent::<u32>(ids.len())?;
        rented_ids.copy_from_slice(&ids);
        let mut rented_starts = self.pool.try_rent::<usize>(starts.len())?;
        rented_starts.copy_from_slice(&starts);
        Ok(Turn { role, text, ids: rented_ids.into_shared(), starts: rented_starts.into_shared() })
    }
}
