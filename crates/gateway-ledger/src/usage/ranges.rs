//! Cuts a time range into parts that the roll-up has sums of, and parts that only the entries have.

/// A half-open range of microseconds; both ends may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

/// A part of what is asked for, and where its sums lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// Microseconds in one bucket of the roll-up; `None`: the entries themselves.
    pub(super) bucket: Option<i64>,
    pub(super) range: Range,
}

/// Cuts a range into whole days, whole quarters of an hour at its edges, and what is left over,
/// which the entries answer.
pub(super) fn parts(range: Range, buckets: &[i64]) -> Vec<Part> {
    let Some((&bucket, smaller)) = buckets.split_first() else {
        return vec![Part {
            bucket: None,
            range,
        }];
    };
    let first = range
        .from
        .map(|from| from.div_euclid(bucket) + i64::from(from.rem_euclid(bucket) != 0));
    let last = range.to.map(|to| to.div_euclid(bucket));
    if first.zip(last).is_some_and(|(first, last)| first >= last) {
        return parts(range, smaller);
    }
    let start = |index: i64| index.saturating_mul(bucket);
    let inner = Range {
        from: first.map(start),
        to: last.map(start),
    };
    let mut cut = vec![Part {
        bucket: Some(bucket),
        range: inner,
    }];
    if range.from.is_some() && range.from < inner.from {
        cut.extend(parts(
            Range {
                from: range.from,
                to: inner.from,
            },
            smaller,
        ));
    }
    if range.to.is_some() && inner.to < range.to {
        cut.extend(parts(
            Range {
                from: inner.to,
                to: range.to,
            },
            smaller,
        ));
    }
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends() -> impl Strategy<Value = Option<i64>> {
        proptest::option::of(prop_oneof![
            0..400_i64,
            (0..40_i64).prop_map(|end| end * 10)
        ])
    }

    proptest! {
        #[test]
        fn the_parts_of_a_range_are_the_range(from in ends(), to in ends(), small in 1..7_i64, times in 2..9_i64) {
            prop_assume!(from.zip(to).is_none_or(|(from, to)| from < to));
            let cut = parts(Range { from, to }, &[small * times, small]);
            for moment in -20..500 {
                let inside = |range: Range| range.from.is_none_or(|from| from <= moment) && range.to.is_none_or(|to| moment < to);
                let count = cut.iter().filter(|part| inside(part.range)).count();
                prop_assert_eq!(count, usize::from(inside(Range { from, to })), "{} in {:?}", moment, cut);
            }
            for part in cut {
                if let Some(bucket) = part.bucket {
                    prop_assert!(part.range.from.is_none_or(|from| from % bucket == 0));
                    prop_assert!(part.range.to.is_none_or(|to| to % bucket == 0));
                }
            }
        }
    }
}
