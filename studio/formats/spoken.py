"""How many of something, as one says it: `1 picture`, `2,000 pictures`. Pure."""


def counted(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
