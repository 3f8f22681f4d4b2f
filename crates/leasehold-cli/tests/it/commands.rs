//! The commands around the others: bench, model, completions, help.

use std::fs;

use leasehold_pipeline::Cache;

use crate::support::Place;

#[test]
fn bench_tells_what_each_stage_did() {
    let place = Place::new();
    place.file("a.txt", "One paragraph.\n\nAnother one, with a few more words in it.\n");
    for input in [&["bench"][..], &["bench", "a.txt"]] {
        let arguments = [input, &["--seconds", "0.3", "--threads", "1", "--json"]].concat();
        let figures = place.run(&arguments).records().remove(0);
        let count = |name: &str| figures[name].as_u64().unwrap();
        assert!(count("tokens") > count("passages") && count("passages") > 0, "{figures}");
        assert!(figures["seconds"].as_f64().unwrap() >= 0.3);
        let stages: Vec<&str> = figures["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| stage["name"].as_str().unwrap())
            .collect();
        assert_eq!(stages, ["source", "batch", "tokenize", "encode"]);
        let pool = &figures["pool"];
        assert!(pool["peak"].as_u64().unwrap() <= pool["budget"].as_u64().unwrap());
    }
    let text = place.run(&["bench", "--seconds", "0.1"]).out;
    for said in ["tokens/s", "waits for input", "heavy barriers"] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn bench_refuses_what_it_cannot_repeat() {
    let place = Place::new();
    place.file("empty.txt", "\n");
    place.run(&["bench", "-"]).fails(1, "standard input cannot be read again and again; name a file");
    place.run(&["bench", "empty.txt"]).fails(1, "there is no text in empty.txt");
    place.run(&["bench", "missing.txt"]).fails(1, "cannot open missing.txt");
    place.run(&["bench", "--seconds", "0"]).fails(2, "it is no number of seconds above zero");
}

#[test]
fn model_says_where_and_whether_it_is_whole() {
    let place = Place::new().with_cache();
    let directory = place.path().join("cache").join(Cache::MODEL);
    assert_eq!(place.run(&["model", "where"]).out, format!("{}\n", directory.display()));
    assert_eq!(place.run(&["model", "pull"]).out, format!("{}\n", directory.display()));
    let list = place.run(&["model", "list"]).out;
    assert!(list.starts_with("all-MiniLM-L6-v2  fetched  88 MiB  "), "{list}");
    let run = place.run(&["model", "verify"]);
    assert_eq!((run.code, run.out.matches(": whole (SHA-256 ").count()), (Some(0), 4), "{}", run.err);
    let own = place.run(&["model", "verify", "cache/all-MiniLM-L6-v2"]);
    assert!(own.out.contains("usable; 6 layers, vectors of 384 values"), "{}{}", own.out, own.err);
}

#[test]
fn model_says_what_is_wrong_and_what_to_do() {
    let place = Place::new().with_cache();
    let model = place.path().join("cache").join(Cache::MODEL);
    let real = fs::canonicalize(&model).unwrap();
    fs::remove_file(&model).unwrap();
    place.run(&["model", "where"]).fails(1, "was not fetched yet; fetch it with: leasehold model pull");
    assert!(place.run(&["model", "list"]).out.contains("not fetched"));
    fs::create_dir(&model).unwrap();
    for name in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(real.join(name), model.join(name)).unwrap();
    }
    fs::write(model.join("config.json"), "{}").unwrap();
    let run = place.run(&["model", "verify"]);
    run.fails(1, "2 files are not as they should be; fetch them again with: leasehold model pull");
    assert!(run.out.contains("config.json: changed (SHA-256 "), "{}", run.out);
    assert!(run.out.contains("sentence_bert_config.json: missing"), "{}", run.out);
    place
        .run(&["model", "pull", "gpt"])
        .fails(1, "there is no model \"gpt\" to fetch, only all-MiniLM-L6-v2");
    place
        .run(&["model", "verify", "nowhere"])
        .fails(1, "nowhere is neither a directory nor the name of a model");
}

#[test]
fn completions_know_every_command() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).out;
        for command in ["embed", "search", "summarize", "bench", "model", "completions"] {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    place.run(&["completions", "cmd"]).fails(2, "bash");
}

#[test]
fn help_shows_every_command_with_an_example() {
    let place = Place::new();
    let overview = place.run(&["--help"]).out;
    for command in ["embed", "search", "summarize", "bench", "model", "completions"] {
        assert!(overview.contains(&format!("\n  leasehold {command} ")), "{overview}");
        let page = place.run(&[command, "--help"]).out;
        assert!(page.contains("Examples:\n  leasehold "), "{page}");
    }
    assert!(overview.contains("3    a search has found nothing"), "{overview}");
}
