//! Conversations: what is in a window, and that nothing is copied for it.

use leasehold::{BoundedPool, MemoryOwner, MemoryPool};
use leasehold_pipeline::{Encoder, History, HistoryError, Role, Text, Window};

use crate::support::{Random, small_encoder};

fn encoder() -> &'static Encoder {
    small_encoder()
}

fn pool() -> BoundedPool {
    MemoryPool::builder().build_bounded(64 << 20)
}

fn ids(text: &str) -> Vec<u32> {
    encoder().tokenizer().encode_whole(text).unwrap().0
}

fn history(pool: &BoundedPool, turns: &[&str]) -> History {
    let mut history = History::new(encoder(), pool);
    for (text, role) in turns.iter().zip([Role::User, Role::Assistant].into_iter().cycle()) {
        history.push(role, text).unwrap();
    }
    history
}

fn texts(window: &Window) -> Vec<&str> {
    window.segments().iter().map(|segment| segment.text.as_str().unwrap()).collect()
}

#[test]
fn a_window_is_the_prompt_and_the_latest_turns_that_fit() {
    let pool = pool();
    let mut history = history(&pool, &["one two three", "four", "five six", "seven"]);
    history.set_system("be brief").unwrap();
    assert_eq!(history.tokens(), 7);
    assert_eq!(
        texts(&history.window(9).unwrap()),
        ["be brief", "one two three", "four", "five six", "seven"]
    );
    assert_eq!(texts(&history.window(8).unwrap()), ["be brief", "four", "five six", "seven"]);
    let window = history.window(5).unwrap();
    assert_eq!(texts(&window), ["be brief", "five six", "seven"]);
    assert_eq!(window.tokens(), 5);
    assert_eq!(window.ids().iter().copied().collect::<Vec<_>>(), ids("be brief five six seven"));
    let about: Vec<_> = window.segments().iter().map(|segment| (segment.turn, segment.role)).collect();
    assert_eq!(about, [(None, Role::System), (Some(2), Role::User), (Some(3), Role::Assistant)]);
}

#[test]
fn nothing_is_copied_for_a_window() {
    let pool = pool();
    let mut history = history(&pool, &["one two three", "four five six seven", "eight nine"]);
    history.set_system("be brief").unwrap();
    let rents = pool.stats().rents();
    let window = history.window(100).unwrap();
    let turns: Vec<_> = history.system().into_iter().chain(history.turns()).collect();
    for (segment, turn) in window.segments().iter().zip(&turns) {
        assert_eq!(segment.ids.as_ptr(), turn.ids().as_ptr());
        assert_eq!(segment.text.as_str().unwrap().as_ptr(), turn.text().as_str().unwrap().as_ptr());
    }
    for window in history.windows(4, 2) {
        for segment in window.segments() {
            let turn = &history.turns()[segment.turn.unwrap() as usize];
            assert!(turn.ids().as_ptr_range().contains(&segment.ids.as_ptr()));
            let text = turn.text().as_str().unwrap().as_bytes().as_ptr_range();
            assert!(text.contains(&segment.text.as_str().unwrap().as_ptr()));
        }
    }
    assert_eq!(pool.stats().rents(), rents, "no window rents anything");
}

#[test]
fn turns_that_follow_each_other_are_one_slice_of_one_buffer() {
    let pool = pool();
    let mut history = History::new(encoder(), &pool);
    history.set_system("be brief").unwrap();
    for _ in 0..50 {
        history.push(Role::User, "one two").unwrap();
        history.push(Role::Assistant, "three").unwrap();
    }
    assert_eq!(pool.outstanding().len(), 3, "one block for text, one for ids, one for where they start");
    let all = history.window(1000).unwrap();
    assert_eq!(all.segments().len(), 101);
    let ids = all.ids();
    assert_eq!(ids.as_single().unwrap().as_ptr(), history.system().unwrap().ids().as_ptr());
    assert_eq!(ids.len(), 2 + 150);
    let latest = history.window(2 + 6).unwrap().ids();
    assert_eq!(latest.segments().map(<[u32]>::len).collect::<Vec<_>>(), [2, 6], "the prompt, and four turns");
    for window in history.windows(7, 3) {
        assert!(window.ids().as_single().is_some());
    }
    for _ in 0..5000 {
        history.push(Role::User, "and so on").unwrap();
    }
    let segments = history.window(20_000).unwrap().ids().segments().count();
    assert!((2..50).contains(&segments), "{segments} blocks for 15 152 ids");
    let more = history.clone();
    let (a, b) = (history.turns().last().unwrap(), more.turns().last().unwrap());
    assert_eq!(a.ids().as_ptr(), b.ids().as_ptr(), "a clone shares what was said");
}

