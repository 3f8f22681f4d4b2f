//! A TCP proxy whose memory is bounded, whatever its clients do: each direction of a connection has a share of one budget, and who
//! comes when there is none left is turned away. A client that sends and does not read is held back by its own pipe.
//!
//! ```text
//!   client --socket--> pipe over its share --socket--> server        and the same back
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use leasehold::{BoundedPool, MemoryPool, PipeBuilder, PipeReader, PipeWriter, WriteError};

/// Bytes for all connections, and for one direction of one: what its pipe holds, and the blocks at its two ends.
const BUDGET: usize = 4 * SHARE;
const SHARE: usize = CAPACITY + 2 * BLOCK;
const CAPACITY: usize = 64 << 10;
const BLOCK: usize = 16 << 10;

/// An echo server, the proxy in front of it, and clients.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (server, _) = serve(|stream| io::copy(&mut &stream, &mut &stream).map(drop))?;
    let pool = MemoryPool::builder().build_bounded(BUDGET);
    let (proxy, _) = {
        let pool = pool.clone();
        serve(move |client| forward(client, server, &pool))?
    };

    let clients = [connect(proxy)?, connect(proxy)?];
    let refused = TcpStream::connect(proxy)?.read_to_end(&mut Vec::new())?;
    println!("a third client is turned away after {refused} bytes: two take the whole budget");
    thread::scope(|scope| {
        let talks = clients.each_ref().map(|client| scope.spawn(|| talk(client, &vec![7; 3_000_000])));
        talks.into_iter().try_for_each(|talk| talk.join().expect("a client does not panic"))
    })?;

    let stats = pool.stats();
    println!("the proxy held {} bytes at most, of {BUDGET}", stats.peak_bytes);
    assert!(stats.peak_bytes <= BUDGET);
    Ok(())
}

/// Forwards both directions of a connection, each over a pipe of its own.
fn forward(client: TcpStream, server: SocketAddr, pool: &BoundedPool) -> io::Result<()> {
    let shares = (pool.share(SHARE), pool.share(SHARE));
    let (Ok(there), Ok(back)) = shares else {
        println!("proxy: a client is turned away: no memory");
        return client.shutdown(Shutdown::Both);
    };
    let server = TcpStream::connect(server)?;
    thread::scope(|scope| {
        let there = scope.spawn(|| relay(&client, &server, &there));
        let outcome = relay(&server, &client, &back);
        there.join().expect("a relay does not panic").and(outcome)
    })
}

/// Forwards one direction until it ends, or until either socket fails, which the other end is told.
fn relay(from: &TcpStream, to: &TcpStream, pool: &BoundedPool) -> io::Result<()> {
    let (writer, reader) = PipeBuilder::new().pool(pool).capacity(CAPACITY).block_len(BLOCK).build();
    let outcome = thread::scope(|scope| {
        let filler = scope.spawn(move || fill(from, writer));
        let drained = drain(reader, to);
        if drained.is_err() {
            // Whoever fills waits for a socket whose bytes nobody wants.
            let _ = from.shutdown(Shutdown::Read);
        }
        filler.join().expect("a relay does not panic");
        drained
    });
    to.shutdown(Shutdown::Write).and(outcome)
}

/// Reads from the socket straight into rented blocks. Waits while the pipe is full, and the sender with it.
fn fill(mut from: &TcpStream, mut writer: PipeWriter<u8>) {
    let mut fill_once = || -> Result<usize, Box<dyn Error + Send + Sync>> {
        let len = from.read(writer.reserve_blocking(1)?)?;
        writer.commit(len);
        writer.flush_blocking()?;
        Ok(len)
    };
    let result = loop {
        match fill_once() {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    if !matches!(&result, Err(error) if error.is::<WriteError>()) {
        writer.complete(result);
    }
}

/// Writes what the pipe holds, from where it lies.
fn drain(mut reader: PipeReader<u8>, mut to: &TcpStream) -> io::Result<()> {
    loop {
        let result = reader.read_blocking().map_err(io::Error::other)?;
        let (buffer, is_completed) = (result.buffer(), result.is_completed());
        for segment in buffer.segments() {
            to.write_all(segment)?;
        }
        let len = buffer.len();
        reader.advance(len, len);
        if is_completed {
            return Ok(());
        }
    }
}

/// A connection that the proxy has accepted: a byte has come back.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(&[1])?;
    stream.read_exact(&mut [0])?;
    Ok(stream)
}

/// Sends all and receives all, at the same time.
fn talk(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut received = Vec::new();
    thread::scope(|scope| {
        let sender =
            scope.spawn(|| (&*stream).write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write)));
        let outcome = (&*stream).read_to_end(&mut received);
        sender.join().expect("a client does not panic").and(outcome)
    })?;
    assert!(received == bytes);
    println!("a client got its {} bytes back", received.len());
    Ok(())
}

/// Serves each connection with a thread, for as long as the process runs.
fn serve<F>(handle: F) -> io::Result<(SocketAddr, thread::JoinHandle<()>)>
where
    F: Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let thread = thread::spawn(move || {
        thread::scope(|scope| {
            for stream in listener.incoming().flatten() {
                scope.spawn(|| {
                    if let Err(error) = handle(stream) {
                        eprintln!("a connection has failed: {error}");
                    }
                });
            }
        });
    });
    Ok((address, thread))
}
