"""Which network addresses may be told something: those of the open internet, unless more is allowed."""

import ipaddress
import socket
from collections.abc import Sequence

from asrwatch.errors import TemporaryError
from asrwatch.values import printable

__all__ = ["addresses_of", "check_addresses"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_LAST_32_BITS = 0xFFFFFFFF


def addresses_of(host: str, port: int) -> Sequence[str]:
    """Every address of a host, as the system's resolver tells them.

    Raises:
        OSError: it has none, or nobody can be asked.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def check_addresses(host: str, addresses: Sequence[str]) -> None:
    """Refuse a host of which any address is not one of the open internet.

    One of several is enough: who answers with both kinds wants the next question to be answered with the other.

    Raises:
        TemporaryError: code `private-address`, with what to do.
    """
    for address in addresses:
        if not _is_open(ipaddress.ip_address(address.partition("%")[0])):
            raise TemporaryError(
                f"{printable(host)} is at {printable(address)}, which is no address of the open internet; "
                "nothing was sent.",
                code="private-address",
                advice="If it is a receiver of your own, allow it with `private: true`.",
            )


def _is_open(address: _Address) -> bool:
    inner = _inside(address)
    if inner is not None and not _is_open(inner):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return False  # fec0::/10, which Python calls global
    return address.is_global and not address.is_multicast and not address.is_reserved


def _inside(address: _Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: mapped, 6to4, Teredo or NAT64."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & _LAST_32_BITS)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
