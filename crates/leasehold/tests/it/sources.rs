//! Where memory comes from, and that each source is let go exactly once.
#![expect(unsafe_code, reason = "managers answer for memory of any origin")]

use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use leasehold::{MemoryManager, MemoryManagerMut, MemoryOwner, SharedOwner, SharedSlice};

use crate::support::{Element, NOTHINGS_DROPPED, Nothing, Tally, bounded, catch};

#[test]
fn vectors_keep_their_memory_length_and_capacity() {
    let mut vec = Vec::with_capacity(10);
    vec.extend([1u16, 2, 3]);
    let address = vec.as_ptr();
    let owner = MemoryOwner::from(vec);
    assert_eq!((owner.as_ptr(), owner.len()), (address, 3));
    assert!(owner.capacity() >= 10);
}

#[test]
fn boxes_strings_slices_and_iterators_become_owners() {
    assert_eq!(MemoryOwner::from(Box::from([1, 2, 3]))[..], [1, 2, 3]);
    assert_eq!(MemoryOwner::from(String::from("héllo"))[..], *"héllo".as_bytes());
    assert_eq!(MemoryOwner::from(&[1, 2, 3][..])[..], [1, 2, 3]);
    assert_eq!((0..4).collect::<MemoryOwner<i32>>()[..], [0, 1, 2, 3]);
    assert_eq!((0..4).collect::<SharedOwner<i32>>(), [0, 1, 2, 3][..]);
    assert_eq!(SharedOwner::from(Box::from([1, 2, 3])), [1, 2, 3][..]);
    assert_eq!(SharedOwner::<u8>::from(String::from("abc")), b"abc"[..]);
    assert!(MemoryOwner::from(Vec::<String>::new()).is_empty());
}

#[test]
fn a_static_slice_is_lent_without_a_copy() {
    static WORDS: [&str; 2] = ["to", "be"];
    let owner = SharedOwner::from_static(&WORDS);
    assert_eq!(owner.as_ptr(), WORDS.as_ptr());
    // Kept by a static, for tools that look for leaks.
    static LEAKED: AtomicPtr<[u8; 3]> = AtomicPtr::new(ptr::null_mut());
    let bytes = Box::leak(Box::new([1, 2, 3]));
    LEAKED.store(&raw mut *bytes, Ordering::Relaxed);
    let mut leaked = MemoryOwner::from_static(bytes);
    leaked[0] = 9;
    let (lessor, mut memory) = leaked.lease();
    memory.span_mut().unwrap()[1] = 8;
    assert_eq!(lessor.try_reclaim().unwrap()[..], [9, 8, 3]);
}

#[test]
fn the_place_of_creation_is_the_callers() {
    let (line, owner) = (line!(), MemoryOwner::from(vec![0u8]));
    assert_eq!(owner.created_at().unwrap().line(), line);
    let (line, owner) = (line!(), MemoryOwner::from(String::new()));
    assert_eq!(owner.created_at().unwrap().line(), line);
    let (line, owner) = (line!(), MemoryOwner::from(Box::from([0u8])));
    assert_eq!(owner.created_at().unwrap().line(), line);
    let (line, owner) = (line!(), MemoryOwner::from_iter([0u8]));
    assert_eq!(owner.created_at().unwrap().line(), line);
    let (line, owner) = (line!(), MemoryOwner::from_static(&mut [] as &mut [u8]));
    assert_eq!(owner.created_at().unwrap().line(), line);
    let (line, owner) = (line!(), SharedOwner::from(vec![0u8]).try_into_owner().unwrap());
    assert_eq!(owner.created_at().unwrap().line(), line);
}

