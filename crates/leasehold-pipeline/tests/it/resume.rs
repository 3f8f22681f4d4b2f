//! Outputs that grow over several runs.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use leasehold::MemoryOwner;
use leasehold_pipeline::{
    Document, EmbedError, Format, Input, Job, JsonlSink, NpySink, Place, Resume, ResumeError, Sink, Source,
    Split, Text,
};
use tempfile::TempDir;

use crate::support::{file, small_directory};

fn job() -> Job {
    let options = BTreeMap::from([("--window".to_owned(), "128".to_owned())]);
    Job { inputs: "inputs".to_owned(), model: "model".to_owned(), options }
}

fn document(line: u64) -> Document {
    let text = Text::new(MemoryOwner::from(format!("text {line}")).into_shared()).unwrap();
    Document { text, place: Place { path: Path::new("a").into(), line, offset: 0 }, consumed: 0 }
}

fn target(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}

/// Writes documents from where the output is up to `end`, and finishes where `whole` says so.
fn write(target: &Path, end: u64, whole: bool) {
    let (mut output, resume) = Resume::open(target, job()).unwrap();
    let done = resume.documents();
    let npy = target.extension().is_some_and(|ending| ending == "npy");
    let mut sink: Box<dyn Sink + '_> = match (npy, done) {
        (true, 0) => Box::new(NpySink::new(&mut output, 2, "x").unwrap()),
        (true, _) => Box::new(NpySink::resume(&mut output, 2, done, "x")),
        (false, _) => Box::new(JsonlSink::new(&mut output, "x")),
    };
    let mut resumable = resume.sink(&mut *sink).unwrap();
    for line in done..end {
        resumable.write(&[document(line)], MemoryOwner::from(vec![line as f32, 0.5])).unwrap();
    }
    if !whole {
        return resumable.save().unwrap();
    }
    resumable.finish().unwrap();
    let resume = resumable.into_resume();
    drop(sink);
    output.commit().unwrap();
    resume.finish().unwrap();
}

#[test]
fn an_output_of_many_runs_is_that_of_one() {
    for name in ["out.jsonl", "out.npy"] {
        let directory = TempDir::new().unwrap();
        let (once, often) = (target(&directory, &format!("once.{name}")), target(&directory, name));
        write(&once, 50, true);
        for end in [0, 3, 3, 20, 49] {
            write(&often, end, false);
            assert!(!often.exists());
            let [part, state] = Resume::files(&often);
            assert!(part.exists() && state.exists());
            // What was written after the last note does not count.
            let mut part = fs::OpenOptions::new().append(true).open(part).unwrap();
            part.write_all(b"{\"half a rec").unwrap();
        }
        write(&often, 50, true);
        assert_eq!(fs::read(&often).unwrap(), fs::read(&once).unwrap(), "{name}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "nothing else is left");
    }
}

#[test]
fn what_becomes_of_invalid_text_may_be_said_later_but_not_changed() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    write(&out, 3, false);
    let with = |value: &str| {
        let mut job = job();
        job.options.insert("--invalid".to_owned(), value.to_owned());
        Resume::open(&out, job)
    };
    let (output, resume) = with("replace").unwrap();
    assert_eq!(resume.documents(), 3);
    let mut sink = JsonlSink::new(output, "x");
    let mut resumable = resume.sink(&mut sink).unwrap();
    resumable.write(&[document(3)], MemoryOwner::from(vec![3.0, 0.5])).unwrap();
    resumable.save().unwrap();
    drop(resumable);
    drop(sink);
    for refused in [with("skip").map(|_| ()), Resume::open(&out, job()).map(|_| ())] {
        assert!(matches!(refused, Err(ResumeError::Different { .. })), "{refused:?}");
    }
    assert_eq!(with("replace").unwrap().1.documents(), 4);
}

#[test]
fn a_target_that_is_there_is_replaced_when_the_output_is_whole() {
    let directory = TempDir::new().unwrap();
    let out = file(&directory, "out.jsonl", b"before");
    write(&out, 3, false);
    assert_eq!(fs::read(&out).unwrap(), b"before");
    write(&out, 4, true);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
}

