//! A batch of rows of different lengths in one block, without padding; and the rows of several batches that are of interest,
//! gathered into one block for a device.

use leasehold::{MemoryPool, Ragged};

/// Builds two batches of token numbers, and gathers the long rows.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = MemoryPool::new();
    let first = tokens(&pool, &["a lease", "an owner and many readers of it"])?;
    let second = tokens(&pool, &["one two three four five", "six"])?;

    let width = first.iter().chain(second.iter()).map(<[u32]>::len).max().unwrap_or(0);
    let (rows, values) = (first.rows() + second.rows(), first.values().len() + second.values().len());
    println!("{values} values in {rows} rows; padded to {width} they would be {}", rows * width);

    let long: Vec<&[u32]> = first.iter().chain(second.iter()).filter(|row| row.len() > 2).collect();
    let gathered = Ragged::gather_rows(&pool, &long);
    for row in gathered.iter() {
        println!("  a row of {}: {row:?}", row.len());
    }
    assert_eq!(gathered.offsets(), [0, 7, 12]);

    let (values, offsets) = gathered.into_parts(); // what Arrow and attention kernels take
    println!("as two buffers: {} values at {:?}, {} offsets", values.len(), values.as_ptr(), offsets.len());
    Ok(())
}

/// A number for each word: its length and its first letter.
fn tokens(pool: &MemoryPool, texts: &[&str]) -> Result<Ragged<u32>, leasehold::RaggedFull> {
    let mut batch = Ragged::rent(pool, texts.len(), 100);
    for text in texts {
        let words: Vec<&str> = text.split(' ').collect();
        batch.push_row_with(words.len(), |row| {
            for (place, word) in row.iter_mut().zip(words) {
                *place = word.len() as u32 * 256 + u32::from(word.as_bytes()[0]);
            }
        })?;
    }
    Ok(batch)
}
