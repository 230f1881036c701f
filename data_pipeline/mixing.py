"""How many examples each source gives, and in which order they come.

Shares are of the whole. What a source cannot give goes to the others in proportion to their shares; the
order spreads every source evenly over the file, so that any part of it is mixed like the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

Item = TypeVar("Item")


def tempered(shares: Mapping[str, float], temperature: float) -> dict[str, float]:
    """Shares to the power of 1/T, summing to 1; sources with share 0 stay out.

    Temperature sampling as in A. Conneau and G. Lample, "Cross-lingual Language Model Pretraining", 2019.
    """
    powered = {name: share ** (1 / temperature) for name, share in shares.items() if share > 0}
    total = sum(powered.values())
    return {name: share / total for name, share in powered.items()}


def allot(shares: Mapping[str, float], capacity: Mapping[str, int | None], total: int) -> dict[str, int]:
    """Whole numbers that sum to `total`, or to all there is where that is less.

    Args:
        shares: source → part of the whole; need not sum to 1.
        capacity: source → most that it can give; None: without limit.
        total: how many are wanted.

    Sources whose part is over their capacity give all they have; the rest goes to the others.
    """
    quotas = dict.fromkeys(shares, 0)
    open_shares = {name: share for name, share in shares.items() if share > 0}
    left = total
    while open_shares and left > 0:
        whole = sum(open_shares.values())
        full = [
            name
            for name, share in open_shares.items()
            if (limit := capacity.get(name)) is not None and limit <= left * share / whole
        ]
        if not full:
            quotas.update(_largest_remainder(open_shares, left))
            break
        for name in full:
            quotas[name] = capacity[name] or 0
            del open_shares[name]
        left = total - sum(quotas.values())
    return quotas


def _largest_remainder(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Hamilton's method: whole parts first, then one each to the largest fractions."""
    whole = sum(shares.values())
    exact = {name: total * share / whole for name, share in shares.items()}
    quotas = {name: int(part) for name, part in exact.items()}
    by_fraction = sorted(exact, key=lambda name: (quotas[name] - exact[name], name))
    for name in by_fraction[: total - sum(quotas.values())]:
        quotas[name] += 1
    return quotas


def interleave(
    streams: Mapping[str, Iterator[Item]], quotas: Mapping[str, int], shares: Mapping[str, float]
) -> Iterator[tuple[str, Item]]:
    """Take items so that every source is always as near to its quota as it can be.

    A stream that ends early leaves the rest of its quota to the others, in proportion to `shares`; a source
    that is not in `shares` neither leaves nor takes.
    """
    remaining = {name: quota for name, quota in quotas.items() if quota > 0}
    taken = dict.fromkeys(streams, 0)
    ended: set[str] = set()
    while remaining:
        # The source that is furthest behind its even pace comes next; names break ties.
        name = min(remaining, key=lambda n: ((taken[n] + 0.5) / (taken[n] + remaining[n]), n))
        try:
            item = next(streams[name])
        except StopIteration:
            ended.add(name)
            rest = remaining.pop(name)
            # A source that has filled its quota may have more to give.
            heirs = (
                {n: shares[n] for n in streams if n in shares and n not in ended} if name in shares else {}
            )
            for heir, more in allot(heirs, {}, rest).items():
                if more:
                    remaining[heir] = remaining.get(heir, 0) + more
            continue
        yield name, item
        taken[name] += 1
        remaining[name] -= 1
        if not remaining[name]:
            del remaining[name]
