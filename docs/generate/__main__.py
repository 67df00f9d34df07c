"""The command: write what is out of date, or only say what is.

`python -m docs.generate`           write every part; findings are measured on the demo's runs, made if missing
`python -m docs.generate --static`  only the parts that need no run
`python -m docs.generate --check`   change nothing; exit 1 and name the parts that are out of date
`python -m docs.generate --speed`   also measure docs/speed.md and scale.md again (minutes; run nothing else beside)
`python -m docs.generate --speed-trial`   only print a speed page of small sizes, to see that the measurement works
"""

from __future__ import annotations

import argparse
import json
import sys

from core.config.schema import FILE, spec_schema
from docs.generate.parts import PARTS, SCALE, SPEED, agree
from docs.generate.speed import measured


def main() -> int:
    """The exit code: 0, or 1 where --check finds a part that is out of date."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description="Write the generated parts of docs/.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a part is out of date")
    parser.add_argument("--static", action="store_true", help="only the parts that need no run")
    parser.add_argument(
        "--speed", action="store_true", help="also measure docs/speed.md and docs/scale.md again (minutes)"
    )
    parser.add_argument("--speed-trial", action="store_true", help="only print a speed page of small sizes")
    chosen = parser.parse_args()
    if chosen.speed_trial:
        sys.stdout.write(f"{measured(items=24, corpus_items=600, demo=False)}\n")
        return 0
    stale = 0
    for part in (*PARTS, *((SPEED, SCALE) if chosen.speed else ())):
        if chosen.static and part.needs_runs:
            continue
        new = part.make()
        if agree(part.read(), new):
            continue
        stale += 1
        sys.stderr.write(f"{part.page}, {part.name}: {'out of date' if chosen.check else 'written'}\n")
        if not chosen.check:
            part.write(new)
    schema = f"{json.dumps(spec_schema(), indent=1, ensure_ascii=False)}\n"
    if FILE.read_text(encoding="utf-8") != schema:
        stale += 1
        sys.stderr.write(f"{FILE.name}: {'out of date' if chosen.check else 'written'}\n")
        if not chosen.check:
            FILE.write_text(schema, encoding="utf-8")
    if chosen.check and stale:
        sys.stderr.write("next: make docs\n")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
