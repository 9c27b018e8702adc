"""Whose meaning holds, where providers mean different things by one name."""

from __future__ import annotations

from collections.abc import Mapping

from bicerin_proto.claim import Claim
from bicerin_proto.distribution import CAFFE


class Precedence:
    """The provider that was chosen; else Caffe; else the only one that does not give way.

    Args:
        providers: for a field that means different things ("roi_pooling_param", or "LayerParameter.roi_pooling_param"),
            the distribution whose meaning holds.
        giving_way: the distributions that give way to others.
    """

    def __init__(self, providers: Mapping[str, str], giving_way: frozenset[str]) -> None:
        self._providers = providers
        self._giving_way = giving_way

    def chosen(self, message: str, name: str) -> str | None:
        """Return whose meaning of a message's field somebody has chosen."""
        return self._providers.get(f"{message}.{name}", self._providers.get(name))

    def gives_way(self, claim: Claim) -> bool:
        """Tell whether others are right about what the claim's distribution brings too."""
        return claim.distribution in self._giving_way

    def natural_winner(self, meanings: list[list[Claim]]) -> str | None:
        """Return whose meaning holds where nobody has chosen: Caffe's, or the only one that does not give way."""
        if meanings[0][0].distribution == CAFFE:
            return CAFFE
        firm = [[claim.distribution for claim in claims] for claims in meanings]
        firm = [who for who in firm if not self._giving_way.issuperset(who)]
        return firm[0][0] if len(firm) == 1 else None