#[test]
fn another_job_does_not_go_on_with_the_output() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    write(&out, 3, false);
    let with = |name: &str, value: &str| {
        let mut job = job();
        job.options.insert(name.to_owned(), value.to_owned());
        job
    };
    let cases = [
        (Job { inputs: "other".to_owned(), ..job() }, "an input was added, removed or changed"),
        (Job { model: "other".to_owned(), ..job() }, "it had another model"),
        (with("--window", "64"), "it had --window 128"),
        (with("--by", "line"), "it had no --by"),
        (Job { options: BTreeMap::new(), ..job() }, "it had --window 128"),
    ];
    for (job, said) in cases {
        let error = Resume::open(&out, job).unwrap_err();
        assert!(matches!(error, ResumeError::Different { .. }));
        let message = error.to_string();
        assert!(message.contains(said) && message.contains("out.jsonl.part.state"), "{message}");
    }
    // It was left alone.
    write(&out, 5, true);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 5);
}

#[test]
fn a_run_that_has_written_nothing_is_not_in_the_way_of_another_job() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.npy");
    let other = Job { inputs: "other".to_owned(), ..job() };
    drop(Resume::open(&out, other.clone()).unwrap());
    write(&out, 0, false);
    drop(Resume::open(&out, other).unwrap());
    write(&out, 3, false);
    assert!(Resume::open(&out, Job { inputs: "other".to_owned(), ..job() }).is_err());
}

#[test]
fn a_run_that_is_killed_as_it_writes_a_lost_part_anew_can_be_gone_on_with() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    let [part, _] = Resume::files(&out);
    write(&out, 3, false);
    fs::remove_file(&part).unwrap();
    let (mut output, resume) = Resume::open(&out, job()).unwrap();
    assert_eq!(resume.documents(), 0);
    output.write_all(b"not noted").unwrap();
    drop((output, resume));
    write(&out, 4, true);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
}

#[test]
fn a_state_without_a_part_is_not_in_the_way_of_another_job() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    let [part, _] = Resume::files(&out);
    write(&out, 3, false);
    // As when a run is killed between giving the part its name and removing the state.
    fs::rename(&part, &out).unwrap();
    let other = Job { inputs: "other".to_owned(), ..job() };
    let (_, resume) = Resume::open(&out, other).unwrap();
    assert_eq!(resume.documents(), 0);
}

#[test]
fn what_was_left_and_is_damaged_is_refused() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    let [part, state] = Resume::files(&out);
    let open = || Resume::open(&out, job()).map(|_| ()).unwrap_err();
    fs::write(&part, "somebody's").unwrap();
    assert!(matches!(open(), ResumeError::Foreign { .. }), "{}", open());
    fs::remove_file(&part).unwrap();
    write(&out, 3, false);
    let good = fs::read(&state).unwrap();
    for bad in [&b""[..], b"{}", &good[..good.len() / 2], b"\xFF"] {
        fs::write(&state, bad).unwrap();
        assert!(matches!(open(), ResumeError::Malformed { .. }), "{}", open());
    }
    let newer = String::from_utf8(good.clone()).unwrap().replace("\"version\":1", "\"version\":2");
    fs::write(&state, newer).unwrap();
    assert!(open().to_string().contains("it has version 2, not 1"), "{}", open());
    fs::write(&state, &good).unwrap();
    let whole = fs::read(&part).unwrap();
    fs::write(&part, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(open(), ResumeError::Short { .. }), "{}", open());
    // A part that is gone is written anew.
    fs::remove_file(&part).unwrap();
    write(&out, 4, true);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
}

#[test]
fn two_runs_do_not_write_one_output() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    let first = Resume::open(&out, job()).unwrap();
    let error = Resume::open(&out, job()).unwrap_err();
    assert!(matches!(error, ResumeError::InUse { .. }), "{error}");
    drop(first);
    Resume::open(&out, job()).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn devices_and_directories_cannot_be_resumed() {
    let directory = TempDir::new().unwrap();
    for path in [Path::new("/dev/null"), directory.path()] {
        let error = Resume::open(path, job()).unwrap_err();
        assert!(matches!(error, ResumeError::NotAFile { .. }), "{error}");
    }
}

/// Cannot be gone on with, as most formats.
struct Other;

impl Sink for Other {
    fn write(&mut self, _: &[Document], _: MemoryOwner<f32>) -> Result<(), EmbedError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        Ok(())
    }
}

