"""Say what each training stage and each source of variance buys micro tokens, on the validation simulations of a finished run.

python examples/ablate_micro.py runs/micro --out docs/results/micro
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from probtokens.console import Console
from probtokens.data.atomic import replacing
from probtokens.pipeline.ablation import ablate_micro, ablation_table
from probtokens.pipeline.folder import RunFolder
from probtokens.screen import open_screen, say


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of examples/micro.yaml")
    parser.add_argument("--out", type=Path, default=Path("docs/results/micro"), help="folder that receives ablation.json and ablation.md")
    parser.add_argument("--field", help="field to score; that of the hot spots by default")
    parser.add_argument("--members", type=int, help="draws of each forecast; as in the run's recipe by default")
    parser.add_argument("--simulations", type=int, help="how many validation simulations, the first ones; all by default")
    args = parser.parse_args()

    with Console().stage("ablation") as progress:
        numbers = ablate_micro(RunFolder(args.run), field=args.field, members=args.members, simulations=args.simulations, progress=progress)
    texts = {
        "ablation.json": json.dumps(numbers, indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        "ablation.md": ablation_table(numbers),
    }
    for name, text in texts.items():
        with replacing(args.out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    say(open_screen(), texts["ablation.md"])


if __name__ == "__main__":
    main()
