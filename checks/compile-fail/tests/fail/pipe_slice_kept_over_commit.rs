fn main() {
    let (mut writer, _reader) = leasehold::pipe::<u8>();
    let room = writer.reserve_blocking(1).unwrap();
    writer.commit(1);
    room[0] = 1;
}
