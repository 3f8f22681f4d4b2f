fn main() {
    let mut sequence = vec![1, 2, 3];
    sequence[0] = 10;
    assert_eq!(sequence[0], 10);
}
