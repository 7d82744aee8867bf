//! Asking the processor to bring memory near before it is looked at, where it can be asked.

use fearless_simd::Level;

/// Has the line of memory brought near in which an item of a list lies.
#[inline(always)]
pub(crate) fn fetch<T>(level: Level, items: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let (Some(sse2), Some(item)) = (level.as_sse2(), items.get(at)) {
        fetch_line(sse2, std::ptr::from_ref(item).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (level, items, at);
}

/// Has the beginning of a document brought near, all of it if it is of common length.
///
/// Only so many lines of memory can be on their way to the nearest cache at a time, so most are brought to the next one.
#[inline(always)]
pub(crate) fn fetch_beginning(level: Level, document: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse2) = level.as_sse2() {
        fetch_lines(sse2, document);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (level, document);
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn fetch_lines(sse2: Sse2, document: &[u8]) {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        const NEAREST: usize = 512;
        const COMMON: usize = 8 << 10;
        let line = |at: usize| document.as_ptr().wrapping_add(at).cast();
        for at in (0..document.len().min(NEAREST)).step_by(64) {
            _mm_prefetch::<_MM_HINT_T0>(line(at));
        }
        for at in (NEAREST..document.len().min(COMMON)).step_by(64) {
            _mm_prefetch::<_MM_HINT_T1>(line(at));
        }
    }
);

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn fetch_line(sse2: Sse2, line: *const i8) {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line);
    }
);
