"""The house: each module imports only from the rows above it, and heavy guests stay out."""

import ast
import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import charrnn

HOUSE = Path(charrnn.__file__).parent

ROWS = (
    ("",),  # the package itself: its version
    ("errors",),
    ("seeds", "settings", "schedule", "files", "arrays", "beside", "intervals", "rows"),
    ("machine", "catalogue", "quasi"),
    ("cache", "locks", "reading", "cells", "download", "writing"),
    ("guess", "damage"),
    ("unreadable",),
    ("tokenizer", "stored", "diagnosis", "comparability", "fetch"),
    ("documents",),
    ("texts",),
    ("census", "batches"),
    ("encoded", "kinds"),
    ("corpus",),
    ("header",),
    ("sealed",),
    ("checkpoints",),
    ("run_record", "metrics"),
    ("runs",),
    ("pruning", "heldout", "distribution", "verification", "inplace"),
    ("original", "stream", "wanted"),
    ("transcript",),
    ("proof",),
    ("order", "spelling", "streams", "stretches", "utf8"),
    ("concordance", "continuation"),
    ("copies",),
    ("sampling", "bookmark"),
    ("prompts",),
    ("products", "buffers", "workers"),
    ("soap",),
    ("window",),
    ("unrolled", "unrolled_quasi"),
    ("compiled",),
    ("recurrence",),
    ("model",),
    ("optimizer",),
    ("guesses", "scores", "strips", "losses"),
    ("prices",),
    ("anatomy", "verbatim", "reliability", "passages"),
    ("where",),
    ("evaluation", "context", "dynamic", "gradients", "divergence", "ngram", "compressors"),
    ("tuning", "planning", "events", "baselines"),
    ("baseline_cache",),
    ("training_state",),
    ("recovery", "saver", "step"),
    ("training",),
    ("calibration", "explanation"),
    ("layout", "mojibake", "excerpts", "scripts"),
    ("problem",),
    ("survey",),
    ("character_problems", "layout_problems"),
    ("inheritance",),
    ("session", "sources", "verdict", "problems"),
    ("benchmark", "twins"),
    ("training_contenders", "learning_contenders", "textbook"),
    ("sampling_contenders",),
    ("training_benchmark", "learning_benchmark", "sampling_benchmark", "cold_start"),
    ("console",),
    ("lines", "paper"),
    ("dashboard",),
    ("signals",),
    ("commands", "commands.options", "commands.differences"),
    (
        "commands.fetch",
        "commands.keyboard",
        "commands.novelty",
        "commands.precision",
        "commands.verbatim",
        "commands.comparison",
        "commands.corpus_reading",
        "commands.corpus_survey",
        "commands.where",
        "commands.sitting",
        "commands.train_options",
        "commands.evaluate_options",
        "commands.sample_options",
        "commands.sample_prompts",
        "commands.measuring",
    ),
    ("commands.sample_output", "commands.context_table", "commands.dynamic_score"),
    ("commands.scoring", "commands.score_table"),
    ("commands.learning_run", "commands.learning_table"),
    (
        "commands.benchmark_training",
        "commands.benchmark_learning",
        "commands.benchmark_sampling",
    ),
    ("commands.benchmark",),
    (
        "commands.checkpoints",
        "commands.corpus",
        "commands.evaluate",
        "commands.sample",
        "commands.train",
    ),
    ("cli",),
    ("__main__",),
)
"""Modules of one row know nothing of each other."""

DRAWING = {"console", "dashboard"}
"""The modules that may use Rich and tqdm."""

COMPUTING = {
    "products",
    "buffers",
    "window",
    "unrolled",
    "unrolled_quasi",
    "compiled",
    "workers",
    "gradients",
    "recurrence",
    "soap",
    "model",
    "optimizer",
    "guesses",
    "evaluation",
    "context",
    "dynamic",
    "tuning",
    "training_state",
    "step",
    "training",
    "calibration",
    "twins",
    "training_contenders",
    "textbook",
    "session",
    "inheritance",
    "machine",
    "survey",
    "commands.evaluate",
}
"""The modules that may use torch."""


class Import(NamedTuple):
    """One module that another one imports, wherever in it."""

    importer: str
    imported: str
    line: int


