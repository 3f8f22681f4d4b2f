fn main() {
    let (mut writer, _reader) = leasehold::pipe::<u8>();
    let room = writer.reserve_blocking(1).unwrap();
    room[0] = 1;
    writer.commit(1);
}
