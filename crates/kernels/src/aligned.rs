//! A buffer of f32 that starts on a cache line.

use crate::error::Error;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A cache line, and the widest vector: 64 bytes.
const ALIGN: usize = 64;

/// A heap buffer of f32, zeroed at first, that starts on a 64-byte boundary, so that no vector of a packed weight
/// panel straddles two cache lines.
///
/// # Examples
/// ```
/// let buffer = gatewise_kernels::AlignedBuf::zeroed(3)?;
/// assert_eq!(buffer[..], [0.0; 3]);
/// assert_eq!(buffer.as_ptr() as usize % 64, 0);
/// # Ok::<(), gatewise_kernels::Error>(())
/// ```
pub struct AlignedBuf {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: the buffer owns its floats, as a Vec<f32> does.
unsafe impl Send for AlignedBuf {}
// SAFETY: shared access hands out &[f32] only.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// A buffer of `len` zeros.
    ///
    /// # Errors
    /// [`Error::SizeOverflow`] if that many floats cannot be had.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::AlignedBuf;
    ///
    /// assert_eq!(AlignedBuf::zeroed(5)?[..], [0.0; 5]);
    /// assert!(AlignedBuf::zeroed(usize::MAX).is_err());
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn zeroed(len: usize) -> Result<AlignedBuf, Error> {
        if len == 0 {
            return Ok(AlignedBuf { start: NonNull::dangling(), len });
        }
        let layout = Self::layout(len).ok_or(Error::SizeOverflow { what: "a buffer" })?;
        // SAFETY: the layout's size is not zero, for len > 0.
        let start = unsafe { alloc_zeroed(layout) }.cast::<f32>();
        let start = NonNull::new(start).ok_or(Error::SizeOverflow { what: "a buffer" })?;
        Ok(AlignedBuf { start, len })
    }

    /// Makes the buffer at least `len` floats long; what it held is lost if it has to grow.
    ///
    /// # Errors
    /// As [`zeroed`](AlignedBuf::zeroed); the buffer is then as it was.
    ///
    /// # Examples
    /// ```
    /// let mut buffer = gatewise_kernels::AlignedBuf::default();
    /// for (len, expected) in [(3, 3), (8, 8), (2, 8)] {
    ///     buffer.reserve(len)?;
    ///     assert_eq!(buffer.len(), expected);
    /// }
    /// # Ok::<(), gatewise_kernels::Error>(())
    /// ```
    pub fn reserve(&mut self, len: usize) -> Result<(), Error> {
        if self.len < len {
            *self = AlignedBuf::zeroed(len)?;
        }
        Ok(())
    }

    fn layout(len: usize) -> Option<Layout> {
        let layout = Layout::array::<f32>(len).ok()?;
        layout.align_to(ALIGN).ok()
    }
}

impl Default for AlignedBuf {
    fn default() -> Self {
        AlignedBuf { start: NonNull::dangling(), len: 0 }
    }
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if let Some(layout) = Self::layout(self.len).filter(|_| self.len > 0) {
            // SAFETY: `zeroed` allocated `start` with this very layout, and this is the only owner.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `start` is valid for `len` initialised floats (dangling, aligned, for len 0).
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `&mut self` makes the access unique.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Clone for AlignedBuf {
    fn clone(&self) -> Self {
        // As Vec's clone: what fits in memory once is taken to fit twice, or the process ends as std's collections do.
        let mut copy =
            AlignedBuf::zeroed(self.len).unwrap_or_else(|e| panic!("clone of an aligned buffer: {e}"));
        copy.copy_from_slice(self);
        copy
    }
}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlignedBuf").field("len", &self.len).finish_non_exhaustive()
    }
}
