"""Tells a picture that a killed server left without a row from one an older database forgot."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from studio.errors import DarkroomError
from studio.formats.read import own_recipe
from studio.store import jobs


def half_done_in(connection: Connection) -> Callable[[bytes], bool]:
    """Whether a picture without a row is of a job that will be painted again; else this is an older
    database, put back in the place of one that knew it."""
    running = jobs.newest(connection, owner=None, states=("running",), limit=None, before=None)
    asked = [asked_for(job.request) for job in running]

    def half_done(data: bytes) -> bool:
        try:
            return asked_for(own_recipe(data)["request"]) in asked
        except (DarkroomError, KeyError):
            return True

    return half_done


def asked_for(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a job and its pictures say alike; its priority may have changed in the line."""
    return {name: value for name, value in request.items() if name != "priority"}
