//! Every sink: what it writes reads back as what went in, however it is cut into writes; and what happens when it cannot
//! write.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    thread,
};

use leasehold::{MemoryOwner, MemoryPool};
use leasehold_pipeline::{
    Document, EmbedError, JsonlSink, NpySink, OutputFile, Place, Sink, SinkError, TerminalSink, Text,
};

/// A document that says where it is from.
fn document(path: &str, line: u64, text: &str) -> Document {
    let path: Arc<Path> = Path::new(path).into();
    let text = Text::new(MemoryOwner::from(text.to_owned()).into_shared()).unwrap();
    Document { text, place: Place { path, line, offset: 0 }, consumed: 0 }
}

/// Path, line, text and vector of each row.
type Row = (String, i64, String, Vec<f32>);

/// Rows that are easy to get wrong, so many.
fn rows(count: usize, width: usize) -> Vec<Row> {
    let texts = ["plain", "two\nlines", "猫", "", "\0", "quote \" and \\"];
    (0..count)
        .map(|row| {
            let text = format!("{}{row}", texts[row % texts.len()]);
            let text = if row % 7 == 3 { String::new() } else { text };
            let vector = (0..width).map(|column| (row * width + column) as f32 * 0.5 - 3.0).collect();
            (format!("dir/file {}.txt", row / 10), row as i64 + 1, text, vector)
        })
        .collect()
}

/// Writes the rows in pieces of different lengths, each vector in a block of the pool.
fn write(sink: &mut dyn Sink, rows: &[Row]) -> Result<(), EmbedError> {
    let pool = MemoryPool::builder().build_bounded(1 << 30);
    let mut rest = rows;
    for length in [1, 3, 20, 0, 7].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let piece;
        (piece, rest) = rest.split_at(rest.len().min(length));
        let documents: Vec<_> =
            piece.iter().map(|(path, line, text, _)| document(path, *line as u64, text)).collect();
        let values: Vec<f32> = piece.iter().flat_map(|row| row.3.iter().copied()).collect();
        let mut block = pool.try_rent(values.len()).unwrap();
        block.copy_from_slice(&values);
        sink.write(&documents, block)?;
        assert!(pool.outstanding().is_empty(), "a sink keeps no block after a write");
    }
    sink.finish()
}

#[cfg(feature = "arrow")]
mod arrow {
    use arrow_array::{
        RecordBatch,
        cast::AsArray,
        types::{Float32Type, Int64Type},
    };
    use arrow_ipc::reader::{FileReader, StreamReader};
    use leasehold_pipeline::ArrowSink;

    use super::*;

    fn read(batch: &RecordBatch) -> Vec<Row> {
        let [paths, lines, texts, vectors] = batch.columns() else { panic!("{:?}", batch.schema()) };
        let vectors = vectors.as_fixed_size_list();
        (0..batch.num_rows())
            .map(|row| {
                (
                    paths.as_string::<i32>().value(row).to_owned(),
                    lines.as_primitive::<Int64Type>().value(row),
                    texts.as_string::<i64>().value(row).to_owned(),
                    vectors.value(row).as_primitive::<Float32Type>().values().to_vec(),
                )
            })
            .collect()
    }

    #[test]
    fn an_arrow_file_has_every_row_in_batches_of_some_size() {
        for (count, width) in [(0, 3), (1, 1), (50, 3), (5_000, 1_000)] {
            let rows = rows(count, width);
            let mut bytes = Vec::new();
            write(&mut ArrowSink::file(&mut bytes, width, "memory").unwrap(), &rows).unwrap();
            let reader = FileReader::try_new(io::Cursor::new(bytes), None).unwrap();
            assert_eq!(reader.schema().fields().len(), 4);
            let batches: Vec<_> = reader.map(Result::unwrap).collect();
            assert!(batches.len() <= 1 + rows.len() * width * 4 / (4 << 20));
            let read: Vec<Row> = batches.iter().flat_map(read).collect();
            assert!(read == rows, "{count} rows of {width}");
        }
    }

