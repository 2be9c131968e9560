"""A process that plans runs for pages, which know no torch: `python -m iclviz.planning` reads a spec as JSON from each
line of its input, and answers each with a line: the plan, or why there is none. Torch is loaded and the machine is
measured once. It ends with whoever started it, or after some minutes without a question.
"""

import json
import os
import select
import sys

from iclviz.errors import UserError
from iclviz.spec import RunSpec

IDLE_SECONDS = 300.0


def answer(line: str) -> str:
    """The plan of the spec in a line, on this machine alone."""
    from iclviz.planning.devices import THIS
    from iclviz.planning.planned import planned
    from iclviz.planning.words import lines

    try:
        plan = planned(RunSpec.from_dict(json.loads(line)), on=THIS)
    except UserError as error:
        return json.dumps({"problem": str(error)})
    return json.dumps({**plan.to_dict(), "lines": lines(plan)})


def main() -> None:
    """Answer until the input ends."""
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.readline()
        if not line:
            return
        try:
            print(answer(line), flush=True)
        except BrokenPipeError:  # whoever asked has gone; nothing is left to say, nor to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return


if __name__ == "__main__":
    main()
