//! Do two systems compute the same?

/// What two values may be apart, relative to the largest one of their array where that is above 1.
pub const TOLERANCE: f64 = 1e-4;

/// Named arrays.
pub type Outputs = [(String, Vec<f32>)];

/// Compares every array of ours with the peer's of the same name; a gradient that the peer does not give is left out.
///
/// # Errors
/// One line that names the array and the first place where they are too far apart.
pub fn compare(ours: &Outputs, peers: &Outputs) -> Result<(), String> {
    for (name, ours) in ours {
        let Some((_, peers)) = peers.iter().find(|(other, _)| other == name) else {
            if name == "y" {
                return Err("its outputs hold no y".to_string());
            }
            continue;
        };
        if ours.len() != peers.len() {
            return Err(format!("its {name} has {} values, expected {}", peers.len(), ours.len()));
        }
        let largest = ours.iter().fold(1.0_f64, |most, x| most.max(f64::from(x.abs())));
        for (i, (a, b)) in ours.iter().zip(peers).enumerate() {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            // Not `apart > ..`, for a NaN is apart from everything.
            if !matches!(apart.partial_cmp(&(TOLERANCE * largest)), Some(o) if o.is_le()) {
                return Err(format!("its {name}[{i}] is {b}, expected {a}: {apart:.1e} apart"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_apart_is_found() {
        let ours = [("y".to_string(), vec![0.5, 1.0])];
        let peer = |y: Vec<f32>| [("y".to_string(), y)];
        assert!(compare(&ours, &peer(vec![0.5, 1.00005])).is_ok());
        assert!(compare(&ours, &peer(vec![0.5, 1.001])).unwrap_err().contains("y[1]"));
        assert!(compare(&ours, &peer(vec![0.5, f32::NAN])).is_err());
        assert!(compare(&ours, &peer(vec![0.5])).is_err());
        assert!(compare(&ours, &[]).is_err());
    }
}
