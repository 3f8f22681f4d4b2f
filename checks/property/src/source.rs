//! Every way to come by a buffer.
#![expect(unsafe_code, reason = "managers and raw parts answer for memory of any origin")]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold::{MemoryManager, MemoryManagerMut, MemoryOwner, MemoryPool, SharedOwner};

use crate::element::Element;

/// What a source was seen to do.
#[derive(Default)]
pub struct Seen {
    /// Elements dropped.
    pub drops: Arc<AtomicUsize>,
    /// Release functions called and managers dropped.
    pub releases: Arc<AtomicUsize>,
    /// First pins and last unpins that a manager was told of.
    pub pins: Arc<[AtomicUsize; 2]>,
}

/// A fresh buffer, owned or shared.
pub enum Fresh<T> {
    Owned(MemoryOwner<T>),
    Shared(SharedOwner<T>),
}

/// A buffer with what it holds.
pub struct Made<T> {
    pub fresh: Fresh<T>,
    pub contents: Vec<u32>,
    pub seen: Seen,
    /// Whether `seen.releases` counts.
    pub tells_release: bool,
    /// Whether `seen.pins` counts.
    pub tells_pins: bool,
    /// Whether its elements are dropped at the end, if they count that.
    pub drops_elements: bool,
}

/// Makes a buffer from the source that `kind` names.
pub fn make<T: Element>(kind: u8, len: usize, seed: u32, pool: &MemoryPool) -> Made<T> {
    let seen = Seen::default();
    let contents: Vec<u32> = (0..len as u32).map(|i| seed.wrapping_mul(31).wrapping_add(i)).collect();
    let elements: Vec<T> = contents.iter().map(|&value| T::new(value, &seen.drops)).collect();
    let (mut tells_release, mut tells_pins, mut drops_elements) = (false, false, T::COUNTED && len > 0);
    let fresh = match kind % 9 {
        0 => Fresh::Owned(MemoryOwner::from(elements)),
        1 => Fresh::Owned(MemoryOwner::from(elements.into_boxed_slice())),
        2 => Fresh::Owned(elements.into_iter().collect()),
        3 => Fresh::Shared(SharedOwner::from(elements)),
        4 => {
            tells_release = true;
            Fresh::Owned(raw_parts(elements, &seen))
        }
        5 => {
            (tells_release, tells_pins) = (true, true);
            Fresh::Owned(MemoryOwner::from_manager(Manager::new(elements, &seen)))
        }
        6 => {
            (tells_release, tells_pins) = (true, true);
            Fresh::Shared(SharedOwner::from_manager(ReadOnlyManager(Manager::new(elements, &seen))))
        }
        7 => match T::rent(pool, len) {
            Some(mut owner) => {
                owner.iter_mut().zip(elements).for_each(|(slot, element)| *slot = element);
                Fresh::Owned(owner)
            }
            None => {
                drops_elements = false;
                Fresh::Owned(MemoryOwner::from_static(elements.leak()))
            }
        },
        _ => match T::table() {
            Some((shared, table)) => {
                let contents = table.iter().map(T::value).collect();
                return Made {
                    fresh: Fresh::Shared(shared),
                    contents,
                    seen,
                    tells_release,
                    tells_pins,
                    drops_elements,
                };
            }
            None => Fresh::Shared(elements.into_iter().collect()),
        },
    };
    Made { fresh, contents, seen, tells_release, tells_pins, drops_elements }
}

fn raw_parts<T: Element>(elements: Vec<T>, seen: &Seen) -> MemoryOwner<T> {
    let slice: &'static mut [T] = elements.into_boxed_slice().leak_for_ever();
    let (ptr, len) = (NonNull::from(&mut *slice).cast::<T>(), slice.len());
    let releases = Arc::clone(&seen.releases);
    let release = move |ptr: NonNull<T>, len| {
        releases.fetch_add(1, Ordering::SeqCst);
        // SAFETY: the box that was leaked below.
        drop(unsafe { Box::from_raw(NonNull::slice_from_raw_parts(ptr, len).as_ptr()) });
    };
    // SAFETY: the elements are leaked, and taken back by the release function only.
    unsafe { MemoryOwner::from_raw_parts(ptr, len, release) }
}

trait LeakForEver<T> {
    fn leak_for_ever(self) -> &'static mut [T];
}

impl<T: 'static> LeakForEver<T> for Box<[T]> {
    fn leak_for_ever(self) -> &'static mut [T] {
        Box::leak(self)
    }
}

struct Manager<T> {
    elements: Vec<T>,
    releases: Arc<AtomicUsize>,
    pins: Arc<[AtomicUsize; 2]>,
}

impl<T> Manager<T> {
    fn new(elements: Vec<T>, seen: &Seen) -> Manager<T> {
        Manager { elements, releases: Arc::clone(&seen.releases), pins: Arc::clone(&seen.pins) }
    }
}

impl<T> Drop for Manager<T> {
    fn drop(&mut self) {
        self.releases.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: the vector's memory is the manager's own and stays until it is dropped; the hooks do not touch it.
unsafe impl<T: Element> MemoryManager<T> for Manager<T> {
    const PIN_HOOKS: bool = true;

    fn memory(&mut self) -> NonNull<[T]> {
        NonNull::from(&mut self.elements[..])
    }

    fn first_pin(&mut self) {
        self.pins[0].fetch_add(1, Ordering::SeqCst);
    }

    fn last_unpin(&mut self) {
        self.pins[1].fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: as above; nobody else has a pointer to it.
unsafe impl<T: Element> MemoryManagerMut<T> for Manager<T> {}

/// The same, without the right to write.
struct ReadOnlyManager<T>(Manager<T>);

// SAFETY: as for `Manager`.
unsafe impl<T: Element> MemoryManager<T> for ReadOnlyManager<T> {
    const PIN_HOOKS: bool = true;

    fn memory(&mut self) -> NonNull<[T]> {
        self.0.memory()
    }

    fn first_pin(&mut self) {
        self.0.first_pin();
    }

    fn last_unpin(&mut self) {
        self.0.last_unpin();
    }
}
