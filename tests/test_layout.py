"""The house rules a machine can hold: who imports whom, how long files are, how they open."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("web", "terminal", "jobs", "engine", "store", "wishes", "models", "formats")
CEILING = 400

# What each place may import of the studio, beside the hall. `formats` is pure, so anyone may.
# The worker is a process of its own: no room imports `engine`, `jobs` only names it to Python.
ALLOWED = {
    "hall": set(),
    "formats": set(),
    "models": {"formats"},
    "wishes": {"formats", "models"},
    "engine": {"formats", "models"},
    "store": {"formats", "models", "wishes"},
    "jobs": {"formats", "models", "wishes", "store"},
    "web": {"formats", "models", "wishes", "store", "jobs"},
    "terminal": {"formats", "models", "wishes", "store", "jobs"},
}
TORCH = {"torch", "diffusers", "transformers", "accelerate", "compel", "peft"}
FACE = {"gradio", "gradio_client", "fastapi", "starlette", "uvicorn"}
FILES = sorted(
    path
    for place in ("app.py", "studio", "bench", "starter", "tests")
    for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
)
STUDIO = [path for path in FILES if ROOT / "studio" in path.parents]


def place_of(path: Path) -> str:
    part = path.relative_to(ROOT / "studio").parts[0]
    return part if part in ROOMS else "hall"


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module or ""} | {f"{node.module}.{name.name}" for name in node.names}
    return found


@pytest.mark.parametrize("path", STUDIO, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_follows_the_arrows(path: Path) -> None:
    place = place_of(path)
    for name in imports_of(path):
        parts = name.split(".")
        room = parts[1] if parts[0] == "studio" and len(parts) > 1 and parts[1] in ROOMS else None
        if room and room != place:
            assert room in ALLOWED[place], f"{path} imports {name}"


@pytest.mark.parametrize("path", STUDIO, ids=lambda path: str(path.relative_to(ROOT)))
def test_torch_enters_through_the_engine_alone_and_gradio_through_the_web(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports_of(path)}
    if place_of(path) != "engine":
        assert not tops & TORCH
    if place_of(path) != "web":
        assert not tops & FACE


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_short_and_opens_by_saying_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "__init__.py":
        assert not text.strip(), "a package file is empty"
        return
    assert len(text.splitlines()) <= CEILING
    words = ast.get_docstring(ast.parse(text))
    assert words, f"{path} does not say what it does"
    assert len(words.splitlines()) <= 8


def test_only_settings_reads_the_environment() -> None:
    # Handing the environment on to a child process is not reading a setting.
    for path in STUDIO:
        text = path.read_text(encoding="utf-8")
        if path.name != "settings.py":
            assert "os.getenv" not in text, path
            assert "os.environ[" not in text or place_of(path) in ("engine", "web"), path


@pytest.mark.parametrize(("document", "option"), [("README.md", ["--rooms"]), ("docs/tree.md", [])])
def test_the_tree_is_shown_as_it_is(document: str, option: list[str]) -> None:
    tree = subprocess.run(
        [sys.executable, ROOT / "scripts" / "tree", *option], capture_output=True, text=True
    )
    shown = (ROOT / document).read_text(encoding="utf-8")
    assert tree.stdout and tree.stdout in shown, "run scripts/tree --write"
