"""What only the owner of this machine may allow, in a file of his own: no link, recording, bundle or option does.

`$ICLVIZ_CONFIG`, else `~/.config/iclviz/config.toml`:

    trust_remote_code = ["org/name"]    # models whose own code may run here

    [dashboard]
    password = "..."                    # asks everyone for it; needed where others reach the dashboard
    login = "oidc"                      # or: Streamlit's own login, set up in its secrets.toml
    hosts = ["lab.example.org"]         # names under which the dashboard may be opened, besides its own address
"""

import os
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from iclviz import schemas
from iclviz.errors import UserError

MOST_BYTES = 2**20
_NAMES = schemas.list_of(schemas.text(4096, 1), 10_000)
SCHEMA = schemas.fields(
    {},
    {
        "trust_remote_code": _NAMES,
        "dashboard": schemas.fields(
            {}, {"password": schemas.text(1000, 8), "login": schemas.one_of("oidc"), "hosts": _NAMES}
        ),
    },
)


@dataclass(frozen=True)
class Owner:
    """The owner's configuration.

    Attributes
    ----------
    trusted: names of models whose own code may run.
    password: what the dashboard asks for; None is nothing.
    logs_in: whether Streamlit's own login is asked for.
    hosts: names under which the dashboard may be opened.
    """

    trusted: tuple[str, ...] = ()
    password: str | None = None
    logs_in: bool = False
    hosts: tuple[str, ...] = ()


def owner_file() -> Path:
    """Where the configuration lies, whether or not it is there."""
    named = os.environ.get("ICLVIZ_CONFIG")
    return Path(named).expanduser() if named else Path.home() / ".config" / "iclviz" / "config.toml"


def owner() -> Owner:
    """The owner's configuration; that of nobody where there is no file.

    Raises
    ------
    UserError: the file cannot be read, or says what it cannot say.
    """
    path = owner_file()
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Owner()
    except OSError as error:
        raise UserError(f"The configuration {path} cannot be read ({error.strerror}).", "Allow reading.") from error
    return _read(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, modified: int, size: int) -> Owner:
    try:
        if not path.is_file() or size > MOST_BYTES:
            raise ValueError("no small text file")
        settings: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        SCHEMA(settings)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"The configuration {path} is wrong ({error}).", "docs/security.md shows one.") from error
    dashboard = settings.get("dashboard", {})
    return Owner(
        trusted=tuple(settings.get("trust_remote_code", ())),
        password=dashboard.get("password"),
        logs_in="login" in dashboard,
        hosts=tuple(dashboard.get("hosts", ())),
    )
