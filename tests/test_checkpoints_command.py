"""charrnn checkpoints, end to end: list, show, verify and prune."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import charrnn
from test_cli import assert_error, imports, on_terminal

from charrnn.checkpoints import model_path, read_checkpoint, write_checkpoint


def checkpoints(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return charrnn("checkpoints", *arguments, **options)


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A checkpoint directory with two runs, to be changed: `cafe`, and `bistro` with five.

    Bistro's third is its best, and its last is unscored, as a stopped run's is.
    """
    directory = tmp_path / "checkpoints"
    shutil.copytree(trained, directory)
    record, weights = read_checkpoint(model_path(directory / "cafe", 40))
    (directory / "bistro").mkdir()
    for step, loss in (5, 3.0), (10, 2.5), (15, 1.0), (20, 2.0), (25, None):
        scores = {"train": {"nats_per_char": 2.0}}
        if loss is not None:
            scores["val"] = {"nats_per_char": loss, "bits_per_char": loss * 1.4427}
        written = replace(record, step=step, scores=scores)
        write_checkpoint(model_path(directory / "bistro", step), written, weights, {}, {})
    return directory


def steps(runs: Path, run: str) -> list[int]:
    return [int(path.name[5:13]) for path in sorted((runs / run).glob("step-????????.safetensors"))]


# List.


def rows(runs: Path, *arguments: object) -> list[dict[str, Any]]:
    done = checkpoints("list", "--checkpoint-dir", runs, "--json", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_list_is_json_by_the_names_of_the_design(runs: Path) -> None:
    found = rows(runs)
    assert [(row["run"], row["step"]) for row in found] == [
        *(("bistro", step) for step in (5, 10, 15, 20, 25)),
        *(("cafe", step) for step in (30, 40)),
    ]
    wanted = {"run", "checkpoint", "step", "model", "parameters", "nats_per_char"}
    wanted |= {"bits_per_char", "size", "age_seconds", "best"}
    for row in found:
        assert set(row) >= wanted
        path = Path(row["checkpoint"])
        assert row["size"] == path.stat().st_size
        assert row["parameters"] == read_checkpoint(path).record.parameters
    assert [row["step"] for row in found if row["best"]] == [15, min_step(found, "cafe")]
    assert found[4]["nats_per_char"] is None


def min_step(found: list[dict[str, Any]], run: str) -> int:
    best = min((row for row in found if row["run"] == run), key=lambda row: row["nats_per_char"])
    return int(best["step"])


def test_the_list_sorts(runs: Path) -> None:
    losses = [row["nats_per_char"] for row in rows(runs, "--sort", "loss")]
    assert losses == [*sorted(losses[:-1]), None]
    by_step = [row["step"] for row in rows(runs, "--sort", "step")]
    assert by_step == sorted(by_step)
    for path in (runs / "bistro").iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))
    assert [row["run"] for row in rows(runs, "--sort", "age")] == ["cafe"] * 2 + ["bistro"] * 5
    sizes = [row["size"] for row in rows(runs, "--sort", "size")]
    assert sizes == sorted(sizes)


def test_the_list_is_a_table_with_a_row_a_checkpoint(runs: Path) -> None:
    done = checkpoints("list", "--checkpoint-dir", runs)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split() for line in done.stdout.splitlines()]
    rows = [line for line in lines if line[:1] in (["bistro"], ["cafe"])]
    assert len(rows) == 7
    (best,) = [row for row in rows if row[0] == "bistro" and "best" in row]
    assert {"15", "gru", "2x24", "8,815", "1.0000"} <= set(best)


def test_the_list_reads_headers_alone(runs: Path) -> None:
    """Neither torch nor the weights: a file whose weights are gone is still listed."""
    for path in (runs / "cafe").glob("step-????????.safetensors"):
        header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
        size = path.stat().st_size
        os.truncate(path, header)
        os.truncate(path, size)
    loaded, done = imports("checkpoints", "list", "--checkpoint-dir", runs)
    assert done.stdout.count("cafe") == 2
    assert not loaded & {"torch", "safetensors"}


