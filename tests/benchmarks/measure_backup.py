"""How fast a running system is backed up and restored, and what waiting for the journal costs each commit."""

import json
import signal
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from cloud.store.connection import connect
from tests.fixtures.services import short_home
from tests.qianli.backup.test_whole_backup import Installation, qianli

ROWS = 1_000_000
COMMITS = 200


def commit_ms(installation):
    """Median and 95th percentile of one durable audit entry."""
    with connect(installation.url) as connection:
        taken = []
        for _ in range(COMMITS):
            began = time.monotonic()
            installation.write_one(connection)
            taken.append((time.monotonic() - began) * 1000)
    return round(statistics.median(taken), 1), round(statistics.quantiles(taken, n=20)[18], 1)


def main():
    with short_home() as first, short_home() as second, TemporaryDirectory() as folder:
        installation = Installation(first)
        installation.begin()
        with connect(installation.url) as connection:
            connection.execute("SET statement_timeout = 0")
            connection.execute(
                "INSERT INTO observation (src, key, measured_at, value, unit, quality, received_at, "
                "sent_at, stored_at, late, lane, s) SELECT 's', 'spo2', to_timestamp(n), random(), '%%', "
                "'good', now(), now(), now(), false, 'live', n FROM generate_series(1, %s) AS n",
                (ROWS,),
            )
        alone = commit_ms(installation)
        backup = json.loads(qianli(first, "backup", f"{folder}/b.qlb").stdout)
        restore = json.loads(qianli(second, "restore", f"{folder}/b.qlb").stdout)
        following = qianli(first, "backup", f"{folder}/j", "--follow", background=True)
        following.stdout.readline()
        followed = commit_ms(installation)
        following.send_signal(signal.SIGTERM)
        following.communicate()
        installation.server.stop(signal.SIGQUIT)
        size_mb = Path(f"{folder}/b.qlb").stat().st_size / 1e6
        print(f"file {size_mb:.0f} MB")
        print(f"backup {backup['seconds']} s, {size_mb / backup['seconds']:.0f} MB/s")
        print(f"restore {restore['seconds']} s, {size_mb / restore['seconds']:.0f} MB/s")
        print(f"commit alone p50/p95 {alone} ms, with the journal {followed} ms")


if __name__ == "__main__":
    main()
