"""A ground truth's list of images, and which of them are files of a folder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasksr_ros.errors import RecordingError
from tasksr_ros.evaluation.ground_truth import annotation_file
from tasksr_ros.evaluation.ids import ImageId, checked_id
from tasksr_ros.io.folders import in_order
from tasksr_ros.io.named_images import FolderMatch, NamedImages


@dataclass(frozen=True, eq=False)
class TruthImages:
    """What a COCO ground truth says of its images.

    Attributes:
        path: of the file.
        sha256: of the file.
        images: their COCO entries.
        categories: id by name.
        notes: what a user should know of it.
    """

    path: Path
    sha256: str
    images: list[dict[str, Any]]
    categories: dict[str, ImageId]
    notes: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path, notes: Sequence[str] = ()) -> TruthImages:
        """Read the images and categories of a COCO file, or of the one in a split's folder.

        Raises:
            RecordingError: if it is none, lists no images, or one id twice.
        """
        path = annotation_file(path)
        try:
            raw = path.read_bytes()
            data = json.loads(raw)
            images = [{**image, "id": _as_given(image["id"])} for image in data["images"]]
            named = [c for c in data.get("categories") or () if c.get("name")]
            categories = {str(c["name"]): _as_given(c["id"]) for c in named}
            if not images:
                raise ValueError("no images with ids")
        except OSError as error:
            raise RecordingError(f"ground truth {path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecordingError(
                f"ground truth {path} must be COCO JSON with images, got {error!r}"
            ) from None
        number, most = Counter(checked_id(i["id"]) for i in images).most_common(1)[0]
        if most > 1:
            raise RecordingError(f"{path}: image id {number!r} stands there more than once")
        return cls(path, hashlib.sha256(raw).hexdigest(), images, categories, tuple(notes))

    def folders(self, root: Path) -> list[FolderMatch]:
        """Folders at or below ``root`` that hold images of the ground truth.

        Raises:
            RecordingError: if none does, or it is not certain which image a file is.
        """
        names = [str(image.get("file_name") or "") for image in self.images]
        found = NamedImages(self.path, names).below(root)
        if not found:
            raise RecordingError(
                f"none of the {len(self.images)} images of {self.path} is in {root}: expected "
                f"files such as {names[0]!r}"
            )
        return found

    def files(self, root: Path) -> dict[Path, ImageId]:
        """Files at or below ``root`` that are images of the ground truth, in order, with their ids.

        Raises:
            RecordingError: as `folders` does.
        """
        return {
            file: self.images[match.positions[file.name]]["id"]
            for match in self.folders(root)
            for file in in_order(match.folder / name for name in match.positions)
        }

    def largest_id(self) -> int:
        """The largest id that is a number, 0 where none is."""
        ids = (checked_id(image["id"]) for image in self.images)
        return max((i for i in ids if isinstance(i, int)), default=0)


def _as_given(value: object) -> ImageId:
    """An id as the file writes it, for others who read both; raises ValueError if it is none."""
    if checked_id(value) is None:
        raise ValueError(f"id {value!r}")
    return value if isinstance(value, str) else int(str(checked_id(value)))
