fn main() {
    let (writer, mut reader) = leasehold::pipe::<u8>();
    writer.complete(Ok(()));
    let result = reader.read_blocking().unwrap();
    let buffer = result.buffer();
    reader.advance(0, 0);
    assert!(buffer.is_empty());
}
