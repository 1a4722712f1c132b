"""Ends badly unless two Parquet files hold the same features for the same labels: same_values.py OURS THEIRS

Integers and nulls must be equal, floats to 12 digits: sums of the same numbers in another order differ in the last bits.
"""

import sys

import polars as pl

ours, theirs = (pl.read_parquet(path).sort("id") for path in sys.argv[1:])
if ours.columns != theirs.columns or not ours["id"].equals(theirs["id"]):
    sys.exit(f"other labels or columns: {ours.shape} {ours.columns}, {theirs.shape} {theirs.columns}")
left, right = pl.col("left"), pl.col("right")
near = (left - right).abs() <= 1e-12 * pl.max_horizontal(left.abs(), right.abs())
for name in ours.columns:
    frame = pl.DataFrame({"id": ours["id"], "left": ours[name], "right": theirs[name].cast(ours[name].dtype)})
    same = left.eq_missing(right)
    if ours[name].dtype.is_float():
        same = same | near.fill_null(False)
    other = frame.filter(~same)
    if not other.is_empty():
        sys.exit(f"{name}: {len(other)} differ, as in (label, ours, theirs) {other.row(0)}")
