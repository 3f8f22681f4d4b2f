//! The example, as it is.

use leasehold_pipeline::Input;
use tempfile::TempDir;

use crate::support::{file, small_directory};

#[expect(dead_code, reason = "its `main` wants the command line")]
#[path = "../../examples/own_stage.rs"]
mod example;

#[test]
fn a_stage_of_ones_own_takes_part_in_a_run() {
    let (directory, model) = (TempDir::new().unwrap(), small_directory());
    let one = file(&directory, "one.txt", b"The first line.\nshort one\nA second line!\nthe FIRST -- line\n");
    let two = file(&directory, "two.txt", b"a second  line\nA third line.\n");
    let mut texts = Vec::new();
    let inputs = vec![Input::File(one), Input::File(two)];
    example::embed(model.path(), inputs, &mut |text, vector| {
        assert_eq!(vector.len(), 8);
        texts.push(text.to_owned());
    })
    .unwrap();
    assert_eq!(texts, ["The first line.", "A second line!", "A third line."]);
}
