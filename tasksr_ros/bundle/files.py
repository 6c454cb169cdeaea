"""Bundles by name or folder, and their files, checked by hash."""

from __future__ import annotations

import difflib
from pathlib import Path

from tasksr_ros.bundle.description import Bundle, SuperResolutionBundle
from tasksr_ros.bundle.on_disk import DESCRIPTION, check_file, check_hash, sha256
from tasksr_ros.bundle.schema import described
from tasksr_ros.errors import BundleError
from tasksr_ros.io import safe_yaml
from tasksr_ros.share import share_folders


def models_folders() -> list[Path]:
    """Folders of shipped bundles: the checkout's ``models``, or the installed package's."""
    return [models for folder in share_folders() if (models := folder / "models").is_dir()]


def shipped_bundles() -> list[Path]:
    """Folders of the bundles that come with the package, by name."""
    found = {
        path.parent.name: path.parent
        for folder in reversed(models_folders())
        for path in folder.glob(f"*/{DESCRIPTION}")
    }
    return [found[name] for name in sorted(found)]


def find_bundle(path_or_name: str | Path, *, detecting: bool = False) -> Path:
    """Return the folder of a bundle given by path or by a shipped bundle's name.

    Args:
        path_or_name: the folder or the name.
        detecting: whether only bundles with a detector serve.

    Raises:
        BundleError: if there is none; the shipped ones that serve are named.
    """
    if (Path(path_or_name) / DESCRIPTION).is_file():
        return Path(path_or_name)
    shipped = {path.name: path for path in shipped_bundles()}
    if str(path_or_name) in shipped:
        return shipped[str(path_or_name)]
    fit = [name for name, folder in shipped.items() if not detecting or _has_detector(folder)]
    nearest = difflib.get_close_matches(str(path_or_name), fit, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    raise BundleError(
        f"no bundle {str(path_or_name)!r}: expected a folder with {DESCRIPTION}, or one of the "
        f"shipped bundles: {', '.join(fit) or 'none'}{hint}"
    )


def _has_detector(folder: Path) -> bool:
    """As its description says, of which nothing else is checked."""
    return "\ndetector:" in (folder / DESCRIPTION).read_text(encoding="utf-8")


def load_bundle(path_or_name: str | Path) -> Bundle:
    """Read the description of a bundle for the engines and verify its files' hashes.

    Raises:
        BundleError: if it is missing, malformed or without a detector, or the files are not
            the described ones.
    """
    bundle = load_any_bundle(find_bundle(path_or_name, detecting=True))
    if not isinstance(bundle, Bundle):
        network = bundle.sr.network if bundle.sr else "nothing"
        shipped = [folder.name for folder in shipped_bundles() if _has_detector(folder)]
        raise BundleError(
            f"{bundle.folder / DESCRIPTION}: expected a bundle with a detector, "
            f"got one of super-resolution alone ({network}); shipped ones with a detector: "
            f"{', '.join(shipped) or 'none'}"
        )
    return bundle


def load_any_bundle(path_or_name: str | Path) -> SuperResolutionBundle:
    """Read a bundle's description and verify its files' hashes.

    Returns:
        A `Bundle` where there is a detector.

    Raises:
        BundleError: if it is missing, malformed, or the files are not the described ones.
    """
    folder = find_bundle(path_or_name)
    path = folder / DESCRIPTION
    try:
        values = safe_yaml.load(path)
    except (OSError, safe_yaml.UnsafeYamlError) as error:
        raise BundleError(f"{path}: not readable: {error}") from None
    bundle = described(values, folder, path)
    for name, expected in bundle.files.items():
        check_file(folder / name)
        check_hash(folder / name, expected, sha256(folder / name))
    return bundle
