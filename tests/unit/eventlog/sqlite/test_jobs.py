"""The jobs and results between the event loop and the SQLite log's thread."""

from __future__ import annotations

import asyncio
from typing import Any

from sio_server.contract.errors import LogUnavailable
from sio_server.eventlog.sqlite.jobs import AppendJob, ChangeJob, ProbeJob, QueryJob, refusal


async def test_every_kind_of_job_can_be_refused_with_its_own_error() -> None:
    """Two callers never share one exception object, because each adds its own traceback."""

    def new_future() -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    jobs = [
        AppendJob([], new_future()),
        ChangeJob(lambda connection, now: None, new_future(), synced=True),
        QueryJob(lambda store: None, new_future()),
        ProbeJob(new_future()),
    ]
    results = [refusal(job) for job in jobs]
    assert [result.answer for result in results] == [job.answer for job in jobs]
    assert all(isinstance(result.value, LogUnavailable) and result.known for result in results)
    assert len({id(result.value) for result in results}) == len(jobs)
