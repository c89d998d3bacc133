"""Write the lock files, or with `--check` say whether they are current.

`uv pip compile` keeps what is pinned already and adds only what the requirements ask for anew; `--upgrade`
takes the newest of everything. The locks hold hashes and no address of any index.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OPTIONS = (
    "--quiet",
    "--universal",
    "--python-version=3.11",
    "--generate-hashes",
    "--no-emit-index-url",
    "--no-header",
    "--no-annotate",
)
RUN = ("../pyproject.toml", "build.in", "--extra=edge", "--extra=cloud", "--extra=sim")
IMAGE = (*RUN, "--extra=s3", "--extra=otel", "--constraint=up.txt")
ALL = (*RUN, "--extra=s3", "--extra=sm", "--extra=otel", "--extra=dev", "--constraint=image.txt")
LOCKS = {
    "up.txt": RUN,
    "image.txt": IMAGE,
    "dev.txt": ALL,
    "node.txt": ("node.in",),
}


def main(words: list[str]) -> int:
    """Compile each lock in place; with `--check` fail if that changed one."""
    uv = Path(sys.executable).with_name("uv")
    stale = []
    for name, inputs in LOCKS.items():
        before = (HERE / name).read_text() if (HERE / name).exists() else ""
        upgrade = ["--upgrade"] if "--upgrade" in words else []
        subprocess.run([uv, "pip", "compile", *OPTIONS, *inputs, *upgrade, "-o", name], cwd=HERE, check=True)
        if (HERE / name).read_text() != before:
            stale.append(name)
            if "--check" in words:
                (HERE / name).write_text(before)
    if "--check" in words and stale:
        print(f"not current: {', '.join(stale)}; run `python requirements/compile.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
