"""The machine: as many threads as this process may use, and a device that is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from charrnn import machine
from charrnn.errors import UsageError

V2 = "/sys/fs/cgroup/cpu.max"
V1_QUOTA = "/sys/fs/cgroup/cpu/cpu.cfs_quota_us"
V1_PERIOD = "/sys/fs/cgroup/cpu/cpu.cfs_period_us"

Cgroup = Callable[[dict[str, str]], None]


@pytest.fixture
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cgroup:
    """A machine of 64 processors, with the cgroup files that are passed and no SLURM."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(machine, "Path", lambda path: tmp_path / path.lstrip("/"))

    def place(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return place


def test_this_machine_has_processors() -> None:
    assert 1 <= machine.processors() <= (os.cpu_count() or 1)


def test_the_affinity_mask_is_obeyed(cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.processors() == 64
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 5, 9}, raising=False)
    assert machine.processors() == 3


def test_where_there_is_no_affinity_mask_all_processors_count(
    cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert machine.processors() == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.processors() == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({V2: "400000 100000\n"}, 4),
        ({V2: "150000 100000\n"}, 2),  # one and a half
        ({V2: "50000 100000\n"}, 1),
        ({V2: "max 100000\n"}, 64),
        ({V2: "9900000 100000\n"}, 64),
        ({V2: ""}, 64),
        ({V1_QUOTA: "300000\n", V1_PERIOD: "100000\n"}, 3),
        ({V1_QUOTA: "-1\n", V1_PERIOD: "100000\n"}, 64),
        ({V1_QUOTA: "300000\n"}, 64),
        ({V2: "200000 100000\n", V1_QUOTA: "500000\n", V1_PERIOD: "100000\n"}, 2),
        ({}, 64),
    ],
)
def test_the_cgroups_limit_is_obeyed(files: dict[str, str], expected: int, cgroup: Cgroup) -> None:
    cgroup(files)
    assert machine.processors() == expected


@pytest.mark.parametrize(
    ("count", "expected"), [("8", 8), ("1", 1), ("128", 64), ("", 64), ("all", 64), ("0", 1)]
)
def test_slurms_count_is_obeyed(
    count: str, expected: int, cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", count)
    assert machine.processors() == expected


@pytest.mark.parametrize(
    ("mask", "quota", "slurm", "expected"), [(3, 5, 7, 3), (7, 3, 5, 3), (5, 7, 3, 3)]
)
def test_the_least_of_the_three_counts(
    mask: int,
    quota: int,
    slurm: int,
    expected: int,
    cgroup: Cgroup,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(mask)), raising=False)
    cgroup({V2: f"{quota}00000 100000\n"})
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", str(slurm))
    assert machine.processors() == expected


# Devices and precisions


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make torch say that these devices, and only these, are there besides the cpu."""

    def present(*names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return present


@pytest.mark.parametrize(
    ("present", "best"),
    [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("cuda", "mps"), "cuda")],
)
def test_auto_is_the_fastest_device_there_is(
    present: tuple[str, ...], best: str, devices: Callable[..., None]
) -> None:
    devices(*present)
    assert machine.choose_device("auto") == best


def test_a_device_that_is_asked_for_is_used(devices: Callable[..., None]) -> None:
    devices("cuda", "mps")
    for wanted in "cpu", "cuda", "mps":
        assert machine.choose_device(wanted) == wanted


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_and_those_that_are_named(
    wanted: str, devices: Callable[..., None]
) -> None:
    devices()
    with pytest.raises(UsageError, match=f"--device {wanted}: ") as caught:
        machine.choose_device(wanted)
    assert caught.value.hint == "here: cpu"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": False}, False),
        ({}, False),  # as on ARM
    ],
)
def test_a_processor_gets_bf16_only_where_it_multiplies_it(
    capabilities: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert machine.multiplies_bf16("cpu") is expected


@pytest.mark.parametrize("native", [True, False])
def test_a_gpu_gets_bf16_only_where_it_is_no_emulation(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert machine.multiplies_bf16("cuda") is native


def test_metal_gets_fp32() -> None:
    assert not machine.multiplies_bf16("mps")