#[test]
fn earlier_windows_stay_as_they_were() {
    let pool = pool();
    let mut history = history(&pool, &["one two", "three"]);
    let before = history.window(10).unwrap();
    let address = history.turns()[0].ids().as_ptr();
    for _ in 0..1000 {
        history.push(Role::User, "and more").unwrap();
    }
    assert_eq!(history.turns()[0].ids().as_ptr(), address, "the buffer grows without moving");
    history.forget(500);
    assert_eq!(texts(&before), ["one two", "three"]);
    assert_eq!(history.window(2).unwrap().segments()[0].turn, Some(1001));
    assert_eq!(history.tokens(), 502 * 2);
}

#[test]
fn sliding_windows_are_what_slices_of_all_tokens_are() {
    let mut random = Random::new(8);
    let words = ["lease", "owner", "unbelievable", "handle", "猫", "naïve", "don't", "x"];
    for _ in 0..200 {
        let turns: Vec<String> = (0..random.below(6))
            .map(|_| {
                (0..random.below(7)).map(|_| words[random.below(words.len())]).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let pool = pool();
        let history = history(&pool, &turns.iter().map(String::as_str).collect::<Vec<_>>());
        let all: Vec<u32> = turns.iter().flat_map(|turn| ids(turn)).collect();
        let tokens = 1 + random.below(12);
        let overlap = random.below(tokens);
        let mut start = 0;
        let mut said = Vec::new();
        for window in history.windows(tokens, overlap) {
            let expected = &all[start..(start + tokens).min(all.len())];
            assert_eq!(window.ids().iter().copied().collect::<Vec<_>>(), expected);
            assert_eq!(window.tokens(), expected.len());
            if overlap == 0 {
                said.extend(texts(&window).into_iter().map(str::to_owned));
            }
            start += tokens - overlap;
        }
        let end = (start + overlap).min(all.len());
        assert_eq!(end, all.len(), "the last window reaches the end");
        if overlap == 0 {
            assert_eq!(said.concat(), turns.concat(), "no word is lost or said twice");
        }
    }
}

#[test]
fn a_turn_longer_than_any_passage_is_tokenized_whole() {
    let long = "lease ".repeat(1000);
    assert_eq!(ids(&long), vec![ids("lease")[0]; 1000]);
    let (ids, starts) = encoder().tokenizer().encode_whole(&long).unwrap();
    assert_eq!(ids.len(), starts.len());
    assert!(starts.iter().enumerate().all(|(token, start)| *start == token * 6));
}

#[test]
fn what_does_not_fit_is_an_error_that_says_so() {
    let pool = pool();
    let mut history = history(&pool, &["one", "two three four"]);
    history.set_system("be brief").unwrap();
    let error = history.window(1).unwrap_err();
    assert!(matches!(error, HistoryError::SystemTooLong { tokens: 2, room: 1 }), "{error}");
    let error = history.window(4).unwrap_err();
    assert!(matches!(error, HistoryError::TurnTooLong { tokens: 3, room: 2 }), "{error}");
    assert_eq!(history.window(5).unwrap().tokens(), 5);
}

#[test]
fn a_full_pool_leaves_the_history_as_it_was() {
    let pool = MemoryPool::builder().build_bounded(16 << 10);
    let mut history = History::new(encoder(), &pool);
    let error = loop {
        if let Err(error) = history.push(Role::User, "one two three") {
            break error;
        }
    };
    assert!(matches!(error, HistoryError::Memory(_)), "{error}");
    let turns = history.turns().len();
    assert!(turns > 0);
    assert_eq!(history.tokens(), 3 * turns);
    history.forget(turns);
    history.push(Role::User, "four five six").unwrap();
    drop(history);
    assert!(pool.outstanding().is_empty());
}

#[test]
fn text_that_lies_in_a_block_is_taken_as_it_is() {
    let pool = pool();
    let block = MemoryOwner::from("one two".to_owned()).into_shared();
    let mut history = History::new(encoder(), &pool);
    history.push_text(Role::Tool, Text::new(block.clone()).unwrap()).unwrap();
    assert_eq!(history.turns()[0].text().as_str().unwrap().as_ptr(), block.as_ptr());
}

#[test]
fn an_empty_conversation_has_empty_windows() {
    let pool = pool();
    let mut history = History::new(encoder(), &pool);
    assert_eq!(history.window(0).unwrap().tokens(), 0);
    assert_eq!(history.windows(4, 1).count(), 0);
    history.push(Role::User, "").unwrap();
    assert_eq!(texts(&history.window(0).unwrap()), [""]);
}

#[test]
fn the_example_runs() {
    example::main().unwrap();
}

#[path = "../../examples/history.rs"]
mod example;
