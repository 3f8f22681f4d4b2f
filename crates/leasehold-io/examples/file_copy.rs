//! Copies a file with `io_uring`: four reads are under way at a time, into registered blocks that are written from where they are.
//!
//! `cargo run -p leasehold-io --features io-uring --example file_copy`

#[cfg(target_os = "linux")]
pub use linux::main;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::VecDeque;
    use std::error::Error;
    use std::fs::File;
    use std::sync::Arc;

    use leasehold::MemoryPool;
    use leasehold_io::{Operation, RegisteredBuffer, Ring};

    const BLOCK: usize = 64 << 10;
    const AT_ONCE: usize = 4;

    /// Copies a file that is made up, and compares.
    pub fn main() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, (0..1_000_003).map(|index| (index % 251) as u8).collect::<Vec<u8>>())?;

        let pool = MemoryPool::new();
        let ring = match Ring::builder().register((0..AT_ONCE).map(|_| pool.rent(BLOCK))).build() {
            Err(error) if error.is_forbidden() => {
                println!("{error}");
                return Ok(());
            }
            ring => ring?,
        };
        let copied = copy(&ring, &Arc::new(File::open(&from)?), &Arc::new(File::create(&to)?))?;
        drop(ring);
        println!(
            "copied {copied} bytes through {AT_ONCE} blocks; {} bytes are rented",
            pool.stats().rented_bytes
        );
        assert!(std::fs::read(from)? == std::fs::read(to)?);
        Ok(())
    }

    fn copy(ring: &Ring, from: &Arc<File>, to: &Arc<File>) -> std::io::Result<u64> {
        let mut reads: VecDeque<(u64, Operation<RegisteredBuffer>)> = VecDeque::new();
        let (len, mut next) = (from.metadata()?.len(), 0);
        loop {
            while next < len
                && let Some(buffer) = ring.rent_registered()
            {
                reads.push_back((next, ring.read_at(from, buffer, next)));
                next += BLOCK as u64;
            }
            let Some((offset, read)) = reads.pop_front() else { return Ok(len) };
            let (mut buffer, count) = read.wait()?;
            buffer.truncate(count);
            // A plain file gives and takes whole blocks, but for its last; whatever else it does is an error here.
            let expected = (len - offset).min(BLOCK as u64) as usize;
            let (_buffer, written) = ring.write_at(to, buffer, offset).wait()?;
            if count != expected || written != expected {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Says why there is nothing to see.
#[cfg(not(target_os = "linux"))]
pub fn main() {
    println!("io_uring is a part of Linux");
}