    #[test]
    fn a_block_that_is_large_enough_is_a_batch_of_its_own() {
        let rows = rows(2_000, 1_000);
        let (small, large) = rows.split_at(5);
        let mut bytes = Vec::new();
        let mut sink = ArrowSink::file(&mut bytes, 1_000, "memory").unwrap();
        let mut order = Vec::new();
        for piece in [large, small, large, small] {
            let documents: Vec<_> = piece.iter().map(|row| document(&row.0, row.1 as u64, &row.2)).collect();
            let values: Vec<f32> = piece.iter().flat_map(|row| row.3.clone()).collect();
            sink.write(&documents, values.into()).unwrap();
            order.extend_from_slice(piece);
        }
        sink.finish().unwrap();
        drop(sink);
        let batches: Vec<_> =
            FileReader::try_new(io::Cursor::new(bytes), None).unwrap().map(Result::unwrap).collect();
        let lengths: Vec<_> = batches.iter().map(RecordBatch::num_rows).collect();
        assert_eq!(lengths, [1_995, 2_000, 5]);
        assert!(batches.iter().flat_map(read).eq(order));
    }

    #[test]
    fn a_stream_that_is_gone_on_with_is_as_if_it_had_never_ended() {
        let expected = rows(40, 3);
        let mut whole = Vec::new();
        write(&mut ArrowSink::stream(&mut whole, 3, "memory").unwrap(), &expected).unwrap();
        let (first, second) = expected.split_at(25);
        let mut bytes = Vec::new();
        let mut sink = ArrowSink::stream(&mut bytes, 3, "memory").unwrap();
        let documents: Vec<_> = first.iter().map(|row| document(&row.0, row.1 as u64, &row.2)).collect();
        let values: Vec<f32> = first.iter().flat_map(|row| row.3.clone()).collect();
        sink.write(&documents, values.into()).unwrap();
        assert!(sink.checkpoint().unwrap());
        drop(sink);
        write(&mut ArrowSink::resume_stream(&mut bytes, 3, "memory").unwrap(), second).unwrap();
        let read = |bytes: Vec<u8>| -> Vec<Row> {
            let reader = StreamReader::try_new(io::Cursor::new(bytes), None).unwrap();
            reader.flat_map(|batch| read(&batch.unwrap())).collect()
        };
        assert_eq!(read(bytes), expected);
        assert_eq!(read(whole), expected);
    }

    #[test]
    fn a_stream_can_be_turned_into_what_another_sink_writes() {
        let expected = rows(70, 3);
        let mut stream = Vec::new();
        write(&mut ArrowSink::stream(&mut stream, 3, "memory").unwrap(), &expected).unwrap();
        let (mut made, mut direct) =
            (JsonlSink::new(Vec::new(), "made"), JsonlSink::new(Vec::new(), "direct"));
        leasehold_pipeline::replay(&*stream, "stream", &mut made).unwrap();
        write(&mut direct, &expected).unwrap();
        assert_eq!(made.into_inner(), direct.into_inner());
        // Wherever a stream is cut there is an error, or it ends with a whole batch.
        for at in 0..stream.len() {
            let mut rest = JsonlSink::new(Vec::new(), "rest");
            match leasehold_pipeline::replay(&stream[..at], "stream", &mut rest) {
                Err(EmbedError::Sink(SinkError::ReadBack { target, .. })) => assert_eq!(target, "stream"),
                Err(error) => panic!("{error:?}"),
                Ok(()) => assert!(rest.into_inner().is_empty() || at > 500, "at {at}"),
            }
        }
        let error = leasehold_pipeline::replay(&b"no stream"[..], "x", &mut JsonlSink::new(Vec::new(), ""));
        assert_eq!(error.unwrap_err().to_string(), "cannot read x back");
    }

