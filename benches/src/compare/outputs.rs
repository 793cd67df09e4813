//! Do two systems compute the same?

/// What two values may be apart, relative to the largest one of their array where that is above 1.
pub const TOLERANCE: f64 = 1e-4;

/// What the norm of their difference may be of the norm of an array where a gradient jumps.
const OF_JUMPS: f64 = 1e-3;

/// Named arrays.
pub type Outputs = [(String, Vec<f32>)];

/// Compares every array of ours with the peer's of the same name; a gradient that the peer does not give is left out. With `kinks`,
/// gradients are compared as a whole: a unit of relu whose sum is 0 but for rounding lets the gradient pass in one system and not in
/// another, and among a million sums there are some.
///
/// # Errors
/// One line that names the array, and the first place where they are too far apart.
pub fn compare(ours: &Outputs, peers: &Outputs, kinks: bool) -> Result<(), String> {
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
        if kinks && name.starts_with("grad.") {
            let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
            let all = norm(&mut ours.iter().map(|a| f64::from(*a)));
            let apart = norm(&mut ours.iter().zip(peers).map(|(a, b)| f64::from(*a) - f64::from(*b)));
            if !is_within(apart, OF_JUMPS * all) {
                return Err(format!("its {name} is apart by a norm of {apart:.1e}, of {all:.1e}"));
            }
            continue;
        }
        let largest = ours.iter().fold(1.0_f64, |most, x| most.max(f64::from(x.abs())));
        for (i, (a, b)) in ours.iter().zip(peers).enumerate() {
            let apart = (f64::from(*a) - f64::from(*b)).abs();
            if !is_within(apart, TOLERANCE * largest) {
                return Err(format!("its {name}[{i}] is {b}, expected {a}: {apart:.1e} apart"));
            }
        }
    }
    Ok(())
}

/// Not the opposite of `apart > most`, for a NaN is apart from everything.
fn is_within(apart: f64, most: f64) -> bool {
    apart <= most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_apart_is_found() {
        let ours = [("y".to_string(), vec![0.5, 1.0])];
        let peer = |y: Vec<f32>| [("y".to_string(), y)];
        assert!(compare(&ours, &peer(vec![0.5, 1.00005]), false).is_ok());
        assert!(compare(&ours, &peer(vec![0.5, 1.001]), false).unwrap_err().contains("y[1]"));
        assert!(compare(&ours, &peer(vec![0.5, f32::NAN]), false).is_err());
        assert!(compare(&ours, &peer(vec![0.5]), false).is_err());
        assert!(compare(&ours, &[], false).is_err());
    }

    #[test]
    fn gradients_with_kinks_are_compared_as_a_whole() {
        let gradient = |last: f32| [("grad.x".to_string(), vec![100.0, -100.0, last])];
        let ours = gradient(1.0);
        assert!(
            compare(&ours, &gradient(1.1), false).is_err() && compare(&ours, &gradient(1.1), true).is_ok()
        );
        assert!(compare(&ours, &gradient(1.2), true).unwrap_err().contains("grad.x"));
        assert!(compare(&ours, &gradient(f32::NAN), true).is_err());
        let y = |last: f32| [("y".to_string(), vec![100.0, -100.0, last])];
        assert!(compare(&y(1.0), &y(1.011), true).is_err());
    }
}
