//! Buffers seen as elements of another type.

use bytemuck::Pod;

use crate::error::{CastError, CastReason};
use crate::handle::{MemoryHandle, MemoryHandleMut};
use crate::owner::MemoryOwner;
use crate::shared::SharedOwner;

impl<T: Pod + Send> MemoryOwner<T> {
    /// The same memory as elements of another plain type. Copies nothing.
    ///
    /// The length is what the bytes make; the block goes back to where it came from, whatever it was seen as.
    ///
    /// # Errors
    /// [`CastError`] hands the owner back: the memory does not begin aligned for `U`, or is not a whole number of them.
    /// Rented buffers are aligned for every type that can be rented.
    ///
    /// # Examples
    /// ```
    /// let mut bytes = leasehold::MemoryPool::shared().rent::<u8>(16);
    /// bytes.fill(0);
    /// bytes[4..8].copy_from_slice(&1.5f32.to_ne_bytes());
    /// let numbers = bytes.cast::<f32>().unwrap();
    /// assert_eq!(numbers[..], [0.0, 1.5, 0.0, 0.0]);
    /// ```
    #[doc(alias = "MemoryMarshal")]
    pub fn cast<U: Pod + Send>(self) -> Result<MemoryOwner<U>, CastError<Self>> {
        self.0.cast().map(MemoryOwner).map_err(|(owned, miscast)| CastError {
            owner: MemoryOwner(owned),
            reason: CastReason::of::<U>(miscast),
        })
    }

    /// The bytes of the elements, in the order of this machine.
    ///
    /// # Examples
    /// ```
    /// let owner = leasehold::MemoryOwner::from(vec![1u16, 2]);
    /// assert_eq!(owner.as_bytes().len(), 4);
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }

    /// The bytes of the elements, to be written.
    ///
    /// # Examples
    /// ```
    /// let mut owner = leasehold::MemoryOwner::from(vec![0u16; 2]);
    /// owner.as_bytes_mut().fill(1);
    /// assert_eq!(owner[..], [0x0101, 0x0101]);
    /// ```
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        bytemuck::cast_slice_mut(self)
    }
}

impl<T: Pod + Send> SharedOwner<T> {
    /// The same memory as elements of another plain type, sharing it. Copies nothing.
    ///
    /// # Errors
    /// As [`MemoryOwner::cast`].
    ///
    /// # Examples
    /// ```
    /// use leasehold::{CastReason, MemoryPool};
    ///
    /// // A header of four bytes, then numbers.
    /// let file = MemoryPool::shared().rent_zeroed::<u8>(20).into_shared();
    /// assert_eq!(file.slice(4..).cast::<f32>().unwrap()[..], [0.0; 4]);
    ///
    /// let error = file.slice(3..7).cast::<f32>().unwrap_err();
    /// assert!(matches!(error.reason, CastReason::Misaligned { alignment: 4, .. }));
    /// ```
    pub fn cast<U: Pod + Send>(self) -> Result<SharedOwner<U>, CastError<Self>> {
        self.0.cast().map(SharedOwner).map_err(|(shared, miscast)| CastError {
            owner: SharedOwner(shared),
            reason: CastReason::of::<U>(miscast),
        })
    }

    /// The bytes of the elements, in the order of this machine.
    ///
    /// # Examples
    /// ```
    /// let numbers = leasehold::SharedOwner::from(vec![1u32, 2, 3]);
    /// assert_eq!(numbers.as_bytes().len(), 12);
    /// ```
    pub fn as_bytes(&self) -> &[u8] {
        bytemuck::cast_slice(self)
    }
}

impl<T: Pod + Send> MemoryHandleMut<T> {
    /// The same pinned memory as elements of another plain type: as bytes, for what reads into bytes. Copies nothing, and the
    /// pin goes on.
    ///
    /// # Errors
    /// As [`MemoryOwner::cast`].
    ///
    /// # Examples
    /// ```
    /// let (lessor, memory) = leasehold::MemoryOwner::from(vec![0f32; 2]).lease();
    /// let mut bytes = memory.pin().unwrap().cast::<u8>().unwrap(); // for the kernel
    /// bytes[4..].copy_from_slice(&1.5f32.to_ne_bytes());
    /// let numbers = bytes.cast::<f32>().unwrap().unpin();
    /// assert_eq!(numbers.span().unwrap()[..], [0.0, 1.5]);
    /// ```
    pub fn cast<U: Pod + Send>(self) -> Result<MemoryHandleMut<U>, CastError<Self>> {
        self.0.cast().map(MemoryHandleMut).map_err(|(pinned, miscast)| CastError {
            owner: MemoryHandleMut(pinned),
            reason: CastReason::of::<U>(miscast),
        })
    }
}

impl<T: Pod + Send> MemoryHandle<T> {
    /// The same pinned memory as elements of another plain type. Copies nothing, and the pin goes on.
    ///
    /// # Errors
    /// As [`MemoryOwner::cast`].
    pub fn cast<U: Pod + Send>(self) -> Result<MemoryHandle<U>, CastError<Self>> {
        self.0.cast().map(MemoryHandle).map_err(|(pinned, miscast)| CastError {
            owner: MemoryHandle(pinned),
            reason: CastReason::of::<U>(miscast),
        })
    }
}
