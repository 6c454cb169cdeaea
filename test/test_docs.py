"""What the documents name is there, and the first page stays one that is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "models/*/*.md", "training/study_models/*/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    named = re.findall(
        r"(?<![\w/.-])(?:test|benchmarks|scripts|config|training/configs)/[\w/.*-]+\.\w+", text
    )
    missing = [link for link in links if not (path.parent / link).exists()]
    missing += [name for name in named if not any(ROOT.glob(name))]
    assert not missing


def test_the_first_page_is_short() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert [line for line in lines if len(line) > 160] == []
