//! Where the arguments of a kernel stand: on the heap, or right against a page that may not be touched.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// What stands next to a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Whatever the allocator has there.
    Heap,
    /// A page that may not be touched, right behind its last byte.
    GuardBehind,
    /// Likewise, right in front of its first byte.
    GuardInFront,
}

impl Place {
    /// A copy of `data` there.
    pub(super) fn put<T: Copy>(self, data: &[T]) -> Memory<T> {
        match self {
            Place::Heap => Memory::Heap(data.to_vec()),
            Place::GuardBehind | Place::GuardInFront => {
                let pages = Pages::new(size_of_val(data));
                // Page bounds suit the alignment of every T.
                let start = if self == Place::GuardBehind { pages.end() } else { pages.begin() };
                let start = start.cast::<T>();
                let start = if self == Place::GuardBehind { start.wrapping_sub(data.len()) } else { start };
                // SAFETY: the writable pages are at least as long as the data, which is put against one of their ends.
                unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), start, data.len()) };
                let start = NonNull::new(start).expect("no page starts at 0");
                Memory::Guarded { start, len: data.len(), _pages: pages }
            }
        }
    }
}

/// A slice in its place.
#[derive(Debug)]
pub(super) enum Memory<T> {
    Heap(Vec<T>),
    Guarded { start: NonNull<T>, len: usize, _pages: Pages },
}

impl<T> Deref for Memory<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match self {
            Memory::Heap(data) => data,
            // SAFETY: `put` wrote `len` values there, in pages that live as long as this value.
            Memory::Guarded { start, len, .. } => unsafe { std::slice::from_raw_parts(start.as_ptr(), *len) },
        }
    }
}

impl<T> DerefMut for Memory<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Memory::Heap(data) => data,
            // SAFETY: as in `deref`, and `&mut self` makes the access unique.
            Memory::Guarded { start, len, .. } => unsafe {
                std::slice::from_raw_parts_mut(start.as_ptr(), *len)
            },
        }
    }
}

/// Writable pages between two that may not be touched.
#[derive(Debug)]
pub(super) struct Pages {
    start: NonNull<u8>,
    page: usize,
    bytes: usize,
}

impl Pages {
    fn new(at_least: usize) -> Pages {
        // SAFETY: a question without arguments that could be wrong.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("pages have a size");
        let inner = at_least.next_multiple_of(page).max(page);
        let bytes = inner + 2 * page;
        // SAFETY: a new private mapping, which overlaps nothing; its result is checked.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED, "no memory for guarded pages");
        let start = start.cast::<u8>();
        // SAFETY: the pages between the first and the last of the mapping above.
        let done = unsafe {
            libc::mprotect(start.wrapping_add(page).cast(), inner, libc::PROT_READ | libc::PROT_WRITE)
        };
        assert_eq!(done, 0, "pages cannot be made writable");
        Pages { start: NonNull::new(start).expect("no mapping starts at 0"), page, bytes }
    }

    /// The first writable byte.
    fn begin(&self) -> *mut u8 {
        self.start.as_ptr().wrapping_add(self.page)
    }

    /// One past the last writable byte.
    fn end(&self) -> *mut u8 {
        self.start.as_ptr().wrapping_add(self.bytes - self.page)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, whole, and no slice of it outlives this value.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}
