//! Sequences, their readers, and the writers that make them, against vectors.

use std::io::{BufRead, Read};

use leasehold::{
    Contiguous, MemoryPool, MemoryWriter, Segmented, Sequence, SequenceReader, SharedOwner, TooShort,
};

use crate::world::{Operation, any, take};

/// Does `operations` one after the other and compares everything there is with its vector, then drops all and checks that
/// every block came back.
pub fn run_sequence(operations: &[Operation]) {
    let pool = MemoryPool::new();
    let mut world = World::new(&pool);
    for &operation in operations {
        world.step(operation);
        world.check();
    }
    drop(world);
    assert_eq!(pool.outstanding().len(), 0);
}

struct World<'a> {
    pool: &'a MemoryPool,
    /// Each with what it should hold.
    sequences: Vec<(Sequence<u8>, Vec<u8>)>,
    segments: Vec<(SharedOwner<u8>, Vec<u8>)>,
    contiguous: (MemoryWriter<u8, Contiguous>, Vec<u8>),
    segmented: (MemoryWriter<u8, Segmented<u8>>, Vec<u8>),
    next: u8,
}

/// How many sequences and segments there are at most.
const MANY: usize = 12;

impl<'a> World<'a> {
    fn new(pool: &'a MemoryPool) -> World<'a> {
        World {
            pool,
            sequences: vec![(Sequence::new(), Vec::new())],
            segments: Vec::new(),
            contiguous: (MemoryWriter::contiguous(pool).block_len(16), Vec::new()),
            segmented: (MemoryWriter::segmented(pool).block_len(16), Vec::new()),
            next: 0,
        }
    }

    fn step(&mut self, (what, a, b, c): Operation) {
        match what % 22 {
            0 => self.make(a),
            1 => self.write(a, b),
            2 => self.hand_out(),
            3 => self.begin_again(),
            4 => self.join(a, b),
            5 => self.cut(a, b, c),
            6 => drop(take(&mut self.segments, a)),
            7 | 8 => self.push(a, b),
            9 => self.append(a, b),
            10 => self.slice(a, b, c),
            11 => self.split_to(a, b),
            12 => self.split_at(a, b),
            13 => self.shorten(a, b, c),
            14 => self.take_apart(a),
            15 => drop(take(&mut self.sequences, a)),
            16 => self.find(a, b, c),
            17 => self.compare(a, b),
            18 => self.copy_out(a),
            _ => self.read(a, b, c),
        }
        self.sequences.truncate(MANY);
        self.segments.truncate(MANY);
    }

    /// Few different values, so that patterns are found and almost found.
    fn bytes(&mut self, len: u8) -> Vec<u8> {
        let bytes = (0..len % 40).map(|at| (self.next.wrapping_add(at) % 7).min(2)).collect();
        self.next = self.next.wrapping_mul(5).wrapping_add(len);
        bytes
    }

    fn make(&mut self, a: u8) {
        let bytes = self.bytes(a);
        self.segments.push((SharedOwner::from(bytes.clone()), bytes));
    }

    fn write(&mut self, a: u8, b: u8) {
        let bytes = self.bytes(a);
        if b.is_multiple_of(3) {
            self.contiguous.0.extend(&bytes);
            self.segmented.0.extend(bytes.iter().filter(|_| true));
        } else if b % 3 == 1 {
            self.contiguous.0.push_slice(&bytes);
            self.segmented.0.push_slice(&bytes);
        } else {
            let room = self.contiguous.0.reserve(bytes.len());
            room[..bytes.len()].copy_from_slice(&bytes);
            self.contiguous.0.commit(bytes.len());
            let room = self.segmented.0.reserve(bytes.len());
            room[..bytes.len()].copy_from_slice(&bytes);
            self.segmented.0.commit(bytes.len());
        }
        self.contiguous.1.extend_from_slice(&bytes);
        self.segmented.1.extend_from_slice(&bytes);
    }

    fn hand_out(&mut self) {
        let (writer, written) = &mut self.contiguous;
        self.segments.push((writer.split(), std::mem::take(written)));
        let (writer, written) = &mut self.segmented;
        self.sequences.push((writer.split(), std::mem::take(written)));
    }

    fn begin_again(&mut self) {
        let (writer, written) = std::mem::replace(
            &mut self.contiguous,
            (MemoryWriter::contiguous(self.pool).block_len(16), Vec::new()),
        );
        self.segments.push((writer.freeze(), written));
        let (writer, written) = std::mem::replace(
            &mut self.segmented,
            (MemoryWriter::segmented(self.pool).block_len(16), Vec::new()),
        );
        self.sequences.push((writer.freeze(), written));
    }

    fn join(&mut self, a: u8, b: u8) {
        let (Some(left), Some(right)) = (take(&mut self.segments, a), take(&mut self.segments, b)) else {
            return;
        };
        let adjacent = left.0.as_ptr_range().end == right.0.as_ptr();
        match left.0.try_join(right.0) {
            Ok(joined) => {
                assert!(adjacent, "joined what is not adjacent");
                self.segments.push((joined, [left.1, right.1].concat()));
            }
            // Addresses of two blocks may be adjacent too.
            Err(apart) => self.segments.extend([(apart.first, left.1), (apart.second, right.1)]),
        }
    }

    fn cut(&mut self, a: u8, b: u8, c: u8) {
        let Some((segment, bytes)) = any(&self.segments, a) else { return };
        let (start, end) = range_of(bytes.len(), b, c);
        let slice = segment.try_slice(start..end);
        assert_eq!(slice.is_ok(), start <= end && end <= bytes.len());
        if let Ok(slice) = slice {
            let bytes = bytes[start..end].to_vec();
            self.segments.push((slice, bytes));
        }
    }

    fn push(&mut self, a: u8, b: u8) {
        let Some((segment, bytes)) = any(&self.segments, a) else { return };
        let (segment, bytes) = (segment.clone(), bytes.clone());
        if self.sequences.is_empty() {
            self.sequences.push(Default::default());
        }
        let index = usize::from(b) % self.sequences.len();
        self.sequences[index].0.push(segment);
        self.sequences[index].1.extend(bytes);
    }

    fn append(&mut self, a: u8, b: u8) {
        let Some((tail, bytes)) = take(&mut self.sequences, a) else { return };
        let Some((mut head, mut oracle)) = take(&mut self.sequences, b) else { return };
        // A sequence that grows for ever is no longer an obvious one.
        if oracle.len() < 2000 {
            head.append(tail);
            oracle.extend(bytes);
        }
        self.sequences.push((head, oracle));
    }

    fn slice(&mut self, a: u8, b: u8, c: u8) {
        let Some((sequence, oracle)) = any(&self.sequences, a) else { return };
        let (start, end) = range_of(oracle.len(), b, c);
        let slice = sequence.try_slice(start..end);
        assert_eq!(slice.is_ok(), start <= end && end <= oracle.len());
        if let Ok(slice) = slice {
            let oracle = oracle[start..end].to_vec();
            self.sequences.push((slice, oracle));
        }
    }

    fn split_to(&mut self, a: u8, b: u8) {
        let Some((mut sequence, mut oracle)) = take(&mut self.sequences, a) else { return };
        let at = usize::from(b) % (oracle.len() + 1);
        let rest = oracle.split_off(at);
        self.sequences.push((sequence.split_to(at), oracle));
        self.sequences.push((sequence, rest));
    }

    fn split_at(&mut self, a: u8, b: u8) {
        let Some((sequence, mut oracle)) = take(&mut self.sequences, a) else { return };
        let at = usize::from(b) % (oracle.len() + 1);
        let rest = oracle.split_off(at);
        let (left, right) = sequence.split_at(at);
        self.sequences.extend([(left, oracle), (right, rest)]);
    }

    fn shorten(&mut self, a: u8, b: u8, c: u8) {
        let Some((mut sequence, mut oracle)) = take(&mut self.sequences, a) else { return };
        let at = usize::from(b) % (oracle.len() + 1);
        match c % 3 {
            0 => {
                sequence.advance(at);
                oracle.drain(..at);
            }
            1 => {
                sequence.truncate(at);
                oracle.truncate(at);
            }
            _ => {
                let clone = sequence.clone();
                sequence.advance(at);
                oracle.drain(..at);
                drop(clone);
            }
        }
        self.sequences.push((sequence, oracle));
    }

    fn take_apart(&mut self, a: u8) {
        let Some((sequence, oracle)) = any(&self.sequences, a) else { return };
        let owners: Vec<_> = sequence.owners().collect();
        assert_eq!(owners.iter().flat_map(|owner| owner.to_vec()).collect::<Vec<_>>(), *oracle);
        let rebuilt: Sequence<u8> = owners.into_iter().collect();
        let oracle = oracle.clone();
        self.sequences.push((rebuilt, oracle));
    }

    fn find(&mut self, a: u8, b: u8, c: u8) {
        let Some((sequence, oracle)) = any(&self.sequences, a) else { return };
        let (start, end) = range_of(oracle.len(), b, b.wrapping_add(c % 8));
        let mut pattern = oracle.get(start..end).unwrap_or(&[1, 2]).to_vec();
        if c >= 128 {
            pattern.push(c % 3);
        }
        let expected = if pattern.is_empty() {
            Some(0)
        } else {
            oracle.windows(pattern.len()).position(|window| window == pattern)
        };
        assert_eq!(sequence.find(&pattern), expected, "{pattern:?} in {oracle:?}");
        let value = c % 4;
        assert_eq!(sequence.position(&value), oracle.iter().position(|&byte| byte == value));
    }

    fn compare(&mut self, a: u8, b: u8) {
        let (Some(one), Some(two)) = (any(&self.sequences, a), any(&self.sequences, b)) else { return };
        assert_eq!(one.0 == two.0, one.1 == two.1);
        assert_eq!(one.0.cmp(&two.0), one.1.cmp(&two.1));
        assert_eq!(one.0 == two.1[..], one.1 == two.1);
    }

    fn copy_out(&mut self, a: u8) {
        let Some((sequence, oracle)) = any(&self.sequences, a) else { return };
        let mut bytes = vec![9; oracle.len()];
        sequence.copy_to_slice(&mut bytes);
        assert_eq!(bytes, *oracle);
        assert_eq!(sequence.to_owner(self.pool)[..], oracle[..]);
        assert_eq!(sequence.to_shared(self.pool), oracle[..]);
    }

    /// A walk through a sequence, the steps of which are made of three numbers.
    fn read(&mut self, a: u8, b: u8, c: u8) {
        let Some((sequence, oracle)) = any(&self.sequences, a) else { return };
        let (mut reader, mut at) = (sequence.reader(), 0);
        let mut numbers = u32::from_le_bytes([a, b, c, 1]);
        for _ in 0..12 {
            numbers = numbers.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            at += read_step(&mut reader, &oracle[at..], (numbers >> 24) as u8, (numbers >> 16) as u8);
            assert_eq!((reader.consumed(), reader.remaining_len()), (at, oracle.len() - at));
            assert_eq!(reader.peek(), oracle.get(at));
            assert!(oracle[at..].starts_with(reader.unread()));
            assert_eq!(reader.is_at_end(), at == oracle.len());
            if numbers.is_multiple_of(5) && at > 0 {
                let back = usize::from(b) % at;
                reader.rewind(back).unwrap();
                at -= back;
            }
        }
    }

    fn check(&self) {
        for (sequence, oracle) in &self.sequences {
            assert_eq!((sequence.len(), sequence.is_empty()), (oracle.len(), oracle.is_empty()));
            assert_eq!(sequence.segments().collect::<Vec<_>>().concat(), *oracle);
            assert!(sequence.segments().all(|segment| !segment.is_empty()));
            assert!(sequence.iter().eq(oracle));
            assert!(sequence.iter().rev().eq(oracle.iter().rev()));
            for at in [0, oracle.len() / 2, oracle.len().wrapping_sub(1), oracle.len()] {
                assert_eq!(sequence.get(at), oracle.get(at));
            }
            let single = sequence.segments().count() < 2;
            assert_eq!(sequence.as_single(), single.then_some(&oracle[..]));
        }
        for (segment, oracle) in &self.segments {
            assert_eq!(segment[..], oracle[..]);
        }
        assert_eq!(self.contiguous.0.written(), self.contiguous.1);
        assert_eq!(self.segmented.0.len(), self.segmented.1.len());
    }
}

/// One operation of a reader that has `ahead` before it. Returns how far it should have moved.
fn read_step(reader: &mut SequenceReader<'_, u8>, ahead: &[u8], what: u8, a: u8) -> usize {
    let len = usize::from(a) % 9;
    let fits = len <= ahead.len();
    let short = TooShort { wanted: len, remaining: ahead.len() };
    let moved = |moves: bool, len: usize| if moves { len } else { 0 };
    match what % 13 {
        0 => {
            assert_eq!(reader.read(), ahead.first());
            moved(!ahead.is_empty(), 1)
        }
        1 => {
            assert_eq!(reader.advance(len), if fits { Ok(()) } else { Err(short) });
            moved(fits, len)
        }
        2 => {
            let mut bytes = vec![9; len];
            assert_eq!(reader.read_exact(&mut bytes).is_ok(), fits);
            assert!(!fits || bytes == ahead[..len]);
            moved(fits, len)
        }
        3 => {
            assert_eq!(
                reader.read_le::<u32>().ok(),
                ahead.first_chunk().map(|&bytes| u32::from_le_bytes(bytes))
            );
            moved(ahead.len() >= 4, 4)
        }
        4 => {
            assert_eq!(
                reader.read_be::<i64>().ok(),
                ahead.first_chunk().map(|&bytes| i64::from_be_bytes(bytes))
            );
            moved(ahead.len() >= 8, 8)
        }
        5 => {
            let value = a % 4;
            let found = ahead.iter().position(|&byte| byte == value);
            let read = reader.read_until(&value);
            assert_eq!(read.is_some(), found.is_some());
            read.zip(found).map_or(0, |(read, found)| {
                assert_eq!(read, ahead[..found]);
                found + 1
            })
        }
        6 => {
            let pattern = [a % 3, (a >> 2) % 3];
            let found = ahead.windows(2).position(|window| window == pattern);
            let read = reader.read_until_slice(&pattern);
            assert_eq!(read.is_some(), found.is_some());
            read.zip(found).map_or(0, |(read, found)| {
                assert_eq!(read, ahead[..found]);
                found + 2
            })
        }
        7 => {
            let mut pattern = ahead[..len.min(ahead.len())].to_vec();
            if a >= 128 {
                pattern.push(a % 3);
            }
            let is_next = ahead.starts_with(&pattern);
            assert_eq!(reader.skip_if(&pattern), is_next);
            moved(is_next, pattern.len())
        }
        8 => {
            let value = a % 3;
            let equal = ahead.iter().take_while(|&&byte| byte == value).count();
            assert_eq!(reader.skip_while(&value), equal);
            equal
        }
        9 => {
            let read = reader.read_sequence(len);
            assert_eq!(read.is_ok(), fits);
            assert!(read.is_err() || read.is_ok_and(|read| read == ahead[..len]));
            moved(fits, len)
        }
        10 => {
            assert_eq!(reader.peek_at(len), ahead.get(len));
            assert_eq!(reader.remaining(), *ahead);
            assert_eq!(reader.clone().read_sequence(ahead.len()).unwrap(), *ahead);
            0
        }
        11 => {
            let mut bytes = vec![9; len];
            let read = Read::read(reader, &mut bytes).unwrap();
            assert_eq!((read, &bytes[..read]), (len.min(ahead.len()), &ahead[..read]));
            read
        }
        _ => {
            let len = reader.fill_buf().unwrap().len().min(len);
            reader.consume(len);
            len
        }
    }
}

/// A range for something of `len` elements, mostly inside.
fn range_of(len: usize, a: u8, b: u8) -> (usize, usize) {
    let spread = |a: u8| (usize::from(a) * (len + 1) / 250).min(len + 1);
    let (a, b) = (spread(a), spread(b));
    if a <= b || (a + b) % 4 == 0 { (a, b) } else { (b, a) }
}
