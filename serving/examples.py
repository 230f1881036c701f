"""Requests and their answers as the OpenAPI document shows them; a test sends them to a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.reader import read_yaml

EXAMPLES: dict[str, dict[str, dict[str, Any]]] = read_yaml(Path(__file__).with_name("examples.yaml"))
"""Route → name → ``request`` and ``answer``."""
