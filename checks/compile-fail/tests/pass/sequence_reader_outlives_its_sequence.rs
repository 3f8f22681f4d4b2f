fn main() {
    let sequence = leasehold::Sequence::from(vec![1, 2, 3]);
    let mut reader = sequence.reader();
    assert_eq!(reader.read(), Some(&1));
    drop(sequence);
}