def test_the_list_of_nothing_says_so_on_stderr(tmp_path: Path) -> None:
    done = checkpoints("list", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "charrnn train" in done.stderr
    assert not list(tmp_path.iterdir())
    assert checkpoints("list", "--json", cwd=tmp_path).stdout == ""


def test_the_list_leaves_out_what_is_no_checkpoint(runs: Path) -> None:
    (runs / "notes.txt").write_text("mine")
    (runs / "empty").mkdir()
    (runs / "cafe" / ".writing-0123").write_bytes(b"half")
    assert {row["run"] for row in rows(runs)} == {"bistro", "cafe"}


def test_the_list_says_how_many_it_could_not_read(runs: Path) -> None:
    (runs / "cafe" / "step-00000050.safetensors").write_bytes(b"not one")
    (runs / "bistro" / "step-00000050.safetensors").write_bytes(b"")
    for arguments in [], ["--json"]:
        done = checkpoints("list", "--checkpoint-dir", runs, *arguments)
        assert done.returncode == 0
        assert "step-00000050" not in done.stdout
        assert done.stderr.startswith("warning: 2 unreadable; charrnn checkpoints verify")
        assert len(done.stderr.splitlines()) == 1


def test_a_list_80_columns_wide_has_what_tells_runs_apart(runs: Path) -> None:
    record, weights = read_checkpoint(model_path(runs / "cafe", 40))
    model = replace(record.settings, model="gru-reset-before")
    weights = {name: w for name, w in weights.items() if "bias_ih" not in name}
    (runs / "a-run-with-a-long-name").mkdir()
    path = model_path(runs / "a-run-with-a-long-name", 1_234_567)
    scores = {"val": {"nats_per_char": 1.25, "bits_per_char": 1.8}}
    written = replace(record, settings=model, step=1_234_567, scores=scores)
    write_checkpoint(path, written, weights, {}, {})
    shown = on_terminal("checkpoints", "list", NO_COLOR="1", CHARRNN_CHECKPOINTS=str(runs))
    assert {"run", "model", "step", "nats"} <= set(shown.screen.splitlines()[0].split())
    (row,) = [line.split() for line in shown.screen.splitlines() if "long-name" in line]
    wanted = ["a-run-with-a-long-name", "best", "gru-reset-before", "2x24", "1,234,567", "1.2500"]
    assert row[:6] == wanted


# Show.


def test_show_says_what_the_header_says(runs: Path) -> None:
    done = checkpoints("show", "bistro", "--checkpoint-dir", runs)
    assert (done.returncode, done.stderr) == (0, "")
    record = read_checkpoint(model_path(runs / "bistro", 15)).record
    for part in record.digest, "2 x 24 gru", "8,815", "67 characters", "cafe.txt":
        assert part in done.stdout


def test_show_is_one_json_object(runs: Path) -> None:
    done = checkpoints("show", "cafe", "--checkpoint-dir", runs, "--json")
    shown = json.loads(done.stdout)
    assert len(done.stdout.splitlines()) == 1
    record = read_checkpoint(Path(shown["checkpoint"])).record
    assert shown["digest"] == record.digest
    assert shown["scores"] == record.scores
    assert shown["vocabulary"]["characters"] == record.vocabulary.characters
    assert (shown["run"], shown["step"], shown["hidden_size"]) == ("cafe", record.step, 24)


def test_show_of_an_unknown_run_names_those_there_are(runs: Path) -> None:
    done = checkpoints("show", "hamlet", "--checkpoint-dir", runs)
    assert_error(done, 1, "hamlet", "bistro, cafe")


# Verify.


def test_verify_says_that_every_file_is_whole(runs: Path) -> None:
    done = checkpoints("verify", "--checkpoint-dir", runs)
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(line.split(": ") for line in done.stdout.splitlines())
    files = {path for path in runs.rglob("*") if path.suffix in (".safetensors", ".json")}
    assert {Path(path) for path in told} == files
    assert len(files) == 5 * 2 + 2 * 2 + 1
    kinds = ("model", "resume file", "the run's record")
    assert set(told.values()) == {f"whole ({kind})" for kind in kinds}


@pytest.mark.parametrize("kind", ["safetensors", "resume.safetensors"])
def test_verify_finds_a_flipped_byte_and_exits_1(kind: str, runs: Path) -> None:
    path = runs / "cafe" / f"step-00000040.{kind}"
    data = bytearray(path.read_bytes())
    data[-1000] ^= 1
    path.write_bytes(data)
    done = checkpoints("verify", "cafe", "--checkpoint-dir", runs)
    assert done.returncode == 1
    assert "hint: " in done.stderr
    lines = done.stdout.splitlines()
    (damaged,) = [line for line in lines if ": whole (" not in line]
    assert damaged.startswith(f"{path}: ")
    assert len(lines) == 5
    assert "1 of 5 files" in done.stderr


def test_verify_takes_a_mailed_file(runs: Path, tmp_path: Path) -> None:
    mailed = tmp_path / "mailed.safetensors"
    shutil.copy(runs / "cafe" / "step-00000040.safetensors", mailed)
    done = checkpoints("verify", mailed)
    assert (done.returncode, done.stdout) == (0, f"{mailed}: whole (model)\n")


def test_verify_of_nothing_at_all_is_not_passed_in_silence(tmp_path: Path) -> None:
    """A mistyped directory is not a verified one, and one without a run neither."""
    assert_error(checkpoints("verify", "--checkpoint-dir", tmp_path / "typo"), 1, "typo")
    assert_error(checkpoints("verify", "--checkpoint-dir", tmp_path), 1, str(tmp_path))
    assert_error(checkpoints("verify", tmp_path), 1, str(tmp_path))


def test_verify_of_an_unknown_name_is_an_error(runs: Path) -> None:
    assert_error(checkpoints("verify", "hamlet", "--checkpoint-dir", runs), 1, "hamlet")


def test_checkpoints_with_headers_of_any_length_are_whole(runs: Path, tmp_path: Path) -> None:
    """A file begins with its header's length, which must not look like another format."""
    record, weights = read_checkpoint(model_path(runs / "cafe", 40))
    (tmp_path / "many" / "run").mkdir(parents=True)
    for number in range(32):
        files = [{"name": "x" * 8 * number, "bytes": 1, "sha256": ""}]
        written = replace(record, step=number, corpus=record.corpus | {"files": files})
        path = model_path(tmp_path / "many" / "run", number)
        write_checkpoint(path, written, weights, {"carried": weights["output.bias"]}, {})
    done = checkpoints("verify", "--checkpoint-dir", tmp_path / "many")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("whole (model)") == done.stdout.count("whole (resume file)") == 32


# Prune.


def test_prune_keeps_the_best_and_the_newest(runs: Path) -> None:
    done = checkpoints("prune", "bistro", "--yes", "--checkpoint-dir", runs)
    assert done.returncode == 0
    assert steps(runs, "bistro") == [15, 25]
    assert steps(runs, "cafe") == [30, 40], "not asked for"
    assert "removed" in done.stdout
    assert checkpoints("verify", "--checkpoint-dir", runs).returncode == 0


def test_prune_keeps_as_many_more_as_asked_for(runs: Path) -> None:
    checkpoints("prune", "bistro", "--yes", "--keep", 1, "--checkpoint-dir", runs)
    assert steps(runs, "bistro") == [15, 20, 25]
    names = {path.name for path in (runs / "bistro").glob("*.resume.safetensors")}
    assert names == {"step-00000020.resume.safetensors", "step-00000025.resume.safetensors"}


def test_prune_without_a_terminal_removes_nothing(runs: Path) -> None:
    before = sorted(path for path in runs.rglob("*"))
    done = checkpoints("prune", "--checkpoint-dir", runs, input="y\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert "--yes" in done.stderr
    assert sorted(path for path in runs.rglob("*")) == before


@pytest.mark.parametrize(("answer", "left"), [("y", [15, 25]), ("n", [5, 10, 15, 20, 25])])
def test_prune_asks_on_a_terminal(answer: str, left: list[int], runs: Path) -> None:
    keys = [("[y/N]", f"{answer}\n")]
    shown = on_terminal("checkpoints", "prune", "bistro", "--checkpoint-dir", runs, keys=keys)
    assert shown.code == 0
    assert shown.screen.count("[y/N]") == 1
    assert "7 files" in shown.screen
    assert steps(runs, "bistro") == left


def test_prune_of_a_run_being_trained_says_to_try_again(runs: Path) -> None:
    import fcntl

    with open(runs / "bistro" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = checkpoints("prune", "bistro", "--yes", "--checkpoint-dir", runs)
    assert_error(done, 75, "bistro")
    assert steps(runs, "bistro") == [5, 10, 15, 20, 25]


def test_prune_of_an_unknown_run_is_an_error(runs: Path) -> None:
    assert_error(checkpoints("prune", "hamlet", "--yes", "--checkpoint-dir", runs), 1, "hamlet")
