//! The caches of this machine, for the planner.

use std::sync::OnceLock;

/// Sizes in bytes of the caches that one core sees.
///
/// # Examples
/// ```
/// let gatewise_kernels::Caches { l1, l2, l3 } = gatewise_kernels::Caches::ASSUMED;
/// assert_eq!((l1, l2, l3), (32 * 1024, 256 * 1024, 8 * 1024 * 1024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caches {
    /// First level, data.
    pub l1: usize,
    /// Second level.
    pub l2: usize,
    /// Third level, shared between cores.
    pub l3: usize,
}

impl Caches {
    /// What is assumed where the system does not tell: the smallest of the processors that carry AVX2.
    ///
    /// # Examples
    /// ```
    /// assert_eq!(gatewise_kernels::Caches::ASSUMED.l2, 256 * 1024);
    /// ```
    pub const ASSUMED: Caches = Caches { l1: 32 << 10, l2: 256 << 10, l3: 8 << 20 };

    /// The caches of this machine, read once.
    ///
    /// # Examples
    /// ```
    /// use gatewise_kernels::Caches;
    ///
    /// assert!(Caches::detect().l1 > 0);
    /// assert_eq!(Caches::detect(), Caches::detect());
    /// ```
    pub fn detect() -> Caches {
        static CACHES: OnceLock<Caches> = OnceLock::new();
        *CACHES.get_or_init(|| Caches {
            l1: read_size(1).unwrap_or(Caches::ASSUMED.l1),
            l2: read_size(2).unwrap_or(Caches::ASSUMED.l2),
            l3: read_size(3).unwrap_or(Caches::ASSUMED.l3),
        })
    }
}

/// The size of the data cache of that level as Linux tells it.
fn read_size(level: usize) -> Option<usize> {
    let folder = std::path::Path::new("/sys/devices/system/cpu/cpu0/cache");
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).ok();
        let (Some(its_level), Some(kind), Some(size)) = (read("level"), read("type"), read("size")) else {
            continue;
        };
        if its_level.trim() == level.to_string() && kind.trim() != "Instruction" {
            let size = size.trim();
            let (digits, unit) =
                size.split_at(size.find(|c: char| !c.is_ascii_digit()).unwrap_or(size.len()));
            let unit = match unit {
                "" => 1,
                "K" => 1 << 10,
                "M" => 1 << 20,
                _ => return None,
            };
            return digits.parse::<usize>().ok()?.checked_mul(unit);
        }
    }
    None
}
