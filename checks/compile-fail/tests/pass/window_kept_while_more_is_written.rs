fn main() {
    let mut windows = leasehold::Windows::<u8>::new(1, 1).unwrap();
    windows.push_slice(&[1]);
    let window = windows.next_window().unwrap();
    assert_eq!(window, [1]);
    windows.push_slice(&[2]);
}
