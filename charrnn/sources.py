"""Texts that every machine with Python already has, made into corpora."""

import sysconfig
import tokenize
from collections.abc import Callable
from pathlib import Path

from charrnn.errors import TextError, UsageError
from charrnn.files import failures_named, write_file


def python_reference() -> str:
    """The prose of Python's language reference, which ships with every CPython (0.45 MB)."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise TextError(
            "this Python comes without its reference manual (pydoc_data.topics)",
            "charrnn corpus build python-stdlib",
        ) from None
    return "\n\n".join(topics[topic].strip() for topic in sorted(topics)) + "\n"


def python_stdlib() -> str:
    """The sources of Python's standard library, sorted by path (about 30 MB)."""
    library = Path(sysconfig.get_path("stdlib"))
    sources = []
    for path in sorted(library.rglob("*.py"), key=lambda path: path.relative_to(library).parts):
        inside = path.relative_to(library).parts
        if {"site-packages", "dist-packages", "__pycache__"} & set(inside):
            continue
        try:
            with tokenize.open(path) as stream:  # honours the file's own encoding line
                sources.append(stream.read())
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue  # the library's tests keep files that are broken on purpose
    if not sources:
        raise TextError(
            f"{library}: this Python comes without its sources",
            "charrnn corpus build python-reference",
        )
    return "".join(source if source.endswith("\n") else source + "\n" for source in sources)


SOURCES: dict[str, Callable[[], str]] = {
    "python-reference": python_reference,
    "python-stdlib": python_stdlib,
}


def build(name: str, directory: Path) -> Path:
    """Write a source's text to `<directory>/<name>.txt`, durably; returns the path.

    Raises UsageError for an unknown name, TextError where the machine lacks the text.
    """
    if name not in SOURCES:
        raise UsageError(f"{name}: no such source", f"there are: {', '.join(SOURCES)}")
    text = SOURCES[name]()
    with failures_named(directory):
        directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.txt"
    write_file(path, text.encode())
    return path
