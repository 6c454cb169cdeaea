"""Networks that are one class with different arguments."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Family:
    """A class of networks and its named variants.

    Attributes:
        module: below ``tasksr_ros.networks``. Its ``VARIANTS`` are the arguments by name.
        cls: the class in it.
        names: of the variants.
    """

    module: str
    cls: str
    names: tuple[str, ...]

    def build(self, name: str, *first: Any, **options: Any) -> nn.Module:
        """A network with the variant's arguments after ``first``, or ``options`` in their place.

        Raises:
            ValueError: for options that the class lacks or refuses.
        """
        code = importlib.import_module(f"tasksr_ros.networks.{self.module}")
        network = getattr(code, self.cls)
        arguments = {**code.VARIANTS[name], **options}
        unknown = arguments.keys() - inspect.signature(network).parameters.keys()
        if unknown:
            raise ValueError(f"{name} has no options {', '.join(sorted(unknown))}")
        built: nn.Module = network(*first, **arguments)
        return built
