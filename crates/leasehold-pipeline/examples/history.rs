//! Talks, and shows what a model with little room would be shown: `cargo run --example history`.

use std::error::Error;

use leasehold::MemoryPool;
use leasehold_pipeline::{Cache, Encoder, History, Precision, Role, Window};

const TURNS: [(Role, &str); 5] = [
    (Role::User, "What is a lease, for a buffer?"),
    (Role::Assistant, "The time in which somebody who is not its owner may use it. The owner can end it."),
    (Role::User, "And what happens to a handle that is used after that?"),
    (
        Role::Assistant,
        "It is told so: it gets an error that names the places of the rent, the lease and its end.",
    ),
    (Role::User, "Does it ever see what the next tenant has written?"),
];

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let pool = MemoryPool::builder().build_bounded(256 << 20);
    let directory = Cache::of_user()?.model(&mut |_| {})?;
    let encoder = Encoder::open(&directory, Precision::F32, &pool)?;
    let mut history = History::new(&encoder, &pool);
    history.set_system("You explain a library of buffers.")?;
    for (role, text) in TURNS {
        history.push(role, text)?;
    }
    for room in [20, 50, 100] {
        let window = history.window(room)?;
        println!("of {} tokens, {} fit into {room}:", history.tokens(), window.tokens());
        print(&window)?;
    }
    println!("windows of 24 tokens with 4 in common:");
    for window in history.windows(24, 4) {
        print(&window)?;
    }
    Ok(())
}

fn print(window: &Window) -> Result<(), Box<dyn Error>> {
    for segment in window.segments() {
        println!("  {:>9} | {}", segment.role, segment.text.as_str()?);
    }
    println!();
    Ok(())
}
