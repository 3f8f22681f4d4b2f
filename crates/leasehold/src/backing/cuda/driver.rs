//! The functions of the CUDA driver that we use, found at run time.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem;
use std::ptr::{self, NonNull};

use super::CudaError;

/// What every function returns; 0 is success.
pub(super) type Status = c_int;
pub(super) type Device = c_int;
pub(super) type Context = *mut c_void;

pub(super) const OUT_OF_MEMORY: Status = 2;
/// Pinned for every context of the process, not only for the one that is current.
const PORTABLE: c_uint = 1;

/// The driver. Its library is never unloaded.
#[derive(Clone, Copy)]
pub(super) struct Driver {
    init: unsafe extern "system" fn(c_uint) -> Status,
    device_get: unsafe extern "system" fn(*mut Device, c_int) -> Status,
    context_retain: unsafe extern "system" fn(*mut Context, Device) -> Status,
    context_release: unsafe extern "system" fn(Device) -> Status,
    context_push: unsafe extern "system" fn(Context) -> Status,
    context_pop: unsafe extern "system" fn(*mut Context) -> Status,
    host_alloc: unsafe extern "system" fn(*mut *mut c_void, usize, c_uint) -> Status,
    host_free: unsafe extern "system" fn(*mut c_void) -> Status,
    error_string: unsafe extern "system" fn(Status, *mut *const c_char) -> Status,
}

impl Driver {
    /// Loads the driver and initialises it.
    pub(super) fn load() -> Result<Driver, CudaError> {
        let library = Library::open()?;
        // SAFETY: the types are those of `cuda.h`, here and below.
        let init = unsafe { library.function(c"cuInit") }?;
        // SAFETY: as above.
        let device_get = unsafe { library.function(c"cuDeviceGet") }?;
        // SAFETY: as above.
        let context_retain = unsafe { library.function(c"cuDevicePrimaryCtxRetain") }?;
        // SAFETY: as above.
        let context_release = unsafe { library.function(c"cuDevicePrimaryCtxRelease_v2") }?;
        // SAFETY: as above.
        let context_push = unsafe { library.function(c"cuCtxPushCurrent_v2") }?;
        // SAFETY: as above.
        let context_pop = unsafe { library.function(c"cuCtxPopCurrent_v2") }?;
        // SAFETY: as above.
        let host_alloc = unsafe { library.function(c"cuMemHostAlloc") }?;
        // SAFETY: as above.
        let host_free = unsafe { library.function(c"cuMemFreeHost") }?;
        // SAFETY: as above.
        let error_string = unsafe { library.function(c"cuGetErrorString") }?;
        let driver = Driver {
            init,
            device_get,
            context_retain,
            context_release,
            context_push,
            context_pop,
            host_alloc,
            host_free,
            error_string,
        };
        // SAFETY: there is nothing to be done before.
        driver.check("cuInit", unsafe { (driver.init)(0) })?;
        Ok(driver)
    }

    pub(super) fn device(&self, ordinal: i32) -> Result<Device, CudaError> {
        let mut device = 0;
        // SAFETY: the driver is initialised, and the number is there to be written.
        self.check("cuDeviceGet", unsafe { (self.device_get)(&raw mut device, ordinal) })?;
        Ok(device)
    }

    /// The context that the run-time library uses too, until [`release_context`](Self::release_context).
    pub(super) fn retain_context(&self, device: Device) -> Result<Context, CudaError> {
        let mut context = ptr::null_mut();
        // SAFETY: the driver has given the device, and the pointer is there to be written.
        let status = unsafe { (self.context_retain)(&raw mut context, device) };
        self.check("cuDevicePrimaryCtxRetain", status)?;
        Ok(context)
    }

    /// # Safety
    /// The context of this device was retained, not released since, and is not used any more.
    pub(super) unsafe fn release_context(&self, device: Device) {
        // An error has nobody to be told to: the process may be ending, and the driver gone before us.
        // SAFETY: the caller's promise.
        unsafe { (self.context_release)(device) };
    }

    /// # Safety
    /// The context is retained.
    unsafe fn in_context<R>(
        &self,
        context: Context,
        call: impl FnOnce() -> Result<R, CudaError>,
    ) -> Result<R, CudaError> {
        // SAFETY: the caller's promise.
        self.check("cuCtxPushCurrent", unsafe { (self.context_push)(context) })?;
        let outcome = call();
        let mut popped = ptr::null_mut();
        // SAFETY: the pointer is there to be written; what is popped is what was pushed.
        unsafe { (self.context_pop)(&raw mut popped) };
        outcome
    }

