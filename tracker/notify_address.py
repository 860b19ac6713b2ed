"""Which addresses a channel may connect to. Pure.

The check is made of the address that is really connected to, after every lookup: a name that resolves to another place
the second time, a decimal host, a mapped IPv6 address all end here.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# where machines in a cloud hand out credentials; the link-local ones are named to say why
_METADATA: frozenset[IPv4Address | IPv6Address] = frozenset(
    ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)  # fmt: skip
_NETWORKS: tuple[tuple[str, IPv4Network | IPv6Network], ...] = tuple(
    (name, ip_network(text))
    for name, text in (
        ("this network", "0.0.0.0/8"), ("shared by a provider (CGNAT)", "100.64.0.0/10"), ("reserved", "192.0.0.0/24"),
        ("reserved", "192.88.99.0/24"), ("for documentation", "192.0.2.0/24"), ("for documentation", "198.51.100.0/24"),
        ("for documentation", "203.0.113.0/24"), ("for documentation", "2001:db8::/32"), ("for documentation", "3fff::/20"), ("for benchmarks", "198.18.0.0/15"),
        ("reserved", "240.0.0.0/4"), ("site-local", "fec0::/10"), ("discarded", "100::/64"), ("reserved", "2001::/23"),
    )
)  # fmt: skip
_NAT64, _6TO4, _PUBLIC_6 = ip_network("64:ff9b::/96"), ip_network("2002::/16"), ip_network("2000::/3")


def refusal(host: str, private: bool = False) -> str | None:
    """Why nobody may connect to this numeric address, in a few words; None when it is fine.

    ``private``: the operator says that the receiver lies on this machine or in a private network.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return "it is no numeric address"
    address = _inner(address)
    if address in _METADATA:
        return "it is where a cloud keeps credentials"
    if address.is_unspecified:
        return "it is unspecified"
    if address.is_multicast:
        return "it is multicast"
    if private:
        return None
    if address.is_loopback:
        return "it is this machine"
    if address.is_link_local:
        return "it is link-local"
    named = next(
        (name for name, network in _NETWORKS if address.version == network.version and address in network), None
    )
    if named is not None:
        return f"it is {named}"
    if address.is_private:
        return "it is private"
    known = address.version == 4 or address in _PUBLIC_6
    return None if known and address.is_global and not address.is_reserved else "it is reserved"


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one carries, however it carries it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64 or (int(address) >> 32 == 0 and int(address) > 1):  # ::a.b.c.d, long out of use
            return IPv4Address(int(address) & 0xFFFFFFFF)
        if address in _6TO4 and address.sixtofour is not None:
            return address.sixtofour
    return address
