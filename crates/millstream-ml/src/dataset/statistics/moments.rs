//! Mean and deviation of one column, and how two columns move together, chunk by chunk.

/// Count, mean and squared deviations of finite numbers. Chunks are merged, not added up, so that large numbers with small
/// differences keep their digits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    squares: f64,
}

impl Moments {
    #[allow(clippy::cast_precision_loss, reason = "a count of rows in a mean")]
    pub(crate) fn add(&mut self, chunk: &[f64]) {
        if chunk.is_empty() {
            return;
        }
        let rows = chunk.len() as f64;
        let mean = chunk.iter().sum::<f64>() / rows;
        let squares = chunk.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        let all = self.count as f64 + rows;
        let apart = mean - self.mean;
        self.squares += squares + apart * apart * (self.count as f64 * rows / all);
        self.mean += apart * (rows / all);
        self.count += chunk.len() as u64;
    }

    /// The standard deviation of a whole population, not of a sample; `None` without rows.
    #[allow(clippy::cast_precision_loss, reason = "a count of rows in a deviation")]
    pub(crate) fn deviation(&self) -> Option<f64> {
        (self.count > 0).then(|| (self.squares / self.count as f64).sqrt())
    }
}

/// How two columns move together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Together {
    pub(crate) count: u64,
    mean: [f64; 2],
    squares: [f64; 2],
    products: f64,
}

impl Together {
    #[allow(clippy::cast_precision_loss, reason = "a count of rows in a mean")]
    pub(crate) fn add(&mut self, pairs: &[[f64; 2]]) {
        if pairs.is_empty() {
            return;
        }
        let rows = pairs.len() as f64;
        let mean = [0, 1].map(|side: usize| pairs.iter().map(|pair| pair[side]).sum::<f64>() / rows);
        let (mut squares, mut products) = ([0.0, 0.0], 0.0);
        for pair in pairs {
            let (one, other) = (pair[0] - mean[0], pair[1] - mean[1]);
            squares[0] += one * one;
            squares[1] += other * other;
            products += one * other;
        }
        let all = self.count as f64 + rows;
        let weight = self.count as f64 * rows / all;
        let apart = [mean[0] - self.mean[0], mean[1] - self.mean[1]];
        for side in [0, 1] {
            self.squares[side] += squares[side] + apart[side] * apart[side] * weight;
            self.mean[side] += apart[side] * (rows / all);
        }
        self.products += products + apart[0] * apart[1] * weight;
        self.count += pairs.len() as u64;
    }

    /// Pearson's correlation; none where one of the two does not vary.
    pub(crate) fn correlation(&self) -> Option<f64> {
        let scale = self.squares[0].sqrt() * self.squares[1].sqrt();
        (scale.is_finite() && scale > 0.0).then(|| self.products / scale)
    }
}
