//! Files that appear only when they are whole.

use std::{
    fs,
    io::{self, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use leasehold::MemoryOwner;
use leasehold_pipeline::{Document, JsonlSink, NpySink, OutputFile, Place, Sink, SinkError, Text};
use tempfile::TempDir;

fn names(directory: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(directory.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn document(text: &str) -> Document {
    let path: Arc<Path> = Path::new("dir/a \"b\".txt").into();
    let text = Text::new(MemoryOwner::from(text.to_owned()).into_shared()).unwrap();
    Document { text, place: Place { path, line: 7, offset: 0 }, consumed: 0 }
}

#[test]
fn a_file_has_its_name_only_after_the_commit() {
    let directory = TempDir::new().unwrap();
    let target = directory.path().join("out.jsonl");
    fs::write(&target, "before").unwrap();
    let mut file = OutputFile::create(&target).unwrap();
    file.write_all(b"after").unwrap();
    file.flush().unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"before");
    assert_eq!(names(&directory).len(), 2);
    file.commit().unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"after");
    assert_eq!(names(&directory), ["out.jsonl"]);
}

#[test]
fn a_file_that_was_given_up_leaves_the_target_alone() {
    let directory = TempDir::new().unwrap();
    let target = directory.path().join("out.npy");
    let mut file = OutputFile::create(&target).unwrap();
    file.write_all(b"half").unwrap();
    drop(file);
    assert!(names(&directory).is_empty());
}

#[cfg(unix)]
#[test]
fn a_file_that_replaces_another_keeps_its_permissions() {
    use std::os::unix::fs::PermissionsExt;

    let directory = TempDir::new().unwrap();
    let target = directory.path().join("out.jsonl");
    fs::write(&target, "before").unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
    OutputFile::create(&target).unwrap().commit().unwrap();
    assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn two_runs_do_not_share_a_temporary_file() {
    let directory = TempDir::new().unwrap();
    let target = directory.path().join("out.jsonl");
    let one = OutputFile::create(&target).unwrap();
    let other = OutputFile::create(&target).unwrap();
    assert_ne!(one.temporary(), other.temporary());
}

#[test]
fn what_a_killed_run_has_left_is_removed_and_nothing_else() {
    let directory = TempDir::new().unwrap();
    let file = |name: &str| fs::write(directory.path().join(name), "half").unwrap();
    let target = directory.path().join("out.jsonl");
    let living = OutputFile::create(&target).unwrap();
    let others = ["out.jsonl.1.0.part", ".out.jsonl.1.part", ".out.jsonl.1.x.part", ".b.jsonl.1.0.part"];
    others.iter().for_each(|name| file(name));
    file(".out.jsonl.1.0.part");
    file(".out.jsonl.4194304.17.part");
    fs::create_dir(directory.path().join(".out.jsonl.2.0.part")).unwrap();
    OutputFile::create(&target).unwrap().commit().unwrap();
    let mut expected: Vec<String> = others.map(str::to_owned).into();
    expected.extend([".out.jsonl.2.0.part".to_owned(), "out.jsonl".to_owned()]);
    expected.push(living.temporary().unwrap().file_name().unwrap().to_str().unwrap().to_owned());
    expected.sort();
    let mut left = names(&directory);
    left.sort();
    assert_eq!(left, expected);
    living.commit().unwrap();
}

#[test]
fn many_runs_at_once_keep_their_files_until_they_are_whole() {
    let directory = TempDir::new().unwrap();
    let target = directory.path().join("out.jsonl");
    std::thread::scope(|scope| {
        for run in 0..8 {
            let target = &target;
            scope.spawn(move || {
                for round in 0..50 {
                    let mut file = OutputFile::create(target).unwrap();
                    write!(file, "{run} {round}").unwrap();
                    file.flush().unwrap();
                    assert_eq!(
                        fs::read_to_string(file.temporary().unwrap()).unwrap(),
                        format!("{run} {round}")
                    );
                    if round % 3 == 0 { drop(file) } else { file.commit().unwrap() }
                }
            });
        }
    });
    assert_eq!(names(&directory), ["out.jsonl"]);
}

#[cfg(unix)]
#[test]
fn writing_through_a_link_replaces_what_it_points_to() {
    let directory = TempDir::new().unwrap();
    let (target, link) = (directory.path().join("real.jsonl"), directory.path().join("link.jsonl"));
    fs::write(&target, "before").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let mut file = OutputFile::create(&link).unwrap();
    file.write_all(b"after").unwrap();
    file.commit().unwrap();
    assert!(link.is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"after");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_an_error() {
    let file = OutputFile::create(Path::new("/dev/full")).unwrap();
    let mut sink = JsonlSink::new(file, "/dev/full");
    let error = sink.write(&[document("x")], vec![1.0].into()).unwrap_err();
    assert_eq!(error.to_string(), "cannot write /dev/full");
}

#[test]
fn a_json_line_has_text_place_and_embedding() {
    let mut sink = JsonlSink::new(Vec::new(), "memory");
    sink.write(&[document("a \"quoted\"\nline"), document("猫")], vec![0.5, -1.0, 0.25, 1e-9].into())
        .unwrap();
    sink.finish().unwrap();
    let text = String::from_utf8(sink.into_inner()).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["text"], "a \"quoted\"\nline");
    assert_eq!(lines[0]["source"]["path"], "dir/a \"b\".txt");
    assert_eq!(lines[0]["source"]["line"], 7);
    assert_eq!(lines[0]["embedding"][1], -1.0);
    assert_eq!(lines[1]["text"], "猫");
}

#[test]
fn an_npy_file_for_a_pipe_is_refused_before_anything_is_written() {
    struct Pipe(Vec<u8>);
    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Seek for Pipe {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Err(io::ErrorKind::NotSeekable.into())
        }
    }
    let mut pipe = Pipe(Vec::new());
    let error = NpySink::new(&mut pipe, 2, "there").map(|_| ()).unwrap_err();
    assert!(matches!(error, SinkError::OneWay { .. }) && error.to_string().contains("there"), "{error}");
    assert!(pipe.0.is_empty());
}

#[test]
fn an_npy_file_states_its_shape_at_the_end() {
    let directory = TempDir::new().unwrap();
    let target = directory.path().join("out.npy");
    let mut sink = NpySink::new(OutputFile::create(&target).unwrap(), 2, "out.npy").unwrap();
    sink.write(&[document("a"), document("b")], vec![1.0, 2.0, 3.0, 4.0].into()).unwrap();
    sink.write(&[document("c")], vec![5.0, 6.0].into()).unwrap();
    sink.finish().unwrap();
    sink.into_inner().commit().unwrap();
    let bytes = fs::read(&target).unwrap();
    assert_eq!(bytes.len(), 128 + 6 * 4);
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    let header = std::str::from_utf8(&bytes[10..128]).unwrap();
    assert!(header.starts_with("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"), "{header}");
    assert!(header.ends_with('\n'));
    assert_eq!(&bytes[128..132], 1f32.to_le_bytes());
}
