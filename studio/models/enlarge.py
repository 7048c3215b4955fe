"""Enlarging alone, as a model of its own: it has no weights, and keeps its start image."""

from collections.abc import Mapping
from typing import Any

FAMILY = "enlarge"
NAME = "enlarge"
# What a card must say; none of it is seen, for this one is no choice of any page.
CARD: dict[str, Any] = {
    "name": NAME,
    "title": "Enlarging",
    "about": "Keeps a picture and makes it larger.",
    "family": FAMILY,
    "repo": "embedded:enlarge",
    "can": [],
    "steps": 1,
    "max_steps": 1,
    "guidance": 0,
    "samplers": [{"name": "none"}],
    "sizes": {"as it is": {"width": 64, "height": 64}},
    "min_side": 64,
    "max_side": 4096,
    "memory_gb": 2,  # x4plus, with all that lies between its blocks at 1024 x 1024
    "licence": "that of the upscaler",
}


def alone(request: Mapping[str, Any]) -> bool:
    """Whether a settled request paints nothing and only enlarges."""
    return bool(request["model"] == NAME)
