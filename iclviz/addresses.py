"""Addresses that a dashboard may be served on, and who reaches them."""

import ipaddress

from iclviz.errors import UserError
from iclviz.owner import Owner, owner_file


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_open(host: str, allowed: Owner) -> None:
    """Refuse to serve others without a password.

    Raises
    ------
    UserError: the address is reached by others, and nothing asks who they are.
    """
    if not is_loopback(host) and allowed.password is None and not allowed.logs_in:
        raise UserError(
            f"On {host} everyone who reaches this machine could use the dashboard, and nothing would ask who it is.",
            f'Write a password into {owner_file()}, as in: [dashboard] password = "...". Or serve on localhost, and '
            "reach it through ssh -L.",
        )
