//! Takes the entries that cannot be read out of an untyped TOML text, and remembers which.

use std::ops::Range;

use toml::de::{DeArray, DeTable, DeValue};

/// The entries that were taken out: the span of the table that each was in, and its key.
pub(super) struct Removals {
    root: Range<usize>,
    removed: Vec<(Range<usize>, String)>,
}

impl Removals {
    /// `root` is the span of the whole text.
    pub(super) fn new(root: Range<usize>) -> Self {
        Self {
            root,
            removed: Vec::new(),
        }
    }

    /// Whether `key` is absent from the table at this span because it was taken out.
    pub(super) fn explain(&self, table: &Range<usize>, key: &str) -> bool {
        self.removed
            .iter()
            .any(|(holder, removed)| holder == table && removed == key)
    }

    /// Takes out the innermost entry that the span lies in, and with it every table and list that
    /// is empty then. `false` when there is none. `meant` is another key whose absence this
    /// explains.
    pub(super) fn remove(
        &mut self,
        table: &mut DeTable<'_>,
        span: &Range<usize>,
        meant: Option<&str>,
    ) -> bool {
        let root = self.root.clone();
        self.take_in_table(table, &root, span, meant)
    }

    /// The span of a table is that of its header alone, so the search goes into every table.
    fn take_in_table(
        &mut self,
        table: &mut DeTable<'_>,
        holder: &Range<usize>,
        span: &Range<usize>,
        meant: Option<&str>,
    ) -> bool {
        let named = table.keys().find(|key| covers(&key.span(), span)).cloned();
        if let Some(key) = named {
            self.take(table, holder, key.get_ref(), meant);
            return true;
        }
        for (key, value) in table.iter_mut() {
            let place = value.span();
            if self.take_in_value(value.get_mut(), &place, span, meant) {
                if is_empty(value.get_ref()) {
                    let key = key.clone();
                    self.take(table, holder, key.get_ref(), None);
                }
                return true;
            }
        }
        let around = table
            .iter()
            .find(|(_, value)| covers(&value.span(), span))
            .map(|(key, _)| key.clone());
        if let Some(key) = &around {
            self.take(table, holder, key.get_ref(), meant);
        }
        around.is_some()
    }

    fn take_in_value(
        &mut self,
        value: &mut DeValue<'_>,
        place: &Range<usize>,
        span: &Range<usize>,
        meant: Option<&str>,
    ) -> bool {
        let array = match value {
            DeValue::Table(table) => return self.take_in_table(table, place, span, meant),
            DeValue::Array(array) => array,
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => return false,
        };
        let is_inside = array.iter_mut().any(|item| {
            let place = item.span();
            self.take_in_value(item.get_mut(), &place, span, meant)
        });
        let before = array.len();
        let kept = std::mem::replace(array, DeArray::new());
        *array = kept
            .into_iter()
            .filter(|item| {
                if is_inside {
                    !is_empty(item.get_ref())
                } else {
                    !covers(&item.span(), span)
                }
            })
            .collect();
        is_inside || array.len() < before
    }

    fn take(
        &mut self,
        table: &mut DeTable<'_>,
        holder: &Range<usize>,
        key: &str,
        meant: Option<&str>,
    ) {
        table.remove(key);
        let keys = std::iter::once(key).chain(meant);
        self.removed
            .extend(keys.map(|key| (holder.clone(), key.to_owned())));
    }
}

fn is_empty(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Table(table) => table.is_empty(),
        DeValue::Array(array) => array.is_empty(),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => false,
    }
}

fn covers(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
