"""A picture that was moved or renamed by hand goes back to where the history looks for it.

It is known by its bytes, wherever in the folder it lies and whatever it is called now.
"""

from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from sqlalchemy import select

from studio.store.files import Files
from studio.store.shelf import LOST, files_in
from studio.store.store import Store
from studio.store.tables import picture


def bring_home(store: Store, data: Path, missing: Collection[str]) -> None:
    """`missing` are the names of pictures that are not in their places."""
    wanted: dict[str, list[str]] = {}
    sizes, known, files = set[int](), set[str](), Files()
    with store.database.read() as connection:
        for path, mark, size in connection.execute(
            select(picture.c.path, picture.c.sha256, picture.c.bytes)
        ):
            known.add(path)
            if path in missing:
                wanted.setdefault(mark, []).append(path)
                sizes.add(size)
    for file in sorted(files_in(data, "pictures", LOST)) if wanted else ():
        if file.relative_to(data).as_posix() in known or file.stat().st_size not in sizes:
            continue
        if places := wanted.get(sha256(file.read_bytes()).hexdigest()):
            home = data / places.pop()
            files.make_folder(home.parent)
            files.replace(file, home)
            files.sync_folder(home.parent)
