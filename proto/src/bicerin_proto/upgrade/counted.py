"""A number with what is counted, for the sentences that say what was upgraded."""


def counted(number: int, noun: str) -> str:
    """Return "1 layer" or "3 layers"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
