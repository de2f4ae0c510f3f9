//! "Did you mean ...": the nearest of the names that there are.

/// The name in `names` that is so near to `text` that a slip of the hand explains the difference.
pub(crate) fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = 1 + text.chars().count() / 4;
    names
        .map(|name| (distance(text, name), name))
        .filter(|(distance, _)| *distance <= near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The way out for a name that is not known.
pub(crate) fn did_you_mean(nearest: Option<&str>, names: &[&str]) -> String {
    match nearest {
        Some(name) => format!("did you mean `{name}`?"),
        None => {
            let mut names = names.to_vec();
            names.sort_unstable();
            names.dedup();
            format!("there are {}", names.join(", "))
        }
    }
}

/// Levenshtein's distance, where two neighbours changed over count once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    // Names are short; a text that is not gets no suggestion anyway.
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => cell(&rows, &a, &b, i, j),
            };
        }
    }
    rows[a.len()][b.len()]
}

fn cell(rows: &[Vec<usize>], a: &[char], b: &[char], i: usize, j: usize) -> usize {
    let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
    let best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
    let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
    if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_another_word_does_not() {
        let names = ["http_port", "https_port", "state_dir", "mac", "macs"];
        for (text, want) in [
            ("htpp_port", Some("http_port")),
            ("http_prot", Some("http_port")),
            ("statedir", Some("state_dir")),
            ("mca", Some("mac")),
            ("verbose", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, names.into_iter()), want, "{text}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), names.into_iter()), None);
    }
}
