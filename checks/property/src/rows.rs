//! Ragged batches and windows over a stream, against vectors.

use leasehold::{MemoryPool, Ragged, Windows};

use crate::world::Operation;

const ROWS: usize = 6;
const VALUES: usize = 40;

/// Does `operations` one after the other on two batches, compares them with vectors of rows, and checks that every block came
/// back.
pub fn run_ragged(operations: &[Operation]) {
    let pool = MemoryPool::new();
    let batch = || (Ragged::rent(&pool, ROWS, VALUES), Vec::<Vec<u16>>::new());
    let mut batches = [batch(), batch()];
    for (at, &(what, a, b, c)) in operations.iter().enumerate() {
        let [(batch, rows), (other, other_rows)] = &mut batches;
        let row: Vec<u16> = (0..usize::from(a) % 20).map(|value| (at + value) as u16).collect();
        let fits = rows.len() < batch.rows() + batch.spare_rows() && row.len() <= batch.spare_values();
        match what % 8 {
            0 | 1 => {
                assert_eq!(batch.push_row(&row).is_ok(), fits);
                rows.extend(fits.then_some(row));
            }
            2 => {
                assert_eq!(batch.push_row_with(row.len(), |room| room.copy_from_slice(&row)).is_ok(), fits);
                rows.extend(fits.then_some(row));
            }
            3 => {
                let (start, end) = range(b, c, other_rows.len());
                let more = &other_rows[start..end];
                let values: usize = more.iter().map(Vec::len).sum();
                let fit = more.len() <= batch.spare_rows() && values <= batch.spare_values();
                assert_eq!(batch.push_rows(other.slice(start..end)).is_ok(), fit);
                rows.extend(more.iter().filter(|_| fit).cloned());
            }
            4 => {
                let (start, end) = range(a, b, rows.len());
                let gathered = Ragged::gather(&pool, &[batch.slice(start..end), other.slice(..)]);
                check(&gathered, &[&rows[start..end], other_rows].concat());
            }
            5 => check(&Ragged::gather_rows(&pool, rows), rows),
            6 if a.is_multiple_of(4) => {
                batch.clear();
                rows.clear();
            }
            _ => batches.swap(0, 1),
        }
        for (batch, rows) in &batches {
            check(batch, rows);
            let used: usize = rows.iter().map(Vec::len).sum();
            assert_eq!((batch.spare_rows(), batch.spare_values()), (ROWS - rows.len(), VALUES - used));
        }
    }
    drop(batches);
    assert!(pool.outstanding().is_empty());
}

fn range(a: u8, b: u8, len: usize) -> (usize, usize) {
    let (a, b) = (usize::from(a) % (len + 1), usize::from(b) % (len + 1));
    (a.min(b), a.max(b))
}

fn check(batch: &Ragged<u16>, rows: &[Vec<u16>]) {
    assert!(batch.iter().eq(rows.iter().map(Vec::as_slice)));
    assert_eq!((batch.rows(), batch.values()), (rows.len(), &rows.concat()[..]));
    let ends = rows.iter().scan(0, |end, row| {
        *end += row.len();
        Some(*end)
    });
    assert!(batch.offsets().iter().copied().eq(std::iter::once(0).chain(ends)));
}

/// Writes a stream in the pieces that `operations` say, takes windows in between, and compares them with those of the stream
/// as a whole. The first operation says how they are cut.
pub fn run_windows(operations: &[Operation]) {
    let Some((&(size, stride, more, _), operations)) = operations.split_first() else { return };
    let (size, stride) = (usize::from(size) % 40 + 1, usize::from(stride) % 60 + 1);
    let capacity = size + usize::from(more) % 50;
    let mut mirrored = Windows::with_capacity(size, stride, capacity).unwrap();
    let mut rented = Windows::without_mirror(size, stride, capacity).unwrap();
    for windows in [&mut mirrored, &mut rented] {
        let (mut stream, mut start) = (Vec::<u32>::new(), 0);
        for &(what, a, b, _) in operations {
            let piece: Vec<u32> =
                (stream.len() as u32..).take(usize::from(a) + 256 * usize::from(b % 4)).collect();
            match what % 3 {
                0 => {
                    let pushed = windows.push_slice(&piece);
                    stream.extend(&piece[..pushed]);
                }
                1 => {
                    let room = windows.reserve();
                    let len = room.len().min(piece.len());
                    room[..len].copy_from_slice(&piece[..len]);
                    windows.commit(len);
                    stream.extend(&piece[..len]);
                }
                _ => {
                    let expected = stream.get(start..start + size);
                    assert_eq!(windows.next_window(), expected, "{size} every {stride} at {start}");
                    start += if expected.is_some() { stride } else { 0 };
                }
            }
            assert_eq!(windows.remainder(), stream.get(start..).unwrap_or_default());
            // A ring without room has a window to be taken.
            assert!(!windows.reserve().is_empty() || stream.len() >= start + size);
        }
        assert!(!windows.is_mirrored() || windows.copied() == 0);
    }
}
