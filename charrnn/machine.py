"""What the machine offers: processor threads, a device, the precision it is good at."""

import contextlib
import os
import platform
from pathlib import Path

from charrnn.errors import UsageError


def processors() -> int:
    """How many processors this process may use.

    The least of the affinity mask, the cgroup's limit and SLURM's count.
    """
    try:
        counts = [len(os.sched_getaffinity(0))]
    except AttributeError:  # macOS has no affinity mask
        counts = [os.cpu_count() or 1]
    limit = _cgroup_limit()
    if limit:
        counts.append(limit)
    slurm = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if slurm.isdigit():
        counts.append(int(slurm))
    return max(1, min(counts))


def threads_a_product(count: int) -> None:
    """Have NumPy multiply with so many threads; to be called before it is imported.

    One is best where a matrix stays in one processor's cache, where other processes want
    the others, and where workers multiply side by side.
    """
    for library in "OPENBLAS", "MKL", "OMP", "VECLIB":
        suffix = "MAXIMUM_THREADS" if library == "VECLIB" else "NUM_THREADS"
        os.environ[f"{library}_{suffix}"] = str(count)


STREAMS_A_WORKER = 8
"""The fewest streams of a batch that are worth a thread of their own."""


DIVISIBLE = 2**21
"""The fewest weights of a model whose products for so few streams are worth dividing among
threads: these wait for one another at each, and long where another process has a processor."""


def workers(streams: int, threads: int) -> int:
    """How many workers share B streams where there are so many threads."""
    return max(1, min(threads, streams // STREAMS_A_WORKER))


def _cgroup_limit() -> int | None:
    """Whole processors by the cgroup's quota (version 2, then 1), rounded up."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return -(-int(quota) // int(period)) if int(quota) > 0 else None
    except ValueError:  # "max": no limit
        return None


def processor_name() -> str:
    """What the processor calls itself."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def choose_device(wanted: str) -> str:
    """The device that `--device` means; raises UsageError where it is not there."""
    import torch

    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if present[device])
    if not present.get(wanted, False):
        known = ", ".join(device for device, there in present.items() if there)
        raise UsageError(f"--device {wanted}: not on this machine", f"here: {known}")
    return wanted


def multiplies_bf16(device: str) -> bool:
    """Whether a device has instructions that multiply numbers of bfloat16."""
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return False


def has_matrix_units() -> bool:
    """Whether the processor multiplies tiles of bfloat16 (AMX)."""
    import torch

    return bool(torch.cpu.get_capabilities().get("amx_bf16"))
