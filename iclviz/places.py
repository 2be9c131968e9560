"""Where things lie on this disk: the checkout, the cache folder, the user's own folder."""

import os
from pathlib import Path


def checkout() -> Path | None:
    """The source checkout that this package is imported from; None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "pyproject.toml").is_file() and (root / "app.py").is_file() else None


def dashboard_folder() -> Path:
    """Where `app.py` lies: the checkout, or inside the installed package."""
    return checkout() or Path(__file__).parent / "dashboard"


def user_folder() -> Path:
    """The user's own folder for models and recordings, `~/.cache/iclviz`."""
    return Path.home() / ".cache" / "iclviz"


def cache_folder() -> Path:
    """`$ICLVIZ_CACHE`, else `cache/` of the checkout, else the user's own folder."""
    if named := os.environ.get("ICLVIZ_CACHE"):
        return Path(named).expanduser().resolve()
    root = checkout()
    return root / "cache" if root else user_folder()
