"""Waves with a real database and an object store in a folder."""

from pathlib import Path

import pytest

from cloud.objects.port import Place
from cloud.objects.stores.filesystem import open_store
from cloud.store.sealing import Sealer
from cloud.waves.service import ObjectPlace, Waves


@pytest.fixture
def sealer():
    return Sealer(b"k" * 32)


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def place(folder, sealer):
    return ObjectPlace(store=open_store(Place(url=folder.as_uri())), sealer=sealer)


@pytest.fixture
def waves(place):
    return Waves(lambda: place)
