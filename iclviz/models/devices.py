"""Which device a run will use, found out without torch: pages need it to resolve a spec's default dtype."""

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/dxg"))


def device_kind(model_options: Mapping[str, Any]) -> Literal["cpu", "cuda"]:
    """The device's kind: "cuda" where the options name it, or a driver and a CUDA build of torch are there."""
    named = model_options.get("device")
    if named is not None:
        return "cuda" if str(named).startswith("cuda") else "cpu"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1")
    driver = any(path.exists() for path in DRIVERS)
    return "cuda" if driver and not hidden and _torch_has_cuda() else "cpu"


def _torch_has_cuda() -> bool:
    try:
        return not version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False