def modules(package: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name, the package itself as ''."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module that can run: all but what stands under `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield other
                yield from running(other)
        else:
            yield node
            yield from running(node)


def imports(package: Path) -> list[Import]:
    """Every import in a package by full dotted name, those inside functions included.

    `from a import b` imports `a.b` where that is a module of the package, else `a`.
    """
    own = modules(package)
    found = []
    for importer, path in own.items():
        names: list[tuple[str, int]] = []
        for node in running(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names += [(alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    here = importer.split(".") if importer else []
                    above = node.level - (path.name == "__init__.py")
                    here = here[: len(here) - above]
                    base = ".".join(filter(None, [package.name, *here, base]))
                for alias in node.names:
                    inside = f"{base}.{alias.name}".removeprefix(f"{package.name}.")
                    names.append(
                        (f"{package.name}.{inside}" if inside in own else base, node.lineno)
                    )
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("import_module", "__import__")
            ):
                named = node.args[0] if node.args else None
                text = named.value if isinstance(named, ast.Constant) else "?"
                names.append((str(text), node.lineno))
        found += [Import(importer, name, line) for name, line in names]
    return found


def upward(package: Path, rows: Iterable[Iterable[str]]) -> list[Import]:
    """The imports within a package that do not come from a row above the importer's."""
    row = {name: number for number, names in enumerate(rows) for name in names}
    wrong = []
    for found in imports(package):
        top, _, inside = found.imported.partition(".")
        if top == package.name and row[inside] >= row[found.importer]:
            wrong.append(found)
    return wrong


def users(package: Path, *libraries: str) -> set[str]:
    """The modules of a package that import one of these libraries."""
    return {
        found.importer for found in imports(package) if found.imported.split(".")[0] in libraries
    }


def test_every_module_has_one_place_in_the_house() -> None:
    listed = [name for row in ROWS for name in row]
    assert sorted(listed) == sorted(modules(HOUSE))


def test_each_module_imports_only_from_the_rows_above_it() -> None:
    assert upward(HOUSE, ROWS) == []


def test_only_what_draws_knows_rich_and_tqdm() -> None:
    assert users(HOUSE, "rich", "tqdm") <= DRAWING


def test_only_what_computes_knows_torch() -> None:
    assert users(HOUSE, "torch") <= COMPUTING


# The tests above would notice


@pytest.fixture
def cottage(tmp_path: Path) -> Path:
    """A package of three rows, each of which imports rightly."""
    package = tmp_path / "cottage"
    (package / "rooms").mkdir(parents=True)
    for name, text in {
        "__init__.py": "__version__ = '1'\n",
        "cellar.py": "from cottage import __version__\n",
        "kitchen.py": "from cottage.cellar import wine\nfrom cottage import cellar\n",
        "rooms/__init__.py": "",
        "rooms/attic.py": "from .. import kitchen\nfrom ..cellar import wine\n",
    }.items():
        (package / name).write_text(text)
    return package


COTTAGE_ROWS = (("",), ("cellar", "rooms"), ("kitchen",), ("rooms.attic",))


def test_a_house_in_order_passes(cottage: Path) -> None:
    assert upward(cottage, COTTAGE_ROWS) == []


@pytest.mark.parametrize(
    "violation",
    [
        "from cottage.kitchen import stove",
        "from cottage import kitchen",
        "import cottage.kitchen",
        "import os, cottage.kitchen as below",
        "from . import kitchen",
        "from .kitchen import stove",
        "def cook():\n    from cottage import kitchen",
        "class Cook:\n    def cook(self):\n        import cottage.kitchen",
        "try:\n    from cottage.kitchen import stove\nexcept ImportError:\n    pass",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from cottage.kitchen import stove",
        "import importlib\nimportlib.import_module('cottage.kitchen')",
        "from cottage.cellar import wine",
    ],
)
def test_an_import_from_below_or_from_the_same_row_is_noticed(
    violation: str, cottage: Path
) -> None:
    (cottage / "cellar.py").write_text(violation + "\n")
    (wrong,) = upward(cottage, COTTAGE_ROWS)
    assert wrong.importer == "cellar"
    assert wrong.imported in ("cottage.kitchen", "cottage.cellar")


def test_a_relative_import_is_followed_from_where_it_stands(cottage: Path) -> None:
    (cottage / "rooms" / "__init__.py").write_text("from . import attic\n")
    (cottage / "cellar.py").write_text("from .rooms.attic import trunk\n")
    assert [(wrong.importer, wrong.imported) for wrong in upward(cottage, COTTAGE_ROWS)] == [
        ("cellar", "cottage.rooms.attic"),
        ("rooms", "cottage.rooms.attic"),
    ]


def test_what_only_a_type_checker_imports_is_free(cottage: Path) -> None:
    for test in "TYPE_CHECKING", "typing.TYPE_CHECKING":
        (cottage / "cellar.py").write_text(f"if {test}:\n    from cottage.kitchen import stove\n")
        assert upward(cottage, COTTAGE_ROWS) == []


@pytest.mark.parametrize(
    "violation",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import Tensor",
        "from torch.nn import functional",
        "def late():\n    import torch",
    ],
)
def test_a_heavy_guest_is_noticed(violation: str, cottage: Path) -> None:
    assert users(cottage, "torch") == set()
    (cottage / "kitchen.py").write_text(violation + "\n")
    assert users(cottage, "torch") == {"kitchen"}


def test_a_module_without_a_place_is_noticed(cottage: Path) -> None:
    (cottage / "garage.py").write_text("")
    assert "garage" in modules(cottage)


def test_the_house_that_is_read_is_the_one_that_runs() -> None:
    for name, path in modules(HOUSE).items():
        if name != "__main__":  # to import it is to run it
            module = importlib.import_module(".".join(filter(None, ["charrnn", name])))
            assert Path(module.__file__ or "") == path