#[test]
fn each_element_is_dropped_exactly_once_whatever_the_buffer_went_through() {
    type Way = fn(MemoryOwner<Element>);
    let ways: [Way; 10] = [
        drop,
        |mut owner| owner.truncate(1),
        |owner| drop(owner.into_shared().slice(1..2)),
        |owner| drop(owner.into_shared().slice(1..2).try_into_owner()),
        |owner| drop(owner.lease()),
        |owner| {
            let (lessor, memory) = owner.lease();
            drop(lessor);
            drop(memory);
        },
        |owner| {
            let (lessor, memory) = owner.lease();
            let pin = memory.pin().unwrap();
            drop(lessor);
            thread::spawn(move || drop(pin)).join().unwrap();
        },
        |owner| {
            let (lessor, memory) = owner.lease_read_only();
            drop(lessor.revoke().wait());
            assert!(memory.span().is_err());
        },
        |owner| {
            let (lessor, memory) = owner.into_shared().try_lease_read_only().unwrap();
            let span = memory.span().unwrap();
            drop(lessor);
            drop(span);
        },
        |owner| drop(thread::spawn(move || owner).join().unwrap()),
    ];
    for way in ways {
        let tally = Tally::new(3);
        way(MemoryOwner::from(tally.elements()));
        assert!(tally.all(1), "{:?}", tally.drops());
        let tally = Tally::new(3);
        way(MemoryOwner::from(tally.elements().into_boxed_slice()));
        assert!(tally.all(1), "{:?}", tally.drops());
    }
}

#[test]
fn a_drop_that_panics_loses_no_other_drop() {
    for panicking in 0..3 {
        let tally = Tally::new(3);
        let mut elements = tally.elements();
        elements[panicking].panics = true;
        let owner = MemoryOwner::from(elements);
        assert!(catch(|| drop(owner)).is_err());
        assert!(tally.all(1), "{:?}", tally.drops());
    }
}

#[test]
fn a_drop_that_panics_in_the_last_reader_wedges_nothing() {
    let tally = Tally::new(3);
    let mut elements = tally.elements();
    elements[1].panics = true;
    let (lessor, memory) = SharedOwner::from(elements).try_lease_read_only().unwrap();
    let span = memory.span().unwrap();
    drop(lessor);
    assert!(catch(|| drop(span)).is_err());
    assert!(tally.all(1), "{:?}", tally.drops());
    assert!(memory.span().is_err());
    // The control block goes on with the next tenant.
    for _ in 0..100 {
        let (lessor, memory) = MemoryOwner::from(vec![1]).lease_read_only();
        assert_eq!(memory.span().unwrap()[0], 1);
        assert!(lessor.try_reclaim().is_ok());
    }
}

#[test]
fn zero_sized_elements_are_counted_and_dropped() {
    let before = NOTHINGS_DROPPED.load(Ordering::SeqCst);
    let owner = MemoryOwner::from(vec![Nothing, Nothing, Nothing]);
    assert_eq!((owner.len(), owner.capacity()), (3, usize::MAX));
    let (lessor, memory) = owner.lease();
    let (left, right) = memory.split_at(1).unwrap();
    assert_eq!((left.span().unwrap().len(), right.span().unwrap().len()), (1, 2));
    let memory = left.join(right).unwrap();
    assert_eq!(memory.len(), 3);
    drop(memory);
    drop(lessor.try_reclaim().unwrap());
    assert_eq!(NOTHINGS_DROPPED.load(Ordering::SeqCst) - before, 3);
}

#[test]
fn a_buffer_of_units_may_be_as_long_as_numbers_go() {
    let owner = MemoryOwner::from(vec![(); usize::MAX]);
    let (lessor, memory) = owner.lease_read_only();
    let tail = memory.slice(usize::MAX - 2..);
    assert_eq!(tail.span().unwrap().len(), 2);
    assert!(memory.try_slice(..=usize::MAX).is_err());
    assert_eq!(memory.span().unwrap().len(), usize::MAX);
    let (_, memory) = lessor.try_reclaim().unwrap().lease();
    let (left, right) = memory.split_at(1 << 40).unwrap();
    assert_eq!(left.join(right).unwrap().len(), usize::MAX);
}