    #[test]
    fn an_arrow_stream_shows_each_write_at_once() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut sink = ArrowSink::stream(writer, 2, "pipe").unwrap();
        let expected = rows(6, 2);
        let (done, wait) = std::sync::mpsc::channel();
        let reading = thread::spawn(move || {
            let mut seen = Vec::new();
            for batch in StreamReader::try_new(&mut reader, None).unwrap() {
                seen.extend(read(&batch.unwrap()));
                done.send(seen.len()).unwrap();
            }
            seen
        });
        for (index, row) in expected.iter().enumerate() {
            sink.write(&[document(&row.0, row.1 as u64, &row.2)], row.3.clone().into()).unwrap();
            // The next write waits until this one has been seen.
            assert_eq!(wait.recv().unwrap(), index + 1);
        }
        sink.finish().unwrap();
        drop(sink);
        assert_eq!(reading.join().unwrap(), expected);
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use ::parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::{Field, Row as Record, RowAccessor},
    };
    use leasehold_pipeline::{Format, ParquetSink};

    use tempfile::TempDir;

    use super::*;
    use crate::support::{read as documents_of, texts};

    fn read(record: &Record) -> Row {
        let list = record.get_list(3).unwrap();
        let vector = list.elements().iter().map(|value| match value {
            Field::Float(value) => *value,
            other => panic!("{other:?}"),
        });
        (
            record.get_string(0).unwrap().clone(),
            record.get_long(1).unwrap(),
            record.get_string(2).unwrap().clone(),
            vector.collect(),
        )
    }

    #[test]
    fn a_parquet_file_has_every_row_in_groups_of_some_size() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a.parquet");
        for (count, width) in [(0, 3), (1, 1), (70, 3), (6_000, 2_000)] {
            let rows = rows(count, width);
            let mut file = OutputFile::create(&path).unwrap();
            write(&mut ParquetSink::new(&mut file, width, "a.parquet").unwrap(), &rows).unwrap();
            file.commit().unwrap();
            let reader = SerializedFileReader::try_from(path.as_path()).unwrap();
            assert_eq!(reader.num_row_groups(), usize::from(count > 0) + rows.len() * width * 4 / (33 << 20));
            let metadata = reader.metadata().file_metadata();
            let keys: Vec<_> = metadata.key_value_metadata().unwrap().iter().map(|pair| &pair.key).collect();
            assert_eq!(keys, ["ARROW:schema"]);
            let read: Vec<Row> = reader.get_row_iter(None).unwrap().map(|row| read(&row.unwrap())).collect();
            assert!(read == rows, "{count} rows of {width}");
        }
    }

    #[test]
    fn texts_of_a_parquet_file_can_be_embedded_again() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("a.parquet");
        let mut file = OutputFile::create(&path).unwrap();
        write(&mut ParquetSink::new(&mut file, 2, "a.parquet").unwrap(), &rows(20, 2)).unwrap();
        file.commit().unwrap();
        let documents = documents_of(path, Format::Parquet { column: "text".into() }).unwrap();
        let rows = rows(20, 2);
        let expected: Vec<_> = rows.iter().filter(|row| !row.2.trim().is_empty()).collect();
        let expected: Vec<_> = expected.iter().map(|row| (row.1 as u64, row.2.as_str())).collect();
        assert_eq!(texts(&documents), expected);
    }
}

#[test]
fn a_terminal_shows_a_line_for_each_document() {
    let mut sink = TerminalSink::new(Vec::new(), 60, "terminal");
    let documents = [
        document("a.txt", 7, "short"),
        document("b\u{1B}.txt", 8, "a\ttext \u{1B}[2J that is too long for its line\nand has two"),
    ];
    sink.write(&documents, vec![0.6, -0.8, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0].into()).unwrap();
    sink.finish().unwrap();
    let shown = String::from_utf8(sink.into_inner()).unwrap();
    let expected = "\
a.txt:7  short                 +0.600 -0.800 +0.000 ..  norm 1.000
b\u{FFFD}.txt:8  a text \u{FFFD}[2J that is…  +1.000 +0.000 +0.000 ..  norm 1.000
";
    assert_eq!(shown, expected);
}

/// A place to write to that gives nothing back: where bytes go, and whether it can seek.
trait Target: Write + Seek + Send {}

impl<T: Write + Seek + Send> Target for T {}

/// Makes a sink; sinks that need no seeking get a writer that has it, and do not use it.
type Make = for<'a> fn(&'a mut dyn Target) -> Result<Box<dyn Sink + 'a>, SinkError>;

fn sinks() -> Vec<(&'static str, Make)> {
    #[cfg_attr(not(feature = "arrow"), expect(unused_mut, reason = "no more are added"))]
    let mut sinks: Vec<(&'static str, Make)> = vec![
        ("jsonl", |target| Ok(Box::new(JsonlSink::new(target, "there")))),
        ("npy", |target| Ok(Box::new(NpySink::new(target, 4, "there")?))),
        ("terminal", |target| Ok(Box::new(TerminalSink::new(target, 80, "there")))),
    ];
    #[cfg(feature = "arrow")]
    {
        use leasehold_pipeline::ArrowSink;

        sinks.push(("arrow", |target| Ok(Box::new(ArrowSink::file(target, 4, "there")?))));
        sinks.push(("arrows", |target| Ok(Box::new(ArrowSink::stream(target, 4, "there")?))));
    }
    #[cfg(feature = "parquet")]
    sinks.push(("parquet", |target| Ok(Box::new(leasehold_pipeline::ParquetSink::new(target, 4, "there")?))));
    sinks
}

