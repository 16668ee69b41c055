use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Seconds.
const TTL: u64 = 10;

#[test]
fn what_was_written_longest_ago_makes_room() {
    let map = BoundedMap::new(3);
    for key in ["a", "b", "c"] {
        map.insert(key, 1);
    }
    // Reading refreshes nothing, writing does.
    assert_eq!(map.get("b"), Some(1));
    map.update("a", |value| *value = value.map(|value| value + 1));
    map.insert("d", 1);
    assert_eq!((map.get("a"), map.get("b")), (Some(2), None));
    assert_eq!((map.len(), map.weight()), (3, 3));
    assert_eq!(map.remove("a"), Some(2));
    assert_eq!((map.remove("a"), map.len()), (None, 2));
}

#[test]
fn values_count_by_their_weight() {
    let map = BoundedMap::weighted(100, Vec::len);
    map.insert("a", vec![0u8; 60]);
    map.insert("b", vec![0; 40]);
    assert_eq!(map.weight(), 100);
    map.insert("c", vec![0; 1]);
    assert_eq!((map.len(), map.weight()), (2, 41));
    // Too heavy for the whole map: nothing else has to go for it, and its own old value goes.
    map.insert("c", vec![0; 101]);
    assert_eq!((map.len(), map.weight()), (1, 40));
    // A value without weight is bounded as well.
    map.insert("d", Vec::new());
    assert_eq!((map.len(), map.weight()), (2, 41));
}

#[test]
fn entries_are_forgotten_after_their_time() {
    let clock = Clock::manual("2026-11-20T12:00:00Z");
    let map = BoundedMap::new(10).with_ttl(Duration::from_secs(TTL), clock.clone());
    map.insert("a", 1);
    clock.advance(Duration::from_secs(TTL - 1));
    map.insert("b", 1);
    assert_eq!(map.get("a"), Some(1));
    clock.advance(Duration::from_secs(1));
    assert_eq!((map.get("a"), map.get("b")), (None, Some(1)));
    // The next write drops it.
    map.insert("c", 1);
    assert_eq!(map.len(), 2);
    // A change of an expired entry finds nothing.
    clock.advance(Duration::from_secs(TTL));
    let seen = map.update("b", |value| value.replace(5));
    assert_eq!((seen, map.get("b")), (None, Some(5)));
}

#[test]
fn a_key_that_is_written_again_and_again_does_not_grow_the_order() {
    let map = BoundedMap::new(10);
    map.insert("old", 0);
    for count in 0..10_000 {
        map.insert("hot", count);
    }
    assert!(map.order.lock().unwrap().len() <= 2 * map.len() + STALE_RECORDS + 1);
    assert_eq!((map.get("old"), map.get("hot")), (Some(0), Some(9_999)));
}

#[test]
fn the_bound_holds_whatever_threads_do_at_once() {
    let map = BoundedMap::weighted(500, |value: &u64| usize::try_from(*value % 7).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let map = &map;
            scope.spawn(move || {
                let mut state = thread + 1;
                for _ in 0..20_000 {
                    // xorshift64
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let key = state % 300;
                    match state >> 60 {
                        0 => drop(map.remove(&key)),
                        1 => map.update(key, |value| *value = None),
                        2 | 3 => drop(map.get(&key)),
                        _ => map.insert(key, state >> 8),
                    }
                }
            });
        }
    });
    let (mut count, mut weight) = (0, 0);
    map.for_each(|_, value| {
        count += 1;
        weight += usize::try_from(*value % 7).unwrap().max(1);
    });
    assert_eq!((map.len(), map.weight()), (count, weight));
    assert!(map.weight() <= 500);
    let current = map.order.lock().unwrap();
    let current = current
        .iter()
        .filter(|(key, stamp)| map.is_current(key, *stamp));
    assert_eq!(current.count(), count, "each entry can be dropped one day");
}

/// The same by a list, oldest write first: key, value, second of the write.
#[derive(Default)]
struct Model(VecDeque<(u8, usize, u64)>);

impl Model {
    fn write(&mut self, key: u8, value: Option<usize>, now: u64, max: usize) {
        self.0.retain(|(known, ..)| *known != key);
        if let Some(value) = value.filter(|value| (*value).max(1) <= max) {
            self.0.push_back((key, value, now));
        }
        self.0.retain(|(.., at)| now - at < TTL);
        while self
            .0
            .iter()
            .map(|(_, value, _)| (*value).max(1))
            .sum::<usize>()
            > max
        {
            self.0.pop_front();
        }
    }

    fn get(&self, key: u8, now: u64) -> Option<usize> {
        let found = self.0.iter().find(|(known, ..)| *known == key)?;
        (now - found.2 < TTL).then_some(found.1)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, usize),
    Add(u8, usize),
    Remove(u8),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..12u8, 0..12usize).prop_map(|(key, value)| Step::Insert(key, value)),
        2 => (0..12u8, 0..4usize).prop_map(|(key, more)| Step::Add(key, more)),
        1 => (0..12u8).prop_map(Step::Remove),
        1 => (0..TTL).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn it_holds_what_a_plain_list_would_hold(steps in steps(), max in 1..30usize) {
        let clock = Clock::manual("2026-11-20T12:00:00Z");
        let map = BoundedMap::weighted(max, |value: &usize| *value)
            .with_ttl(Duration::from_secs(TTL), clock.clone());
        let (mut model, mut now) = (Model::default(), 0);
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    map.insert(key, value);
                    model.write(key, Some(value), now, max);
                }
                Step::Add(key, more) => {
                    map.update(key, |value| *value = value.map(|value| value + more));
                    let sum = model.get(key, now).map(|value| value + more);
                    model.write(key, sum, now, max);
                }
                Step::Remove(key) => {
                    let known = model.get(key, now);
                    prop_assert_eq!(map.remove(&key), known);
                    model.0.retain(|(known, ..)| *known != key);
                }
                Step::Wait(seconds) => {
                    clock.advance(Duration::from_secs(seconds));
                    now += seconds;
                }
            }
            for key in 0..12 {
                prop_assert_eq!(map.get(&key), model.get(key, now), "{}", key);
            }
            prop_assert!(map.weight() <= max);
        }
    }
}