#[test]
fn raw_parts_are_released_once_with_what_they_were_given() {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let make = || {
        let slice: &'static mut [u32] = Box::leak(Box::new([1, 2, 3]));
        let (ptr, len) = (NonNull::from(&mut *slice).cast::<u32>(), slice.len());
        let calls = Arc::clone(&calls);
        let release = move |ptr: NonNull<u32>, len| {
            calls.lock().unwrap().push((ptr.as_ptr().addr(), len));
            let slice = NonNull::slice_from_raw_parts(ptr, len);
            // SAFETY: the box that was leaked above.
            drop(unsafe { Box::from_raw(slice.as_ptr()) });
        };
        // SAFETY: the box is leaked, and taken back by the release function only.
        unsafe { MemoryOwner::from_raw_parts(ptr, len, release) }
    };
    let mut owner = make();
    let address = owner.as_ptr().addr();
    owner.truncate(1);
    drop(owner);
    assert_eq!(*calls.lock().unwrap(), [(address, 3)]);
    let (lessor, memory) = make().lease();
    let pin = memory.pin().unwrap();
    drop(lessor);
    assert_eq!(calls.lock().unwrap().len(), 1);
    thread::spawn(move || drop(pin)).join().unwrap();
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[test]
fn a_release_function_that_panics_is_still_called_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    // SAFETY: there are no elements.
    let owner = unsafe {
        MemoryOwner::<u64>::from_raw_parts(NonNull::dangling(), 0, move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
            panic!("in the release");
        })
    };
    assert!(catch(|| drop(owner)).is_err());
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!(Arc::strong_count(&calls), 1);
}

/// What a manager was told.
#[derive(Default)]
struct Told {
    memory: AtomicUsize,
    pins: AtomicUsize,
    unpins: AtomicUsize,
    drops: AtomicUsize,
}

impl Told {
    fn all(&self) -> [usize; 4] {
        [&self.memory, &self.pins, &self.unpins, &self.drops].map(|count| count.load(Ordering::SeqCst))
    }
}

struct Heap {
    elements: Box<[u32]>,
    told: Arc<Told>,
    panics_at_pin: bool,
    panics_at_unpin: bool,
}