fn write_to(target: &mut dyn Target, make: Make, count: usize) -> Result<(), EmbedError> {
    let mut sink = make(target)?;
    write(&mut *sink, &rows(count, 4))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_of_every_sink() {
    for (name, make) in sinks() {
        let mut full = OutputFile::create(Path::new("/dev/full")).unwrap();
        let written = write_to(&mut full, make, 2_000);
        // A buffer may keep the last bytes until the file is committed.
        let error = match written {
            Err(EmbedError::Sink(error)) => error,
            Err(error) => panic!("{name}: {error}"),
            Ok(()) => full.commit().unwrap_err(),
        };
        let SinkError::Write { source, .. } = &error else { panic!("{name}: {error:?}") };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull, "{name}");
    }
}

/// Fails once so many bytes are written.
struct Filling {
    room: usize,
    kind: io::ErrorKind,
}

impl Write for Filling {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = bytes.len().min(self.room);
        self.room -= written;
        if written == 0 && !bytes.is_empty() { Err(self.kind.into()) } else { Ok(written) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Filling {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

#[test]
fn a_disk_that_fills_up_at_any_byte_is_an_error_and_nothing_else() {
    for (name, make) in sinks() {
        let mut needed = Trickle { bytes: io::Cursor::default(), calls: 0 };
        write_to(&mut needed, make, 30).unwrap();
        let needed = needed.bytes.into_inner().len();
        assert!(needed > 400, "{name}");
        for room in (0..needed).step_by(3) {
            let mut filling = Filling { room, kind: io::ErrorKind::StorageFull };
            let error = write_to(&mut filling, make, 30).unwrap_err();
            let EmbedError::Sink(SinkError::Write { target, source }) = error else {
                panic!("{name} at {room}: {error:?}");
            };
            assert_eq!((target.as_str(), source.kind()), ("there", io::ErrorKind::StorageFull), "{name}");
        }
    }
}

#[test]
fn a_reader_that_has_gone_is_told_from_other_errors_by_every_sink() {
    for (name, make) in sinks() {
        for room in [0, 200] {
            let mut closed = Filling { room, kind: io::ErrorKind::BrokenPipe };
            let error = write_to(&mut closed, make, 30).unwrap_err();
            assert!(matches!(error, EmbedError::Sink(SinkError::Closed { .. })), "{name}: {error:?}");
        }
    }
}

/// Takes a few bytes at a time, and is interrupted in between.
struct Trickle {
    bytes: io::Cursor<Vec<u8>>,
    calls: usize,
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        match self.calls % 3 {
            0 => Err(io::ErrorKind::Interrupted.into()),
            few => self.bytes.write(&bytes[..bytes.len().min(few * 5)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Trickle {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}

#[test]
fn a_slow_consumer_gets_what_a_fast_one_gets_of_every_sink() {
    for (name, make) in sinks() {
        let mut fast = io::Cursor::new(Vec::new());
        write_to(&mut fast, make, 100).unwrap();
        let mut slow = Trickle { bytes: io::Cursor::default(), calls: 0 };
        write_to(&mut slow, make, 100).unwrap();
        assert!(slow.bytes.into_inner() == fast.into_inner(), "{name}");
    }
}

#[test]
fn a_pipe_that_is_read_slowly_holds_a_sink_up_and_loses_nothing() {
    let (mut reader, writer) = io::pipe().unwrap();
    let reading = thread::spawn(move || {
        let mut text = Vec::new();
        let mut few = [0; 100];
        loop {
            match reader.read(&mut few).unwrap() {
                0 => return text,
                read => text.extend_from_slice(&few[..read]),
            }
            thread::yield_now();
        }
    });
    let rows = rows(3_000, 4);
    write(&mut JsonlSink::new(writer, "pipe"), &rows).unwrap();
    let text = String::from_utf8(reading.join().unwrap()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), rows.len());
    assert!(lines.iter().zip(&rows).all(|(line, row)| line["text"] == row.2.as_str()));
}
