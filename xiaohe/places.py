"""Where the package keeps what it ships."""

from pathlib import Path

PACKAGE = Path(__file__).parent

ROADS = PACKAGE / "data" / "roads.geojson"
ROSTER = PACKAGE / "data" / "roster.json"
POLICY = PACKAGE / "data" / "policy.yaml"

DATA_DIR = Path(".xiaohe")
"""The default folder for what is kept while running: broker, logs."""