impl Heap {
    fn new() -> (Heap, Arc<Told>) {
        let told = Arc::new(Told::default());
        let heap = Heap {
            elements: vec![1, 2, 3].into(),
            told: Arc::clone(&told),
            panics_at_pin: false,
            panics_at_unpin: false,
        };
        (heap, told)
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        self.told.drops.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: the heap block is the manager's own and stays until the box is dropped; the hooks do not touch it.
unsafe impl MemoryManager<u32> for Heap {
    const PIN_HOOKS: bool = true;

    fn memory(&mut self) -> NonNull<[u32]> {
        self.told.memory.fetch_add(1, Ordering::SeqCst);
        NonNull::from(&mut self.elements[..])
    }

    fn first_pin(&mut self) {
        let pins = self.told.pins.fetch_add(1, Ordering::SeqCst);
        assert_eq!(pins, self.told.unpins.load(Ordering::SeqCst), "first pins and last unpins alternate");
        assert!(!std::mem::take(&mut self.panics_at_pin), "in the pin");
    }

    fn last_unpin(&mut self) {
        let unpins = self.told.unpins.fetch_add(1, Ordering::SeqCst);
        assert_eq!(unpins + 1, self.told.pins.load(Ordering::SeqCst), "first pins and last unpins alternate");
        assert!(!std::mem::take(&mut self.panics_at_unpin), "in the unpin");
    }
}

// SAFETY: as above; nobody else has a pointer to it.
unsafe impl MemoryManagerMut<u32> for Heap {}

#[test]
fn a_manager_is_asked_once_and_dropped_once() {
    let (heap, told) = Heap::new();
    let mut owner = MemoryOwner::from_manager(heap);
    owner[0] = 10;
    let (lessor, memory) = owner.lease_read_only();
    assert_eq!(memory.span().unwrap()[..], [10, 2, 3]);
    let shared = lessor.try_reclaim().unwrap().into_shared();
    drop(shared.clone());
    assert_eq!(told.all(), [1, 0, 0, 0]);
    drop(shared);
    assert_eq!(told.all(), [1, 0, 0, 1]);
}

#[test]
fn the_first_pin_and_the_last_unpin_are_told() {
    let (heap, told) = Heap::new();
    let (lessor, memory) = SharedOwner::from_manager(heap).try_lease_read_only().unwrap();
    let one = memory.pin().unwrap();
    assert_eq!(told.all(), [1, 1, 0, 0]);
    let two = memory.slice(1..).pin().unwrap();
    drop(one);
    assert_eq!(told.all(), [1, 1, 0, 0]);
    drop(two);
    assert_eq!(told.all(), [1, 1, 1, 0]);
    let pin = memory.pin().unwrap();
    drop(lessor);
    assert!(memory.pin().is_err());
    assert_eq!(told.all(), [1, 2, 1, 0]);
    drop(pin);
    assert_eq!(told.all(), [1, 2, 2, 1]);
}

#[test]
fn pins_of_parts_are_told_as_one() {
    let (heap, told) = Heap::new();
    let (_lessor, memory) = MemoryOwner::from_manager(heap).lease();
    let (left, right) = memory.split_at(1).unwrap();
    let (left, mut right) = (left.pin().unwrap(), right.pin().unwrap());
    right[0] = 20;
    assert_eq!(told.all(), [1, 1, 0, 0]);
    let left = left.unpin();
    let memory = left.join(right.unpin()).unwrap();
    assert_eq!(told.all(), [1, 1, 1, 0]);
    assert_eq!(memory.span().unwrap()[..], [1, 20, 3]);
}

#[test]
fn pins_from_many_threads_are_told_first_and_last() {
    bounded(|| {
        let (heap, told) = Heap::new();
        let (lessor, memory) = SharedOwner::from_manager(heap).try_lease_read_only().unwrap();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    for _ in 0..if cfg!(miri) { 5 } else { 500 } {
                        assert_eq!(memory.pin().unwrap()[0], 1);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let [_, pins, unpins, _] = told.all();
        assert!(pins == unpins && pins >= 1);
        drop(lessor);
        assert_eq!(told.all()[3], 1);
    });
}

#[test]
fn a_first_pin_that_panics_wedges_nothing() {
    let (mut heap, told) = Heap::new();
    heap.panics_at_pin = true;
    let (lessor, memory) = SharedOwner::from_manager(heap).try_lease_read_only().unwrap();
    assert!(catch(|| drop(memory.pin())).is_err());
    drop(memory.pin().unwrap());
    drop(lessor.try_reclaim().unwrap());
    assert_eq!(told.all()[3], 1);
}

#[test]
fn a_last_unpin_that_panics_wedges_nothing() {
    let (mut heap, told) = Heap::new();
    heap.panics_at_unpin = true;
    let (lessor, memory) = SharedOwner::from_manager(heap).try_lease_read_only().unwrap();
    let pin = memory.pin().unwrap();
    assert!(catch(|| drop(pin)).is_err());
    drop(memory.pin().unwrap());
    drop(lessor.try_reclaim().unwrap());
    assert_eq!(told.all()[3], 1);
}

/// A manager that lends memory inside itself.
struct Inline([u32; 4]);

// SAFETY: the array lies inside the manager, which has reached its final address and which nobody else can reach.
unsafe impl MemoryManager<u32> for Inline {
    fn memory(&mut self) -> NonNull<[u32]> {
        NonNull::from(&mut self.0[..])
    }
}

// SAFETY: as above.
unsafe impl MemoryManagerMut<u32> for Inline {}

#[test]
fn a_manager_may_lend_memory_inside_itself() {
    let mut owner = MemoryOwner::from_manager(Inline([1, 2, 3, 4]));
    owner[0] = 10;
    let (lessor, mut memory) = owner.lease();
    memory.span_mut().unwrap()[1] = 20;
    let mut pin = memory.pin().unwrap();
    pin[2] = 30;
    drop(pin);
    let shared = lessor.try_reclaim().unwrap().into_shared();
    assert_eq!(shared, [10, 20, 30, 4][..]);
    let (lessor, memory) = shared.try_lease_read_only().unwrap();
    assert_eq!(memory.pin().unwrap()[3], 4);
    drop(lessor);
}

#[test]
fn an_arc_slice_is_lent_and_given_back() {
    let slice: Arc<[String]> = Arc::from(["to".to_owned(), "be".to_owned()]);
    let owner = SharedOwner::from_manager(SharedSlice(Arc::clone(&slice)));
    assert_eq!(owner.as_ptr(), slice.as_ptr());
    let (lessor, memory) = owner.try_lease_read_only().unwrap();
    let pin = memory.pin().unwrap();
    drop(lessor);
    assert_eq!((Arc::strong_count(&slice), &pin[1][..]), (2, "be"));
    drop(pin);
    assert_eq!(Arc::strong_count(&slice), 1);
}

#[cfg(unix)]
mod page_locked {
    use leasehold::PageLocked;

    #[test]
    #[cfg_attr(miri, ignore = "mlock")]
    fn locked_memory_is_zeroed_and_has_its_pages_to_itself() {
        for len in [0, 1, 100, 5000] {
            // The limit of the process may be zero.
            let Ok(mut owner) = PageLocked::<u32>::zeroed(len) else { return };
            assert_eq!(owner.len(), len);
            assert!(owner.iter().all(|&word| word == 0));
            assert_eq!(owner.as_ptr().addr() % 4096, 0);
            owner.fill(7);
            let (lessor, memory) = owner.lease();
            drop(memory);
            assert!(lessor.try_reclaim().is_ok());
        }
    }

    #[test]
    fn absurd_lengths_are_errors() {
        for len in [usize::MAX, usize::MAX / 8, isize::MAX as usize] {
            assert_eq!(PageLocked::<u64>::zeroed(len).unwrap_err().kind(), std::io::ErrorKind::OutOfMemory);
        }
    }
}

#[cfg(feature = "memmap2")]
mod mapping {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::PathBuf;

    use leasehold::{FileMapping, FileMappingMut, MemoryOwner};

    /// A file that is removed with the test.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Temporary {
            Temporary(std::env::temp_dir().join(format!("leasehold-{}-{name}", std::process::id())))
        }

        fn open(&self) -> File {
            File::options().read(true).write(true).create(true).truncate(false).open(&self.0).unwrap()
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn a_file_is_read_in_place_and_outlives_its_handle() {
        let path = Temporary::new("read");
        path.open().write_all(b"to be or not to be").unwrap();
        // SAFETY: nobody else knows the file.
        let owner = unsafe { FileMapping::open(&path.open()) }.unwrap();
        drop(path);
        assert_eq!(owner, b"to be or not to be"[..]);
        assert!(owner.clone().try_into_owner().is_err());
        let (lessor, memory) =
            owner.slice(6..8).try_lease_read_only().unwrap_err().into_shared().into_lease(owner);
        let pin = memory.pin().unwrap();
        drop(lessor);
        assert_eq!(std::thread::spawn(move || pin.to_vec()).join().unwrap(), b"or");
    }

    #[test]
    #[cfg(target_os = "linux")]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn a_mapping_is_what_the_owner_shows_and_ends_with_the_last_of_its_owners() {
        /// The addresses at which the process has this file.
        fn places(path: &std::path::Path) -> Vec<std::ops::Range<usize>> {
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            let lines = maps.lines().filter(|line| line.ends_with(path.to_str().unwrap()));
            let number = |text: &str| usize::from_str_radix(text, 16).unwrap();
            let range = |line: &str| {
                line.split_once(' ')?.0.split_once('-').map(|(from, to)| number(from)..number(to))
            };
            lines.map(|line| range(line).unwrap()).collect()
        }
        let path = Temporary::new("maps");
        path.open().write_all(&[7; 10_000]).unwrap();
        // SAFETY: nobody else knows the file.
        let owner = unsafe { FileMapping::open(&path.open()) }.unwrap();
        let part = owner.slice(5000..);
        let [place] = &places(&path.0)[..] else { panic!("{:?}", places(&path.0)) };
        assert!(place.contains(&owner.as_ptr().addr()) && place.contains(&part.as_ptr().addr()));
        drop(owner);
        assert_eq!(places(&path.0).len(), 1, "a slice is left");
        drop(part);
        assert!(places(&path.0).is_empty());
    }

    /// Lets the whole go, then leases the part.
    trait IntoLease {
        fn into_lease(
            self,
            whole: leasehold::SharedOwner<u8>,
        ) -> (leasehold::Lessor<u8, leasehold::SharedReadOnly>, leasehold::ReadOnlyMemory<u8>);
    }

    impl IntoLease for leasehold::SharedOwner<u8> {
        fn into_lease(
            self,
            whole: leasehold::SharedOwner<u8>,
        ) -> (leasehold::Lessor<u8, leasehold::SharedReadOnly>, leasehold::ReadOnlyMemory<u8>) {
            drop(whole);
            self.try_lease_read_only().unwrap()
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn an_empty_file_gives_an_empty_owner() {
        let path = Temporary::new("empty");
        // SAFETY: nobody else knows the file.
        let owner = unsafe { FileMapping::open(&path.open()) }.unwrap();
        assert!(owner.is_empty());
        // SAFETY: as above.
        let owner = unsafe { FileMappingMut::open(&path.open()) }.unwrap();
        assert!(owner.is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn a_directory_is_an_error() {
        let directory = File::open(std::env::temp_dir()).unwrap();
        // SAFETY: it fails.
        assert!(unsafe { FileMapping::open(&directory) }.is_err());
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    fn what_is_written_reaches_the_file() {
        let path = Temporary::new("write");
        let file = path.open();
        file.set_len(4096).unwrap();
        // SAFETY: nobody else knows the file.
        let owner = unsafe { FileMappingMut::open(&file) }.unwrap();
        let (lessor, mut memory) = owner.lease();
        std::thread::spawn(move || memory.span_mut().unwrap()[4000..4003].copy_from_slice(b"abc"))
            .join()
            .unwrap();
        drop(lessor.try_reclaim().unwrap());
        assert_eq!(fs::read(&path.0).unwrap()[4000..4004], *b"abc\0");
    }

    const FIVE_GIB: u64 = 5 << 30;

    #[test]
    #[cfg_attr(miri, ignore = "maps a file")]
    #[cfg(target_pointer_width = "64")]
    fn a_buffer_of_more_than_four_gi_elements_is_sliced_and_written_beyond_32_bits() {
        let path = Temporary::new("sparse");
        let file = path.open();
        file.set_len(FIVE_GIB).unwrap();
        // SAFETY: nobody else knows the file.
        let owner = unsafe { FileMappingMut::open(&file) }.unwrap();
        assert_eq!(owner.len() as u64, FIVE_GIB);
        let (lessor, memory) = owner.lease();
        let beyond = (1usize << 32) + 12_345;
        let (left, mut right) = memory.split_at(beyond).unwrap();
        right.span_mut().unwrap()[..3].copy_from_slice(b"abc");
        let memory = left.join(right).unwrap();
        assert_eq!(memory.span().unwrap()[beyond..beyond + 4], *b"abc\0");
        let mut pin = memory.pin().unwrap();
        let last = pin.len() - 1;
        pin[last] = 9;
        drop(pin);
        let (lessor, view) = lessor.try_reclaim().unwrap().lease_read_only();
        let far = view.slice(1 << 31..).slice(1 << 31..).slice(12_345..12_348);
        assert_eq!(far.span().unwrap()[..], *b"abc");
        assert!(view.try_slice(..FIVE_GIB as usize + 1).is_err());
        let shared = lessor.try_reclaim().unwrap().into_shared();
        assert_eq!(shared.slice(beyond + 1..beyond + 3), b"bc"[..]);
        assert_eq!(shared.slice(last..), [9][..]);
        let (_, tail) = shared.split_at(1 << 32);
        assert_eq!(tail[12_345], b'a');
    }

    #[test]
    #[cfg_attr(miri, ignore = "maps memory")]
    #[cfg(target_pointer_width = "64")]
    fn raw_parts_of_more_than_four_gi_elements_are_released_whole() {
        let mut options = memmap2::MmapOptions::new();
        let mut map = options.len(FIVE_GIB as usize).no_reserve_swap().map_anon().unwrap();
        let ptr = std::ptr::NonNull::from(&mut map[..]).cast::<u8>();
        let (send, receive) = std::sync::mpsc::channel();
        // SAFETY: the map is moved into the release function, which keeps it, in place, until then.
        let mut owner = unsafe {
            MemoryOwner::from_raw_parts(ptr, FIVE_GIB as usize, move |_, len| {
                send.send(len).unwrap();
                drop(map);
            })
        };
        owner[1 << 32] = 7;
        owner.truncate((1 << 32) + 1);
        let (lessor, memory) = owner.lease_read_only();
        assert_eq!(memory.slice(1 << 32..).span().unwrap()[..], [7]);
        drop(lessor);
        assert_eq!(receive.recv().unwrap() as u64, FIVE_GIB);
    }
}
