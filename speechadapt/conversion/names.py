"""Names: what is called what in the output, each name once; on disk, so that millions need no memory."""

import re
import sqlite3
from types import TracebackType

LONGEST_NAME = 120
MEMORY = 32_768
"""Kibibytes that SQLite may keep in memory before it uses the disk."""


class Names:
    """Keys and their names by kind. Use as a context manager: what it keeps is gone afterwards."""

    def __init__(self) -> None:
        self.database = sqlite3.connect("", isolation_level=None)  # an empty name: a private file that SQLite removes itself
        for setting in (f"cache_size = -{MEMORY}", "journal_mode = OFF", "synchronous = OFF"):
            self.database.execute(f"PRAGMA {setting}")
        self.database.execute("CREATE TABLE named (kind TEXT, key TEXT, name TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID")
        self.database.execute("CREATE TABLE taken (kind TEXT, name TEXT, PRIMARY KEY (kind, name)) WITHOUT ROWID")
        self.database.execute("CREATE TABLE numbers (kind TEXT, name TEXT, number INTEGER, PRIMARY KEY (kind, name)) WITHOUT ROWID")
        self.database.execute("BEGIN")

    def __enter__(self) -> "Names":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.database.close()

    def note(self, kind: str, key: str) -> bool:
        """Remember a key; whether it is new."""
        return self.database.execute("INSERT OR IGNORE INTO taken VALUES (?, ?)", (kind, key)).rowcount == 1

    def count(self, kind: str) -> int:
        """How many keys of a kind were noted."""
        return int(self.database.execute("SELECT COUNT(*) FROM taken WHERE kind = ?", (kind,)).fetchone()[0])

    def name(self, kind: str, key: str, wanted: str) -> tuple[str, bool]:
        """The name of a key, and whether it was given just now: the wanted one, or with a number behind it where another key has it.

        Names that differ in case only count as the same, as they do on some disks.
        """
        known = self.database.execute("SELECT name FROM named WHERE kind = ? AND key = ?", (kind, key)).fetchone()
        if known is not None:
            return str(known[0]), False
        given = wanted
        while not self.note(f"name of {kind}", given.casefold()):
            given = f"{wanted}_{self._next(kind, wanted.casefold())}"
        self.database.execute("INSERT INTO named VALUES (?, ?, ?)", (kind, key, given))
        return given, True

    def _next(self, kind: str, wanted: str) -> int:
        """2, 3 and so on, kept so that a million equal names need not be counted through each time."""
        self.database.execute("INSERT OR IGNORE INTO numbers VALUES (?, ?, 1)", (kind, wanted))
        self.database.execute("UPDATE numbers SET number = number + 1 WHERE kind = ? AND name = ?", (kind, wanted))
        found = self.database.execute("SELECT number FROM numbers WHERE kind = ? AND name = ?", (kind, wanted))
        return int(found.fetchone()[0])


def plain_name(text: str, also: str = "-") -> str:
    """Letters and digits of ASCII, `_` and what `also` lists; anything else becomes `_`. Never empty, at most 120 characters."""
    return re.sub(rf"[^A-Za-z0-9_{re.escape(also)}]", "_", text)[:LONGEST_NAME] or "_"
