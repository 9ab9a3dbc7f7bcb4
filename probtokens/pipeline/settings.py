"""Keys of a recipe on the terminal: what :mod:`probtokens.config.reference` knows of them."""

from __future__ import annotations

import difflib

import rich.console

from probtokens.config.reference import Key, sections, training_stages
from probtokens.screen import next_step, open_screen, say

_STAGES = ".stages"


def describe_settings(key: str | None = None, screen: rich.console.Console | None = None) -> None:
    """Print the default and meaning of a key, of all keys of a section, or of all there are.

    Parameters
    ----------
    key
        Dotted path of a key or a section; all by default.
    screen
        Where to print; standard output by default.

    Raises
    ------
    ValueError
        If there is no such key; the message names one that is spelt alike.
    """
    screen = screen or open_screen()
    every = {".".join(filter(None, (section.path, known.name))): known for section in sections() for known in section.keys}
    chosen = {path: known for path, known in every.items() if not key or path == key or path.startswith(f"{key}.")}
    if not chosen:
        close = difflib.get_close_matches(str(key), names(), n=1, cutoff=0.5)
        raise ValueError(
            f"settings: expected a key or section of a recipe, got {key!r:.80}" + (f"; did you mean {close[0]!r}?" if close else "")
        )
    for path, known in chosen.items():
        _say_key(screen, path, known)
    if key in every and str(key).endswith(_STAGES):
        for kind in training_stages():
            say(screen, (f"{key}, objective {kind.path}", "bold"), f": {kind.summary.replace('`', '')}")
            for known in kind.keys:
                _say_key(screen, f"  {known.name}", known)
    example = next((path for path, known in chosen.items() if known.default and ".N" not in path), "seed")
    next_step(screen, f"probtokens run RECIPE --out DIR --set {example}=VALUE, or the same key in the recipe")


def names() -> list[str]:
    """All keys and sections."""
    paths = [section.path for section in sections() if section.path]
    return paths + [".".join(filter(None, (section.path, known.name))) for section in sections() for known in section.keys]


def _say_key(screen: rich.console.Console, path: str, known: Key) -> None:
    say(screen, (path, "bold"), f" = {known.default}" if known.default else " (required)")
    say(screen, f"    {known.what.replace('`', '')}")
