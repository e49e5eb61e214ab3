"""Sources: the same text from the same Python, every time, in an order that stays."""

import os
import pydoc_data.topics
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrnn import sources
from charrnn.errors import CharrnnError, TextError, UsageError
from charrnn.texts import read_text


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small standard library in place of this Python's."""
    directory = tmp_path / "lib"
    files: dict[str, bytes] = {
        "zipapp.py": b"# zipapp\n",
        "abc.py": b"# abc\n",
        "json/__init__.py": b"# json\n",
        "json/decoder.py": b"# json.decoder\n",
        "json-extra.py": b"# comes after json/\n",
        "latin.py": "# coding: latin-1\n# café\n".encode("latin-1"),
        "unended.py": b"# no newline at the end",
        "windows.py": b"# CR LF\r\n",
        "site-packages/numpy.py": b"# not the library's\n",
        "dist-packages/apt.py": b"# not the library's\n",
        "__pycache__/abc.py": b"# not a source\n",
        "test/bad_coding.py": b"# -*- coding: uft-8 -*-\n",
        "test/bad_bytes.py": b"# \xff\xfe\n",
        "notes.txt": b"not Python\n",
    }
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    monkeypatch.setattr(sysconfig, "get_path", {"stdlib": str(directory)}.__getitem__)
    return directory


def test_the_standard_library_is_its_sources_in_the_order_of_their_paths(library: Path) -> None:
    assert sources.python_stdlib() == (
        "# abc\n"
        "# json\n"
        "# json.decoder\n"
        "# comes after json/\n"
        "# coding: latin-1\n# café\n"
        "# no newline at the end\n"
        "# CR LF\n"
        "# zipapp\n"
    )


def test_the_order_is_not_that_of_the_file_system(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, rglob = sources.python_stdlib(), Path.rglob

    def backwards(self: Path, pattern: str) -> Iterator[Path]:
        yield from sorted(rglob(self, pattern), reverse=True)

    monkeypatch.setattr(Path, "rglob", backwards)
    assert sources.python_stdlib() == text


def test_a_python_without_its_sources_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(TextError, match="without its sources") as caught:
        sources.python_stdlib()
    assert "python-reference" in caught.value.hint


def test_the_reference_is_its_topics_in_alphabetical_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topics = {"while": "\n\nThe while statement\n***\n\n", "assert": "The assert statement\n"}
    monkeypatch.setattr(pydoc_data.topics, "topics", topics)
    assert sources.python_reference() == "The assert statement\n\nThe while statement\n***\n"


def test_a_python_without_its_reference_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(TextError, match="without its reference") as caught:
        sources.python_reference()
    assert "python-stdlib" in caught.value.hint


def test_the_reference_is_prose_enough_to_learn_from(tmp_path: Path) -> None:
    text = sources.python_reference()
    assert len(text) > 300_000
    assert "assert_stmt" in text
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_the_reference_is_the_same_in_every_process(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom charrnn.sources import build\n"
        "build('python-reference', Path(sys.argv[1]))\n"
    )
    for seed in "1", "2":
        subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / seed)],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            timeout=60,
        )
    one, other = (tmp_path / seed / "python-reference.txt" for seed in ("1", "2"))
    assert one.read_bytes() == other.read_bytes()


def test_what_is_built_is_a_text_under_its_name(tmp_path: Path) -> None:
    path = sources.build("python-reference", tmp_path / "some" / "corpora")
    assert path == tmp_path / "some" / "corpora" / "python-reference.txt"
    assert read_text(path) == sources.python_reference()
    assert list(path.parent.iterdir()) == [path]


def test_building_again_writes_the_same_file(library: Path, tmp_path: Path) -> None:
    first = sources.build("python-stdlib", tmp_path).read_bytes()
    assert sources.build("python-stdlib", tmp_path).read_bytes() == first


def test_an_unknown_source_is_refused_and_the_known_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="shakespeare") as caught:
        sources.build("shakespeare", tmp_path / "corpora")
    for name in sources.SOURCES:
        assert name in caught.value.hint
    assert not (tmp_path / "corpora").exists()


def test_a_text_that_is_not_there_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(TextError):
        sources.build("python-reference", tmp_path / "corpora")
    assert not (tmp_path / "corpora").exists()


@pytest.mark.parametrize("below", [".", "corpora"])
def test_a_directory_that_cannot_be_made_is_named(below: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(CharrnnError, match="file"):
        sources.build("python-reference", file / below)
    assert file.read_text() == "in the way"
