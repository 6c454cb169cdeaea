"""Mutations of bytes for the tests that fuzz, and the seed of all of them: FUZZ_SEED."""

from __future__ import annotations

import faulthandler
import os
import random
import struct
import sys

SEED = int(os.environ.get("FUZZ_SEED") or 0)
INTERESTING = (0, 1, 0x7F, 0x80, 0xC0, 0xC2, 0xDA, 0xD9, 0xFE, 0xFF)
HANG_S = 120.0


def dice_of(what: str, number: int) -> random.Random:
    """Chance of one message, which its number and FUZZ_SEED give again."""
    return random.Random(f"{what} {number} of {SEED}" if SEED else f"{what} {number}")


def keep_watch() -> None:
    """End the process, with a trace, where what follows hangs."""
    faulthandler.dump_traceback_later(HANG_S, exit=True, file=sys.__stderr__)


def stop_watching() -> None:
    """What follows may take its time."""
    faulthandler.cancel_dump_traceback_later()


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Some bytes changed, moved, taken or added; early ones, where headers are, more often."""
    content = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 4, 16))):
        if not content:
            break
        reach = len(content) if dice.random() < 0.5 else min(len(content), 200)
        at, length = dice.randrange(reach), dice.choice((1, 1, 2, 4, 40, 400))
        kind = dice.randrange(8)
        if kind == 0:
            content[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            content[at] = dice.choice(INTERESTING)
        elif kind == 2:
            content[at : at + 2] = dice.choice((0, 1, 255, 65535, 60_000)).to_bytes(2, "big")
        elif kind == 3:
            content[at : at + 4] = struct.pack(dice.choice("<>") + "I", dice.getrandbits(32))
        elif kind == 4:
            del content[at : at + length]
        elif kind == 5:
            content[at:at] = content[at : at + length]
        elif kind == 6:
            content[at:at] = dice.randbytes(length)
        else:
            del content[dice.randrange(len(content)) :]
    return bytes(content)