#[test]
fn a_format_that_cannot_be_gone_on_with_is_refused_and_leaves_nothing() {
    let directory = TempDir::new().unwrap();
    let (_, resume) = Resume::open(&target(&directory, "out.arrow"), job()).unwrap();
    let error = resume.sink(&mut Other).unwrap_err();
    assert!(matches!(error, EmbedError::Resume(ResumeError::Format)), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Fails in the middle of a record.
struct Full(Vec<u8>);

impl Sink for &mut Full {
    fn write(&mut self, _: &[Document], _: MemoryOwner<f32>) -> Result<(), EmbedError> {
        self.0.push(b'h');
        Err(EmbedError::Cancelled)
    }

    fn checkpoint(&mut self) -> Result<bool, EmbedError> {
        Ok(true)
    }

    fn finish(&mut self) -> Result<(), EmbedError> {
        Ok(())
    }
}

#[test]
fn nothing_is_noted_after_a_write_that_failed() {
    let directory = TempDir::new().unwrap();
    let out = target(&directory, "out.jsonl");
    write(&out, 3, false);
    let [part, state] = Resume::files(&out);
    let before = fs::read(&state).unwrap();
    let (mut output, resume) = Resume::open(&out, job()).unwrap();
    let mut full = Full(Vec::new());
    let mut sink = &mut full;
    let mut resumable = resume.sink(&mut sink).unwrap();
    resumable.write(&[document(3)], MemoryOwner::from(vec![0.0; 2])).unwrap_err();
    output.write_all(b"h").unwrap();
    output.flush().unwrap();
    resumable.save().unwrap();
    assert_eq!(fs::read(&state).unwrap(), before);
    drop((resumable, output));
    assert!(part.exists());
    write(&out, 4, true);
    assert_eq!(fs::read_to_string(&out).unwrap().lines().count(), 4);
}

#[test]
fn the_fingerprint_of_inputs_changes_with_every_one_of_them() {
    let directory = TempDir::new().unwrap();
    let (one, two) = (file(&directory, "one.txt", b"1"), file(&directory, "two.txt", b"2"));
    let print = |paths: &[&Path], left_out: &[&Path]| {
        let inputs = paths.iter().map(|path| (Input::from(path.to_path_buf()), Format::Text(Split::Line)));
        Source::fingerprint(inputs.collect(), left_out).unwrap()
    };
    let both = print(&[&one, &two], &[]);
    assert_eq!(print(&[&one, &two], &[]), both);
    assert_ne!(print(&[&two, &one], &[]), both);
    assert_ne!(print(&[&one], &[]), both);
    assert_ne!(print(&[&one, &two, Path::new("-")], &[]), both);
    fs::write(&two, "longer").unwrap();
    assert_ne!(print(&[&one, &two], &[]), both);
}

#[cfg(feature = "directories")]
#[test]
fn the_fingerprint_of_a_directory_changes_with_every_file_in_it() {
    let directory = TempDir::new().unwrap();
    let (_one, two) = (file(&directory, "one.txt", b"1"), file(&directory, "two.txt", b"2"));
    let print = |left_out: &[&Path]| {
        let input = (Input::from(directory.path().to_path_buf()), Format::Text(Split::Line));
        Source::fingerprint(vec![input], left_out).unwrap()
    };
    let all = print(&[]);
    assert_eq!(print(&[]), all);
    assert_ne!(print(&[&two]), all);
    fs::write(&two, "longer").unwrap();
    assert_ne!(print(&[]), all);
}

#[test]
fn the_digest_of_a_model_changes_with_each_of_its_files() {
    let directory = small_directory();
    let whole = Job::model(directory.path()).unwrap();
    assert_eq!(Job::model(directory.path()).unwrap(), whole);
    for name in ["config.json", "tokenizer.json", "model.safetensors", "sentence_bert_config.json"] {
        let before = fs::read(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name), &before[1..]).unwrap();
        assert_ne!(Job::model(directory.path()).unwrap(), whole, "{name}");
        fs::write(directory.path().join(name), before).unwrap();
    }
    let list = r#"[{"type": "sentence_transformers.models.Transformer", "path": ""},
                   {"type": "sentence_transformers.models.Pooling", "path": "pooling"}]"#;
    fs::create_dir(directory.path().join("pooling")).unwrap();
    let mut known = vec![whole];
    for (name, text) in [
        ("tokenizer_config.json", "{}"),
        ("modules.json", list),
        ("pooling/config.json", r#"{"pooling_mode": "cls"}"#),
    ] {
        fs::write(directory.path().join(name), text).unwrap();
        let digest = Job::model(directory.path()).unwrap();
        assert!(!known.contains(&digest), "{name}");
        known.push(digest);
    }
}
