//! The one word that says which lease a block is in, and how that lease stands.

/// How the lease of a block stands; the low three bits of its word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum State {
    /// One owner (or shared owners) and no lease: no handle of any generation can enter.
    Exclusive = 0,
    /// Leased: handles of this generation enter.
    Published = 1,
    /// `try_end` is looking for users. A handle that arrives puts the state back to `Published`.
    Closing = 2,
    /// The lessor has revoked and has not looked for users yet. Only the lessor leaves this state.
    Revoked = 3,
    /// A barrier has passed since the revocation; whoever leaves last makes it `Exclusive` and wakes the lessor.
    Draining = 4,
    /// As `Revoked`, but the lessor is gone: the limbo, or a sole toucher on its way out, releases the block.
    RevokedAbandoned = 5,
    /// As `Draining`, but the lessor is gone: whoever leaves last releases the block.
    DrainingAbandoned = 6,
}

/// A generation of 61 bits over a [`State`] of three. A generation is never used for a second lease: at two
/// nanoseconds a lease it lasts 146 years, and a block that reaches [`Word::LAST`] is given up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub(crate) struct Word(u64);

const STATE_BITS: u32 = 3;
const STATE_MASK: u64 = (1 << STATE_BITS) - 1;

impl Word {
    pub(super) const FIRST: Word = Word(1 << STATE_BITS);
    /// The last generation; a block in it cannot be leased again.
    pub(super) const LAST: u64 = u64::MAX >> STATE_BITS;

    #[inline(always)]
    pub(super) const fn from_bits(bits: u64) -> Word {
        Word(bits)
    }

    #[inline(always)]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    #[cfg(all(test, not(leasehold_loom)))]
    pub(super) const fn at(generation: u64, state: State) -> Word {
        Word(generation << STATE_BITS | state as u64)
    }

    #[inline(always)]
    pub(crate) const fn generation(self) -> u64 {
        self.0 >> STATE_BITS
    }

    #[inline(always)]
    pub(super) const fn in_state(self, state: State) -> Word {
        Word(self.0 & !STATE_MASK | state as u64)
    }

    /// The word of the block once the lease of `self` is over.
    #[inline(always)]
    pub(super) const fn after(self) -> Word {
        Word((self.0 | STATE_MASK).wrapping_add(1))
    }

    /// The word of the lease that came before the exclusive word `self`.
    pub(super) const fn before(self) -> Word {
        Word(self.0.wrapping_sub(1 << STATE_BITS))
    }

    #[inline(always)]
    pub(super) const fn is(self, state: State) -> bool {
        self.0 & STATE_MASK == state as u64
    }
}
