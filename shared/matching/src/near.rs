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

/// Has bytes brought near.
#[inline(always)]
pub(crate) fn fetch_bytes(level: Level, bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse2) = level.as_sse2() {
        fetch_lines(sse2, bytes);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (level, bytes);
}

#[cfg(target_arch = "x86_64")]
fearless_simd::kernel!(
    #[inline]
    fn fetch_lines(sse2: Sse2, bytes: &[u8]) {
        let mut line = 0;
        while line < bytes.len() {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(
                bytes.as_ptr().wrapping_add(line).cast(),
            );
            line += 64;
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
