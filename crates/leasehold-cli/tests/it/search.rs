//! Searching by meaning, and the cache that makes the second search fast.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::{Place, Run};

const TEXT: &str =
    "Owls hunt mice at night.\nThe stock market fell on Monday.\n\nBread is baked from flour and water.\n";

fn place() -> Place {
    let place = Place::new().with_cache();
    place.file("a.txt", TEXT);
    place
}

/// Places and passages of what was found, without the scores.
fn found(run: &Run) -> Vec<(String, String)> {
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""));
    run.out
        .lines()
        .map(|line| {
            let (place, rest) = line.split_once(": ").unwrap();
            let (score, passage) = rest.split_once("  ").unwrap();
            assert!((-1.0..=1.0).contains(&score.parse::<f32>().unwrap()), "{line}");
            (place.to_owned(), passage.to_owned())
        })
        .collect()
}

#[test]
fn the_nearest_passage_comes_first_with_its_place() {
    let place = place();
    let run = place.run(&["search", "birds of prey that eat rodents", "a.txt"]);
    let found = found(&run);
    assert_eq!(found[0], ("a.txt:1".to_owned(), "Owls hunt mice at night.".to_owned()));
    assert_eq!(found.len(), 3);
    let run = place.run(&["search", "how do I make a loaf", "a.txt", "-k", "1"]);
    assert_eq!(
        self::found(&run),
        [("a.txt:4".to_owned(), "Bread is baked from flour and water.".to_owned())]
    );
}

#[test]
fn json_has_the_place_and_the_whole_passage() {
    let place = place();
    let run = place.run(&["search", "owls", "-", "--by", "paragraph", "--json", "-k", "1"]);
    assert_eq!((run.code, run.out.as_str()), (Some(3), ""), "there was no input");
    let run = place
        .run_with_input(&["search", "loaf", "-", "--by", "paragraph", "--json", "-k", "1"], TEXT.as_bytes());
    let hit = &run.records()[0];
    assert_eq!(hit["text"], "Bread is baked from flour and water.");
    assert_eq!(hit["source"], serde_json::json!({"path": "-", "line": 4, "offset": 59}));
    assert!(hit["score"].as_f64().unwrap() > 0.3);
}

#[test]
fn nothing_found_exits_with_three_and_says_nothing() {
    let place = place();
    let run = place.run(&["search", "owls", "a.txt", "--min-score", "0.99"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(3), "", ""));
    place.file("empty.txt", "\n");
    assert_eq!(place.run(&["search", "owls", "empty.txt"]).code, Some(3));
    assert_eq!(place.run(&["search", "owls", "a.txt", "--min-score", "0.2"]).out.lines().count(), 1);
}

#[test]
fn the_second_search_finds_vectors_in_the_cache() {
    let place = place();
    let plain = place.run(&["search", "owls", "a.txt", "--no-cache"]);
    assert_eq!(place.cached(), 0);
    let first = place.run(&["search", "owls", "a.txt"]);
    let cached = place.cached();
    assert!(cached > 3 * 384 * 4);
    let second = place.run(&["search", "what do birds eat", "a.txt"]);
    assert_eq!(place.cached(), cached, "nothing was new");
    assert_eq!(found(&first), found(&plain));
    assert_eq!(found(&second).len(), 3);
    place.file("b.txt", TEXT.replace("Monday", "Friday"));
    found(&place.run(&["search", "owls", "b.txt"]));
    assert_eq!(place.cached() - cached, 384 * 4 + 20, "one line was new");
}

#[test]
fn a_search_that_was_killed_leaves_a_cache_that_can_be_used() {
    let place = place();
    let expected = place.run(&["search", "owls", "a.txt", "--no-cache"]).out;
    let mut command = place.command(&["search", "owls", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(TEXT.as_bytes()).unwrap();
    // A pause in the input lets what came so far through.
    while place.cached() <= 2 * 64 {
        assert!(child.try_wait().unwrap().is_none(), "it waits for more input");
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(place.run(&["search", "owls", "a.txt"]).out, expected);
}

#[test]
fn searches_at_the_same_time_do_not_disturb_each_other() {
    let place = place();
    let mut command = place.command(&["search", "owls", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It has the lock once it has stored something.
    child.stdin.as_mut().unwrap().write_all(TEXT.as_bytes()).unwrap();
    while place.cached() <= 2 * 64 {
        assert!(child.try_wait().unwrap().is_none(), "it waits for more input");
        thread::sleep(Duration::from_millis(1));
    }
    let beside = place.run(&["search", "owls", "a.txt"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().replace("-:", "a.txt:"), beside.out);
    assert_eq!(found(&beside).len(), 3);
}

#[test]
fn a_damaged_cache_is_put_aside_and_said_so() {
    let place = place();
    let expected = place.run(&["search", "owls", "a.txt"]).out;
    let vectors = place.path().join("cache/vectors");
    let store = fs::read_dir(&vectors).unwrap().next().unwrap().unwrap().path();
    fs::write(store.join("1/keys"), "not keys").unwrap();
    let run = place.run(&["search", "owls", "a.txt"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), expected.as_str()));
    assert!(run.err.starts_with("leasehold: the cache of vectors was damaged"), "{}", run.err);
    assert_eq!(fs::read(store.join("damaged/keys")).unwrap(), b"not keys");
    assert_eq!(place.run(&["search", "owls", "a.txt"]).err, "");
}

#[test]
fn a_cache_that_cannot_be_written_changes_nothing_but_the_speed() {
    let place = place();
    let expected = place.run(&["search", "owls", "a.txt", "--no-cache"]).out;
    // A limit of one block, whose signal is ignored so that the write fails as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 1; exec \"$0\" search owls a.txt";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_leasehold")]).current_dir(place.path());
    let output = command.env("LEASEHOLD_CACHE", place.path().join("cache")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stdout).unwrap()),
        (Some(0), expected),
        "{said}"
    );
    assert!(said.contains("cannot write to the cache of vectors"), "{said}");
}

#[test]
fn wrong_arguments_of_a_search_exit_with_two() {
    let place = place();
    place.run(&["search", "owls"]).fails(2, "INPUT");
    place.run(&["search", " ", "a.txt"]).fails(2, "there is nothing in it to look for");
    place.run(&["search", "owls", "a.txt", "--min-score", "2"]).fails(2, "from -1 to 1");
    place.run(&["search", "owls", "a.txt", "--json", "--full"]).fails(2, "cannot be used with");
    place.run(&["search", "owls", "missing.txt"]).fails(1, "cannot open missing.txt");
    place.run(&["search", "owls", "a.txt", "--memory", "1M"]).fails(1, "the least that works is");
}
