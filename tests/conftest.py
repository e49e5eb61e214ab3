"""What the tests share: a small real text, runs to look at, and the installed command."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Property tests try the same examples everywhere; `make torture` has them try others.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")

# Tests run beside one another; more threads than processors would slow them all.
os.environ["OMP_NUM_THREADS"] = "1"
for variable in "CHARRNN_CHECKPOINTS", "NO_COLOR", "SLURM_CPUS_PER_TASK":
    os.environ.pop(variable, None)

ROOT = Path(__file__).parent.parent
SHIPPED = ROOT / "corpora" / "two-scripts.txt"
COMMAND = Path(sys.executable).with_name("charrnn")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept between runs is not kept in the user's home."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


Charrnn = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _numbers_near_0() -> None:
    """Training takes them for 0; no other test is to notice."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def english() -> str:
    """The Latin half of the shipped text, about 2,500 characters."""
    return SHIPPED.read_text(encoding="utf-8").split("第十一座桥边的茶馆")[0]


@pytest.fixture(scope="session")
def english_file(english: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file."""
    path = tmp_path_factory.mktemp("text") / "cafe.txt"
    path.write_text(english, encoding="utf-8")
    return path


def charrnn(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the installed command and return its exit code and streams, decoded."""
    settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run([COMMAND, *map(str, arguments)], **(settings | options))  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="session")
def trained(english_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint directory with one finished run, `cafe`, made by the installed command.

    Tests read it and leave it as it is.
    """
    directory = tmp_path_factory.mktemp("trained")
    done = charrnn(
        *("train", english_file, "--name", "cafe", "--checkpoint-dir", directory),
        *("--hidden-size", 24, "--embedding-size", 12, "--layers", 2),
        *(
            "--steps",
            40,
            "--checkpoint-steps",
            10,
            "--evaluation-steps",
            10,
            "--quiet",
            "--threads",
            1,
        ),
    )
    assert done.returncode == 0, done.stderr
    yield directory


@pytest.fixture(scope="module")
def small_products_are_packed() -> Iterator[None]:
    """Packing that is asked for is done, however small the product."""
    from charrnn import products

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "LEAST_PACKED", 0)
        yield


class Slices:
    """A text that knows its length and its slices of step 1, and how long those were."""

    def __init__(self, ids):
        self.ids = ids
        self.longest = 0

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, part):
        assert isinstance(part, slice)
        assert part.step is None
        assert 0 <= part.start <= part.stop <= len(self.ids)
        self.longest = max(self.longest, part.stop - part.start)
        return self.ids[part].copy()
