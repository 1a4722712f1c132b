"""Sends events and reads the features that follow them: stream_check.py HOST:PORT EVENTS PROBES

Prints how many events per second came from the first request into features, and percentiles of the seconds from the answer to an
event until a read has it, while 20,000 others a second arrive. Ends badly when features do not have every event.
"""

import datetime
import http.client
import json
import random
import sys
import threading
import time

address, events, probes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
KEYS = 100_000
LINES = 5_000
SENDERS = 4
BACKGROUND_PER_SECOND = 20_000


class Connection:
    def __init__(self):
        self.http = http.client.HTTPConnection(address, timeout=120)

    def post(self, path, body, kind="application/json"):
        while True:
            self.http.request("POST", path, body, {"content-type": kind})
            answer = self.http.getresponse()
            text = answer.read()
            if answer.status == 429:
                time.sleep(float(answer.headers.get("retry-after", "1")))
                continue
            if answer.status not in (200, 202):
                sys.exit(f"{path}: {answer.status} {text.decode()[:500]}")
            return text

    def clicks(self, customer):
        body = json.dumps({"features": ["clicks.count_30d"], "entities": {"customer_id": [customer]}})
        answer = json.loads(self.post("/v1/features/read", body))
        return answer["columns"]["clicks.count_30d"]["values"][0]


def line(customer, at):
    return json.dumps({"customer_id": customer, "at": at, "amount": random.randrange(10_000) / 100})


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def body(lines):
    at = now()
    return "\n".join(line(random.randrange(KEYS), at) for _ in range(lines)).encode()


bodies = [body(LINES) for _ in range(20)]
requests = events // LINES
place = threading.Lock()
sent = 0


def send():
    global sent
    connection = Connection()
    while True:
        with place:
            if sent >= requests:
                return
            sent += 1
            number = sent
        connection.post("/v1/ingest/clicks", bodies[number % len(bodies)], "application/x-ndjson")


def wait(connection, customer, count):
    deadline = time.perf_counter() + 300
    while connection.clicks(customer) != count:
        if time.perf_counter() > deadline:
            sys.exit(f"customer {customer} has {connection.clicks(customer)} events after five minutes")


connection = Connection()
started = time.perf_counter()
senders = [threading.Thread(target=send) for _ in range(SENDERS)]
[sender.start() for sender in senders]
[sender.join() for sender in senders]
accepted = time.perf_counter() - started
connection.post("/v1/ingest/clicks", line(KEYS, now()).encode())
wait(connection, KEYS, 1)
per_second = requests * LINES / (time.perf_counter() - started)

stop = threading.Event()


def background():
    connection = Connection()
    beat = 0.01
    lines = int(BACKGROUND_PER_SECOND * beat)
    following = time.perf_counter()
    while not stop.is_set():
        connection.post("/v1/ingest/clicks", body(lines), "application/x-ndjson")
        following += beat
        time.sleep(max(0.0, following - time.perf_counter()))


others = threading.Thread(target=background)
others.start()
time.sleep(1)
seconds = []
for number in range(probes):
    customer = KEYS + 1 + number
    connection.post("/v1/ingest/clicks", line(customer, now()).encode())
    answered = time.perf_counter()
    wait(connection, customer, 1)
    seconds.append(time.perf_counter() - answered)
stop.set()
others.join()
seconds.sort()
print(
    json.dumps(
        {
            "per_second": per_second,
            "accepted_per_second": requests * LINES / accepted,
            "p50": seconds[probes // 2],
            "p99": seconds[probes * 99 // 100],
        }
    )
)
