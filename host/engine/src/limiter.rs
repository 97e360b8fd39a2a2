//! Owns what one instance may take of memory and tables. wasmtime asks before each growth, memory by memory; the sums are
//! kept here, because a hundred memories of 60 MiB each would pass a limit per memory.

use wasmtime::ResourceLimiter;

/// Counts what an instance holds, and says no.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    /// Bytes.
    memory: Budget,
    /// Elements.
    table: Budget,
}

/// What all memories, or all tables, of an instance hold together.
#[derive(Debug, Default)]
struct Budget {
    limit: usize,
    held: usize,
    denied: bool,
}

impl Limiter {
    pub(crate) fn new(memory_limit: u64, table_limit: u64) -> Self {
        Self {
            memory: Budget::new(memory_limit),
            table: Budget::new(table_limit),
        }
    }

    /// Bytes of all memories together; they never shrink.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.held
    }

    /// Whether a growth was refused since the last call of this.
    pub(crate) fn take_denied(&mut self) -> bool {
        std::mem::take(&mut self.memory.denied) | std::mem::take(&mut self.table.denied)
    }
}

impl Budget {
    fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// Adds the growth if the sum stays within the limit.
    fn grow(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> bool {
        // wasmtime asks even if a maximum will stop it: such a growth must not be counted. A maximum as large as the
        // limit is the pool's, not the guest's own.
        if maximum.is_some_and(|maximum| desired > maximum) {
            self.denied |= maximum >= Some(self.limit);
            return false;
        }
        let sum = self.held.saturating_add(desired.saturating_sub(current));
        let allowed = sum <= self.limit;
        if allowed {
            self.held = sum;
        }
        self.denied |= !allowed;
        allowed
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.memory.grow(current, desired, maximum))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.grow(current, desired, maximum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_memories_of_an_instance() {
        let mut limiter = Limiter::new(100, 0);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.take_denied());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        assert_eq!(limiter.memory_bytes(), 100);
        assert!(!limiter.take_denied());
    }

    #[test]
    fn leaves_out_growth_that_the_memorys_own_maximum_stops() {
        let mut limiter = Limiter::new(100, 0);
        assert!(!limiter.memory_growing(0, 60, Some(50)).unwrap());
        assert!(!limiter.take_denied());
        assert_eq!(limiter.memory_bytes(), 0);
    }
}
