"""The command ``tasksr import-detector``: its options, and what they start."""

from __future__ import annotations

import argparse
from pathlib import Path

from tasksr_ros.errors import ConfigError
from tasksr_ros.networks.detectors.decoders import DECODERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What a detector's owner can say of it."""
    parser.add_argument("file", type=Path, help=".onnx, or OpenVINO's .xml beside its .bin")
    parser.add_argument(
        "--decoder", required=True, choices=tuple(DECODERS), help="what makes boxes of its outputs"
    )
    parser.add_argument(
        "--classes",
        default="coco",
        help="coco (80 names), coco91 (from 1 to 90) or a file with a name a line (%(default)s)",
    )
    parser.add_argument(
        "--keep", default="", metavar="NAME[,…]", help="classes that count (all of them)"
    )
    parser.add_argument(
        "--sr",
        default="none",
        help="what enlarges before it: none, bicubic, or a bundle with super-resolution "
        "(%(default)s)",
    )
    parser.add_argument("--scale-factor", type=float, default=2.0, help="of bicubic (%(default)s)")
    parser.add_argument(
        "--region",
        type=_size,
        metavar="WIDTHxHEIGHT",
        help="what it sees at once, px of the camera's image (its own size, or 640x384)",
    )
    parser.add_argument("--channels", choices=("rgb", "bgr"), help="(as usual for the decoder)")
    for name in ("mean", "std"):
        parser.add_argument(
            f"--{name}",
            type=float,
            nargs=3,
            metavar=("A", "B", "C"),
            help="of the channels, 0 to 255 (as usual for the decoder)",
        )
    parser.add_argument(
        "--score-threshold", type=float, default=0.3, help="least score (%(default)s)"
    )
    parser.add_argument(
        "--decoder-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the decoder, for example cell_offset=0; may be repeated",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the bundle")


def run(options: argparse.Namespace, command: str) -> None:
    """Import what the options say.

    Raises:
        TaskSRError: if the file or what was said of it does not serve.
    """
    from tasksr_ros.bundle.import_detector import Import, import_detector

    what = Import(
        file=options.file,
        decoder=options.decoder,
        classes=options.classes,
        out=options.out,
        keep=[name.strip() for name in options.keep.split(",") if name.strip()],
        sr=options.sr,
        scale_factor=options.scale_factor,
        region=options.region,
        channels=options.channels or "",
        mean=tuple(options.mean) if options.mean else None,
        std=tuple(options.std) if options.std else None,
        score_threshold=options.score_threshold,
        decoder_options=dict(_option(text) for text in options.decoder_option),
        command=command,
    )
    print(import_detector(what))


def _option(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier():
        raise ConfigError(f"decoder-option must be NAME=VALUE, got {text!r}")
    return name, value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in px, got {text!r}")
    return int(width), int(height)
