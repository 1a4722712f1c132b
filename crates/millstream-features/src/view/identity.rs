//! The identity of a service. What it reads decides on it; what else its views have does not.

use xxhash_rust::xxh3::xxh3_128;

use super::{
    FeatureDefinition, FeatureSource, FeatureValue, KeyDefinition, RowDefinition, ServiceDefinition,
    ViewDefinition,
};
use crate::window::{Measure, Operand};

/// Version of the written form of a service.
const SERVICE_VERSION: u8 = 2;

impl ServiceDefinition {
    /// The identity of the definition: 32 hexadecimal digits that change with everything that can change a value, a
    /// type or the order of the answer. A feature that is added to a view, and that the service does not read, changes nothing.
    #[must_use]
    pub fn version(&self) -> String {
        // A definition holds nothing that JSON cannot: keys are texts, and numbers that are no numbers become null.
        let text = serde_json::to_vec(&(SERVICE_VERSION, self.alone())).unwrap_or_default();
        format!("{:032x}", xxh3_128(&text))
    }

    /// Whether both definitions answer alike. One that was recorded before [`RowDefinition::query`] was kept is compared as a
    /// whole.
    #[must_use]
    pub fn answers_as(&self, other: &Self) -> bool {
        let whole = |definition: &Self| {
            let mut whole = definition.clone();
            for view in &mut whole.views {
                view.rows.query.clear();
                view.rows.reads.clear();
            }
            whole
        };
        self.version() == other.version() || whole(self) == whole(other)
    }

    /// The service over views that have only what it reads, numbered in the order in which it reads them.
    fn alone(&self) -> Self {
        let mut alone = self.clone();
        let mut read: Vec<Vec<usize>> = vec![Vec::new(); self.views.len()];
        let inputs =
            alone.on_demand.iter_mut().flat_map(|one| &mut one.inputs).map(|input| &mut input.source);
        for source in alone.features.iter_mut().map(|feature| &mut feature.source).chain(inputs) {
            if let FeatureSource::View { view, feature } = source
                && let Some(of_view) = read.get_mut(*view)
            {
                *feature = place(of_view, *feature);
            }
        }
        for (view, features) in alone.views.iter_mut().zip(read) {
            *view = view.only(&features);
        }
        alone
    }
}

impl ViewDefinition {
    /// The view with these of its features, and with the columns that they need.
    fn only(&self, features: &[usize]) -> Self {
        let mut needed = Vec::new();
        let features = features.iter().filter_map(|number| self.features.get(*number));
        let features = features
            .map(|feature| {
                let value = renumbered(&feature.value, &mut |column| place(&mut needed, column));
                FeatureDefinition { value, ..feature.clone() }
            })
            .collect();
        let columns = needed.iter().filter_map(|number| self.columns.get(*number)).cloned().collect();
        if self.rows.query.is_empty() {
            return Self { columns, features, ..self.clone() };
        }
        // The query names the columns of all features, so that of the rows stands for it, with the types of what is read.
        let reads: Vec<_> =
            needed.iter().filter_map(|number| self.rows.reads.get(*number)).cloned().collect();
        let is_read = |column: &&KeyDefinition| {
            let is_key = self.keys.iter().any(|key| key.name == column.name);
            is_key || column.name == self.rows.time || reads.iter().flatten().any(|name| *name == column.name)
        };
        let mut of_rows: Vec<_> = self.rows.columns.iter().filter(is_read).cloned().collect();
        of_rows.sort_by(|one, other| one.name.cmp(&other.name));
        let rows = RowDefinition { columns: of_rows, reads, ..self.rows.clone() };
        Self { query: String::new(), columns, features, rows, ..self.clone() }
    }
}

/// The place of a number in a list, to which it is added if it is not there.
fn place(list: &mut Vec<usize>, number: usize) -> usize {
    list.iter().position(|known| *known == number).unwrap_or_else(|| {
        list.push(number);
        list.len() - 1
    })
}

fn renumbered(value: &FeatureValue, place: &mut impl FnMut(usize) -> usize) -> FeatureValue {
    let mut operand = |operand: &Operand| Operand {
        column: operand.column.map(&mut *place),
        filter: operand.filter.map(&mut *place),
        ..operand.clone()
    };
    match value {
        FeatureValue::Newest(column) => FeatureValue::Newest(place(*column)),
        FeatureValue::Window { measure: Measure::One(one), window } => {
            FeatureValue::Window { measure: Measure::One(operand(one)), window: *window }
        }
        FeatureValue::Window { measure: Measure::Ratio { numerator, denominator, against }, window } => {
            let (numerator, denominator) = (operand(numerator), operand(denominator));
            let measure = Measure::Ratio { numerator, denominator, against: *against };
            FeatureValue::Window { measure, window: *window }
        }
        FeatureValue::Window { measure: Measure::Change(one), window } => {
            FeatureValue::Window { measure: Measure::Change(operand(one)), window: *window }
        }
    }
}