    /// Pinned memory, of which nothing is known.
    ///
    /// # Safety
    /// The context is retained, and stays so until the memory is freed.
    pub(super) unsafe fn allocate(&self, context: Context, size: usize) -> Result<NonNull<u8>, CudaError> {
        let mut memory = ptr::null_mut();
        let allocate = || {
            // SAFETY: a context is current, and the pointer is there to be written.
            self.check("cuMemHostAlloc", unsafe { (self.host_alloc)(&raw mut memory, size, PORTABLE) })
        };
        // SAFETY: the caller's promise.
        unsafe { self.in_context(context, allocate) }?;
        NonNull::new(memory.cast()).ok_or_else(|| self.error("cuMemHostAlloc", OUT_OF_MEMORY))
    }

    /// # Safety
    /// The memory was allocated with this context, and nobody uses it any more.
    pub(super) unsafe fn free(&self, context: Context, memory: NonNull<u8>) {
        let free = || {
            // SAFETY: the caller's promise.
            self.check("cuMemFreeHost", unsafe { (self.host_free)(memory.as_ptr().cast()) })
        };
        // As for the context: an error has nobody to be told to, and the memory leaks.
        // SAFETY: a context is retained as long as memory of it lives.
        let _ = unsafe { self.in_context(context, free) };
    }

    fn check(&self, function: &'static str, status: Status) -> Result<(), CudaError> {
        if status == 0 { Ok(()) } else { Err(self.error(function, status)) }
    }

    #[cold]
    fn error(&self, function: &'static str, code: Status) -> CudaError {
        let mut message = ptr::null();
        // SAFETY: the pointer is there to be written.
        let status = unsafe { (self.error_string)(code, &raw mut message) };
        if status != 0 || message.is_null() {
            return CudaError::Failed { function, code, message: "unknown error".to_owned() };
        }
        // SAFETY: a string of the driver's that is always there.
        let message = unsafe { CStr::from_ptr(message) };
        CudaError::Failed { function, code, message: message.to_string_lossy().into_owned() }
    }
}

/// A shared library that stays loaded.
struct Library(NonNull<c_void>);

impl Library {
    /// # Safety
    /// `F` is the type of a pointer to the function of this name.
    unsafe fn function<F: Copy>(&self, name: &'static CStr) -> Result<F, CudaError> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let Some(address) = self.address(name) else {
            return Err(CudaError::TooOld { function: name.to_str().unwrap_or_default() });
        };
        // SAFETY: not null, and the caller's promise.
        Ok(unsafe { mem::transmute_copy::<NonNull<c_void>, F>(&address) })
    }
}

#[cfg(unix)]
impl Library {
    fn open() -> Result<Library, CudaError> {
        // SAFETY: the driver's initialisers may run at any time, and the name is a string that ends.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(library).map(Library).ok_or_else(|| CudaError::Missing { reason: loader_says() })
    }

    fn address(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the library is open, and the name a string that ends.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }
}

#[cfg(unix)]
fn loader_says() -> String {
    // SAFETY: there are no requirements.
    let reason = unsafe { libc::dlerror() };
    if reason.is_null() {
        return "no reason is given".to_owned();
    }
    // SAFETY: a string of this thread's that stays until the next call.
    let reason = unsafe { CStr::from_ptr(reason) };
    reason.to_string_lossy().into_owned()
}

#[cfg(windows)]
impl Library {
    fn open() -> Result<Library, CudaError> {
        /// Looks nowhere but in the system's own folder.
        const SEARCH_SYSTEM32: u32 = 0x800;
        // SAFETY: the driver's initialisers may run at any time, and the name is a string that ends.
        let library = unsafe { LoadLibraryExA(c"nvcuda.dll".as_ptr(), ptr::null_mut(), SEARCH_SYSTEM32) };
        let missing = || CudaError::Missing { reason: std::io::Error::last_os_error().to_string() };
        NonNull::new(library).map(Library).ok_or_else(missing)
    }

    fn address(&self, name: &CStr) -> Option<NonNull<c_void>> {
        // SAFETY: the library is loaded, and the name a string that ends.
        NonNull::new(unsafe { GetProcAddress(self.0.as_ptr(), name.as_ptr()) })
    }
}

#[cfg(windows)]
#[link(name = "kernel32")]
unsafe extern "system" {
    fn LoadLibraryExA(name: *const c_char, reserved: *mut c_void, flags: u32) -> *mut c_void;
    fn GetProcAddress(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

#[cfg(not(any(unix, windows)))]
impl Library {
    fn open() -> Result<Library, CudaError> {
        Err(CudaError::Missing { reason: "there is none for this system".to_owned() })
    }

    fn address(&self, _: &CStr) -> Option<NonNull<c_void>> {
        None
    }
}
