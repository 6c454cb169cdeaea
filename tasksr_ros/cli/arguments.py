"""Command lines made from configs, and how every command ends."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable
from typing import Any, get_origin

from tasksr_ros.errors import TaskSRError
from tasksr_ros.home import ensure_home
from tasksr_ros.options import Value, kind_of, walk, words_of
from tasksr_ros.replay.interrupts import interruptible


def add_config(
    parser: argparse.ArgumentParser, config_type: type, title: str = "configuration"
) -> None:
    """One option for each field of a config; none given leaves the default."""
    group = parser.add_argument_group(title)
    for name, type_, default, option in walk(config_type):
        several = get_origin(type_) is tuple
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else f"{default}"
        text = f"{option.description} ({shown})" if shown else option.description
        group.add_argument(
            f"--{name}",
            dest=f"config:{name}",
            type=_parser_of(kind_of(type_)),
            nargs="+" if several else None,
            choices=option.choices or None,
            metavar=None if option.choices else "VALUE",
            help=text.replace("%", "%%"),
        )


def given(options: argparse.Namespace, config_type: type) -> dict[str, Value]:
    """Fields of a config that were given as options, by full name."""
    found = {name: getattr(options, f"config:{name}") for name, *_ in walk(config_type)}
    return {name: value for name, value in found.items() if value is not None}


def exit_status(program: str, run: Callable[[], None]) -> int:
    """Run a command; returns its exit status. Errors of use are one line on stderr.

    A request to end (SIGINT, SIGTERM, SIGHUP) lets it finish the files that it writes.
    """
    ensure_home()
    try:
        with interruptible():
            run()
    except (TaskSRError, OSError) as error:
        print(f"{program}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"{program}: interrupted", file=sys.stderr)
        return 128 + int(next(iter(error.args), signal.SIGINT))
    return 0


def _parser_of(kind: Any) -> Callable[[str], Any]:
    if kind is bool:
        return _yes_or_no
    if words_of(kind):
        return _number_or_word
    return kind if kind in (int, float) else str


def _number_or_word(text: str) -> int | float | str:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def _yes_or_no(text: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.lower() not in known:
        raise argparse.ArgumentTypeError(f"expected true or false, got {text!r}")
    return known[text.lower()]
