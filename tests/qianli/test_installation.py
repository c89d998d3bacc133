import asyncio
import shutil
from pathlib import Path

import pytest

from qianli.installation import accounts_in, watch_disk


async def test_a_disk_that_fills_and_empties_is_told_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    free_mb = iter([900, 150, 90, 800])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(free_mb) * 1_000_000))
    said: list[str] = []
    with pytest.raises(RuntimeError, match="StopIteration"):  # the series has ended
        await asyncio.wait_for(watch_disk(tmp_path, say=lambda zh, en: said.append(en), every_s=0), 5)
    assert said == [
        f"the disk of {tmp_path} has only 150 MB left and new data may not be stored: free some space",
        "the disk has 800 MB again",
    ]


def test_accounts_are_read_from_the_seeds_one_line() -> None:
    line = '{"accounts": [{"name": "doctor", "password": "x", "role": "clinician"}]}\n'
    assert accounts_in("noise\n" + line) == [{"name": "doctor", "password": "x", "role": "clinician"}]
    assert accounts_in("") == []
