//! Freezing, and what the process that gets the file can and cannot do.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, Stdio};

use super::*;
use crate::backing::Backing;
use crate::backing::mapping::Access;

/// A block of two pages and what holds it: gives it back when dropped.
struct Block {
    backing: SharedMemory,
    memory: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the block is its holder's alone, and may be released on any thread.
unsafe impl Send for Block {}

impl Block {
    fn new(backing: &SharedMemory) -> Block {
        let layout = Layout::from_size_align(2 * page_size(), 64).unwrap();
        Block { backing: backing.clone(), memory: backing.allocate(layout).unwrap(), layout }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block is ours, and initialised.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr(), self.layout.size()) }
    }

    fn freeze<T: Pod>(self, offset: usize, len: usize) -> Result<Sealed<T>, (Block, io::Error)> {
        let (backing, memory, size) = (self.backing.clone(), self.memory, self.layout.size());
        assert!(offset + len * size_of::<T>() <= size && offset.is_multiple_of(align_of::<T>()));
        // SAFETY: the holder is the block's, and the elements lie within it.
        unsafe { Sealed::freeze(&backing, memory, size, (offset, len), self) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: from there, with this layout, and nobody uses it any more.
        unsafe { self.backing.release(self.memory, self.layout) };
    }
}

fn sealed(offset: usize) -> Sealed<u32> {
    let mut block = Block::new(&SharedMemory::new());
    block.bytes().fill(0xEE);
    let numbers = bytemuck::cast_slice_mut(&mut block.bytes()[offset..offset + 4000]);
    numbers.iter_mut().zip(0..).for_each(|(number, index)| *number = index);
    block.freeze(offset, 1000).map_err(|(_, error)| error).unwrap()
}

fn file_of<T>(sealed: &Sealed<T>) -> File {
    File::from(sealed.as_fd().try_clone_to_owned().unwrap())
}

const CHILD: &str = "LEASEHOLD_TEST_RECEIVER";

#[test]
fn another_process_reads_what_was_frozen_and_cannot_change_it() {
    let offset = 64;
    if std::env::var_os(CHILD).is_some() {
        let file = io::stdin().as_fd().try_clone_to_owned().unwrap();
        let received = Sealed::<u32>::open_at(file, offset as u64, 1000).unwrap();
        assert!(received.iter().copied().eq(0..1000));
        assert_unchangeable(&received);
        return println!("the receiver has read {}", received.into_shared().iter().sum::<u32>());
    }
    let sealed = sealed(offset);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["another_process_reads_what_was_frozen", "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::from(sealed.as_fd().try_clone_to_owned().unwrap()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("has read 499500"), "{text}");
    assert!(sealed.iter().copied().eq(0..1000));
}

#[test]
fn what_was_frozen_cannot_be_changed_here_either() {
    let sealed = sealed(0);
    assert!(sealed.iter().copied().eq(0..1000));
    assert_unchangeable(&sealed);
    assert!(sealed.iter().copied().eq(0..1000));
}

fn assert_unchangeable(sealed: &Sealed<u32>) {
    let mut file = file_of(sealed);
    assert_eq!(file.write(&[1]).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert!(file.set_len(0).is_err() && file.set_len(1 << 30).is_err());
    assert!(memfd::erase(sealed.as_fd(), 0..1).is_err());
    let mut mapping = Mapping::aligned(Layout::new::<u8>(), Access::None).unwrap();
    let error = mapping.replace_by_file(sealed.as_fd()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[test]
fn nothing_but_the_elements_is_given_away() {
    let sealed = sealed(4096 - 8);
    let mut file = file_of(&sealed);
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 2 * page_size());
    let (before, rest) = bytes.split_at(sealed.offset() as usize);
    assert!(before.iter().all(|&byte| byte == 0));
    assert_eq!(rest[..4000], *bytemuck::cast_slice::<u32, u8>(&sealed));
    assert!(rest[4000..].iter().all(|&byte| byte == 0));
}

#[test]
fn a_thawed_block_is_zero_and_writable_and_the_file_keeps_what_was_in_it() {
    let backing = SharedMemory::new();
    let mut block = Block::new(&backing);
    let memory = block.memory;
    block.bytes().fill(7);
    // The holder of what is frozen sends the block back instead of releasing it.
    struct Returned(Option<Block>, std::sync::mpsc::Sender<Block>);
    impl Drop for Returned {
        fn drop(&mut self) {
            self.1.send(self.0.take().unwrap()).unwrap();
        }
    }
    let (sender, returns) = std::sync::mpsc::channel();
    for _ in 0..3 {
        let size = block.layout.size();
        let holder = Returned(Some(block), sender.clone());
        // SAFETY: the holder has the block, and all of it is shown.
        let sealed = unsafe { Sealed::<u8>::freeze(&backing, memory, size, (0, size), holder) };
        let sealed = sealed.map_err(|(_, error)| error).unwrap();
        let received = Sealed::<u8>::open(file_of(&sealed).into(), size).unwrap();
        assert!(returns.try_recv().is_err());
        drop(sealed.into_shared());
        block = returns.try_recv().unwrap();
        assert_eq!(block.memory, memory);
        assert!(block.bytes().iter().all(|&byte| byte == 0));
        block.bytes().fill(7);
        assert!(received.iter().all(|&byte| byte == 7));
    }
}

#[test]
fn a_block_that_cannot_be_frozen_comes_back_as_it_was() {
    let backing = SharedMemory::new();
    let mut block = Block::new(&backing);
    block.bytes().fill(9);
    // Someone has the file mapped for writing, which the kernel does not let be sealed.
    let file = backing.file(block.memory).unwrap();
    let mut writer = Mapping::aligned(block.layout, Access::None).unwrap();
    writer.replace_by_file(file.as_fd()).unwrap();
    let (mut block, error) = block.freeze::<u8>(0, 100).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert_eq!(block.bytes()[..100], [9; 100]);
    block.bytes().fill(8);
    drop(writer);
    let sealed = block.freeze::<u8>(0, 100).map_err(|(_, error)| error).unwrap();
    assert_eq!(sealed[..], [8; 100]);
}

#[test]
fn a_block_of_another_backing_is_not_frozen() {
    let (one, other) = (SharedMemory::new(), SharedMemory::new());
    let block = Block::new(&one);
    let (memory, size) = (block.memory, block.layout.size());
    // SAFETY: the other backing has given no such block.
    let refused = unsafe { Sealed::<u8>::freeze(&other, memory, size, (0, 1), block) };
    let (mut block, error) = refused.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    block.bytes().fill(1);
    // SAFETY: it has none of this size.
    let refused = unsafe { Sealed::<u8>::freeze(&one, memory, size / 2, (0, 1), block) };
    assert_eq!(refused.unwrap_err().1.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn a_forked_child_does_not_have_the_memory() {
    let block = Block::new(&SharedMemory::new());
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", block.memory.addr());
    let mut ours = maps.lines().skip_while(|line| !line.starts_with(&start));
    let flags = ours.find(|line| line.starts_with("VmFlags:")).unwrap();
    assert!(flags.split(' ').any(|flag| flag == "dc"), "{flags}");
}
