"""A chain of no-op tasks on Airflow, durable: dispatch_airflow.py TASKS

Each task waits for the one before it and does nothing. `dag.test()` runs them one after the other in this process and keeps runs and task
instances in SQLite: no scheduler, no API server and no process for each task, all of which a deployment adds. Making the
database and importing are not measured.
"""

import json
import logging
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

count = int(sys.argv[1])

DAG = """
from datetime import datetime, timezone

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

with DAG("chain", schedule=None, start_date=datetime(2024, 1, 1, tzinfo=timezone.utc)) as dag:
    before = None
    for number in range(COUNT):
        task = PythonOperator(task_id=f"a{number}", python_callable=lambda: None)
        if before is not None:
            before >> task
        before = task
"""

with tempfile.TemporaryDirectory() as folder:
    dags = pathlib.Path(folder, "dags")
    dags.mkdir()
    (dags / "chain.py").write_text(DAG.replace("COUNT", str(count)))
    os.environ.update(
        AIRFLOW_HOME=folder,
        AIRFLOW__CORE__DAGS_FOLDER=str(dags),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__LOGGING__LOGGING_LEVEL="ERROR",
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    )
    airflow = str(pathlib.Path(sys.executable).parent / "airflow")
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        subprocess.run([airflow, *command], check=True, stdout=subprocess.DEVNULL)
    sys.path.insert(0, str(dags))
    import chain

    logging.disable(logging.CRITICAL)
    started = time.perf_counter()
    run = chain.dag.test()
    seconds = time.perf_counter() - started
    assert run.state == "success", run.state
print(json.dumps({"seconds": seconds, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
