"""Ten checks on a Parquet file: contract_peer.py pandera|great_expectations INPUT

Reading is not measured. The checks: three not null, unique, two ranges, a set, a pattern, row count, mean.
"""

import json
import resource
import sys
import time

tool, path = sys.argv[1:]
STATUS = ["paid", "open", "sent", "returned", "cancelled"]
EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"


def pandera():
    import pandera.polars as pa
    import polars as pl

    frame = pl.read_parquet(path)
    schema = pa.DataFrameSchema(
        {
            "order_id": pa.Column(pl.Int64, unique=True, nullable=False),
            "customer_id": pa.Column(pl.Int64, nullable=False),
            "amount": pa.Column(pl.Float64, pa.Check.in_range(0, 100_000)),
            "quantity": pa.Column(pl.Int32, pa.Check.in_range(1, 10)),
            "status": pa.Column(pl.String, pa.Check.isin(STATUS)),
            "email": pa.Column(pl.String, pa.Check.str_matches(EMAIL)),
            "ordered_at": pa.Column(nullable=False),
        },
        checks=[
            pa.Check(lambda data: data.lazyframe.select(pl.len() >= 1)),
            pa.Check(lambda data: data.lazyframe.select(pl.col("amount").mean().is_between(1, 10_000))),
        ],
    )

    def run():
        try:
            schema.validate(frame, lazy=True)
        except pa.errors.SchemaErrors:
            pass

    return run


def great_expectations():
    import great_expectations as gx
    import pandas as pd

    frame = pd.read_parquet(path)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = context.data_sources.add_pandas("frames").add_dataframe_asset("orders")
    definition = batch.add_batch_definition_whole_dataframe("all")
    e = gx.expectations
    suite = gx.ExpectationSuite(
        name="orders",
        expectations=[
            e.ExpectColumnValuesToNotBeNull(column="order_id"),
            e.ExpectColumnValuesToNotBeNull(column="customer_id"),
            e.ExpectColumnValuesToNotBeNull(column="ordered_at"),
            e.ExpectColumnValuesToBeUnique(column="order_id"),
            e.ExpectColumnValuesToBeBetween(column="amount", min_value=0, max_value=100_000),
            e.ExpectColumnValuesToBeBetween(column="quantity", min_value=1, max_value=10),
            e.ExpectColumnValuesToBeInSet(column="status", value_set=STATUS),
            e.ExpectColumnValuesToMatchRegex(column="email", regex=EMAIL),
            e.ExpectTableRowCountToBeBetween(min_value=1),
            e.ExpectColumnMeanToBeBetween(column="amount", min_value=1, max_value=10_000),
        ],
    )
    validation = context.validation_definitions.add(
        gx.ValidationDefinition(name="orders", data=definition, suite=context.suites.add(suite))
    )
    return lambda: validation.run(batch_parameters={"dataframe": frame})


run = {"pandera": pandera, "great_expectations": great_expectations}[tool]()
run()
started = time.perf_counter()
run()
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
