"""The tables as they are now, for queries. How they came about is in `migrations`.

A test holds the two together on both databases.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Dialect,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Words(TypeDecorator[str]):
    """Text from anywhere, as both databases can hold it: no NUL, no half of a surrogate pair."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or (value.isascii() and "\x00" not in value):
            return value
        return value.replace("\x00", "?").encode(errors="replace").decode()


metadata = MetaData()
_Seq = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself there

job = Table(
    "job",
    metadata,
    Column("seq", _Seq, Identity(always=True), primary_key=True),
    Column("id", Words, nullable=False, unique=True),
    Column("batch", Words, index=True),
    Column("owner", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("model", Words, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("crashes", Integer, nullable=False, default=0),
    Column("token", Integer, nullable=False, default=0),
    Column("wish", JSON, nullable=False),
    Column("request", JSON, nullable=False),
    Column("warnings", JSON, nullable=False),
    Column("slot", Words),
    Column("error_code", Words),
    Column("error", Words),
    Column("timings", JSON, nullable=False, default=dict),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("finished_at", Double),
    Column("cancel_requested_at", Double),
    Column("moved_to", _Seq),  # the turn it was given instead of the one it came with
    Column("turn", _Seq, Computed("coalesce(moved_to, seq)")),
    Column("rerun_of", Words),  # the id of a picture, or the hash of an input
    CheckConstraint(
        "state IN ('queued', 'running', 'done', 'failed', 'cancelled')", name="job_state"
    ),
    sqlite_autoincrement=True,  # a number is never given twice
)
Index("job_line", job.c.state, job.c.priority.desc(), job.c.turn)
Index("job_owner", job.c.owner, job.c.seq)

job_event = Table(
    "job_event",
    metadata,
    Column("job_seq", _Seq, ForeignKey(job.c.seq), primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("from_state", Words),
    Column("to_state", Words, nullable=False),
    Column("token", Integer, nullable=False),
    Column("actor", Words, nullable=False),
    Column("note", Words, nullable=False),
)

picture = Table(
    "picture",
    metadata,
    Column("id", Words, primary_key=True),
    Column("job", Words, ForeignKey(job.c.id), nullable=False),
    Column("index", Integer, nullable=False),
    Column("path", Words, nullable=False),
    # A thumb is named after its picture without the ending, so this keeps both names apart.
    Column("thumb", Words, nullable=False, unique=True),
    Column("sha256", Words, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("format", Words, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("owner", Words, nullable=False),
    Column("model", Words, nullable=False),
    Column("prompt", Words, nullable=False),
    UniqueConstraint("job", "index"),
)
Index("picture_owner", picture.c.owner, picture.c.id)
Index("picture_content", picture.c.sha256)

input_picture = Table(
    "input",
    metadata,
    Column("hash", Words, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", Words, primary_key=True),
    Column("key", Words, primary_key=True),
    Column("body_hash", Words, nullable=False),
    Column("jobs", JSON, nullable=False),
    Column("created_at", Double, nullable=False, index=True),
)

# A file of many pictures, and which of its lines became which job.
bulk = Table(
    "bulk",
    metadata,
    Column("id", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("form", Words, nullable=False),
    Column("created_at", Double, nullable=False),
)

bulk_picture = Table(
    "bulk_picture",
    metadata,
    Column("bulk", Words, ForeignKey(bulk.c.id), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("line", Integer, nullable=False),
    Column("groups", JSON, nullable=False),
    Column("mark", Words, nullable=False, index=True),
    Column("job", Words, ForeignKey(job.c.id), nullable=False, index=True),
    Column("skipped", Boolean, nullable=False),
    Column("picture", Words),  # the one that is meant, where its job painted others beside it
)

# One row: the server that opened this database last.
instance = Table(
    "instance",
    metadata,
    Column("id", Words, primary_key=True),
    Column("host", Words, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Double, nullable=False),
)

# What is searched: a row of numbers for each picture, its words by their own numbers.

term = Table(
    "term",
    metadata,
    Column("id", _Seq, Identity(always=True), primary_key=True),
    Column("kind", Words, nullable=False),  # model, look, lora, tag…
    Column("text", Words, nullable=False),
    UniqueConstraint("kind", "text"),
)

entry = Table(
    "entry",
    metadata,
    Column("seq", _Seq, Identity(always=True), primary_key=True),
    Column("picture", Words, nullable=False, unique=True),  # kept when that is gone, see `state`
    Column("changed", BigInteger, nullable=False, index=True),  # rises with every write of entries
    Column("state", SmallInteger, nullable=False, default=0),  # 0 shown, 1 in the trash, 2 gone
    Column("owner", Integer, nullable=False),
    Column("model", Integer, nullable=False),
    Column("sampler", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("format", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("guidance", Integer, nullable=False),  # in thousandths: all here are whole numbers
    Column("seed", BigInteger, nullable=False),
    Column("rating", SmallInteger, nullable=False, default=0),
    Column("star", SmallInteger, nullable=False, default=0),
    Column("kept_at", BigInteger, nullable=False),  # in millionths of a second
    Column("trashed_at", Double),
    Column("family", BigInteger, nullable=False),  # the same words and settings but the seed
    Column("near", BigInteger),  # 64 bits of how it looks
    sqlite_autoincrement=True,
)
Index("entry_family", entry.c.family)
Index("entry_trash", entry.c.state, entry.c.trashed_at)

entry_term = Table(
    "entry_term",
    metadata,
    Column("seq", _Seq, ForeignKey(entry.c.seq), primary_key=True, autoincrement=False),
    Column("term", Integer, primary_key=True, autoincrement=False),
)
Index("entry_term_term", entry_term.c.term, entry_term.c.seq)

# From what a picture was painted: pictures of the history, or inputs by their hash.
came_from = Table(
    "came_from",
    metadata,
    Column("picture", Words, primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("role", Words, nullable=False),
    Column("source", Words, nullable=False, index=True),
)

# Which picture of the history an input is a plain copy of.
input_of = Table(
    "input_of",
    metadata,
    Column("hash", Words, primary_key=True),
    Column("picture", Words, primary_key=True, index=True),
)

collection = Table(
    "collection",
    metadata,
    Column("id", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("owner", "name"),
)

collected = Table(
    "collected",
    metadata,
    Column("collection", Words, ForeignKey(collection.c.id), primary_key=True),
    Column("picture", Words, primary_key=True, index=True),
    Column("place", Integer, nullable=False),
)

saved_search = Table(
    "saved_search",
    metadata,
    Column("id", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("q", Words, nullable=False),
    Column("sort", Words, nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("owner", "name"),
)

reference_set = Table(
    "reference_set",
    metadata,
    Column("id", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    Column("name", Words, nullable=False),
    Column("members", JSON, nullable=False),  # in their order: a picture or an input, and a weight
    Column("created_at", Double, nullable=False),
    UniqueConstraint("owner", "name"),
)

choice = Table(
    "choice",
    metadata,
    Column("id", Words, primary_key=True),
    Column("owner", Words, nullable=False),
    Column("winner", Words, nullable=False),
    Column("loser", Words, nullable=False),
    Column("created_at", Double, nullable=False),
)

# Files that are to go, written down with the end of their rows, so that a crash between leaves none
leaving = Table("leaving", metadata, Column("name", Words, primary_key=True))
