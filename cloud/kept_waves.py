"""The waves of an installation, with the object store that its settings name."""

from collections.abc import Callable
from functools import cache

from cloud.objects.stores.filesystem import open_store
from cloud.settings import CloudSettings
from cloud.store.sealing import Sealer
from cloud.waves.service import ObjectPlace, Waves


def open_waves(settings: CloudSettings, sealer: Callable[[], Sealer]) -> Waves:
    """Nothing is opened before it is needed: who has no key can still work with what lies in the database."""

    @cache
    def place() -> ObjectPlace:
        return ObjectPlace(
            store=open_store(settings.objects),
            sealer=sealer(),
            is_folder=settings.objects.url.startswith("file:"),
            suite=settings.signatures,
        )

    return Waves(place)
