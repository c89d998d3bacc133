"""The served cloud, for those who ask it strange things."""

from tests.cloud.conftest import cloud_server

__all__ = ["cloud_server"]
