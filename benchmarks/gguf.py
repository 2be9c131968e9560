"""How long a `.gguf` file takes to load: `python benchmarks/gguf.py FILE.gguf`.

The first load unpacks the weights and keeps them in the cache folder, here an empty one; the second and the third load
what was kept. Each is a process of its own, whose imports are not counted.
"""

import argparse
import os
import subprocess
import sys
import tempfile

LOAD = """
import sys, time
from iclviz.models.loading import load
from iclviz.models.locating import locate
memo = {}
start = time.perf_counter()
loaded = load(locate(sys.argv[1]), device="cpu", memo=memo)
print(time.perf_counter() - start, sum(one.numel() for one in loaded.model.parameters()))
"""
LEAST = 10
"""How many times faster later loads have to be."""


def seconds(file: str, cache: str) -> tuple[float, int]:
    environment = {**os.environ, "ICLVIZ_CACHE": cache}
    command = [sys.executable, "-W", "ignore", "-c", LOAD, file]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()
    return float(told[0]), int(told[1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a .gguf file of a whole language model")
    file = os.path.abspath(parser.parse_args().file)
    with tempfile.TemporaryDirectory() as cache:
        (first, parameters), *later = [seconds(file, cache) for _ in range(3)]
    fastest = min(one for one, _ in later)
    print(
        f"{os.path.basename(file)}: {os.path.getsize(file) / 1e6:.0f} MB, {parameters / 1e6:.0f}M parameters, float32"
    )
    print("| load | seconds |\n| --- | --- |")
    print(f"| first, unpacked | {first:.1f} |")
    for name, (taken, _) in zip(("second", "third"), later, strict=True):
        print(f"| {name} | {taken:.1f} |")
    print(f"Later loads are {first / fastest:.0f} times faster.")
    return first < LEAST * fastest


if __name__ == "__main__":
    sys.exit(main())
