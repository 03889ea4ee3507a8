"""Events with links: each attempt of a delivery has the same body, whichever worker makes it."""

import pytest

from relay.domain.links import EventLinks
from tests.fakes.subscribers import OK, status
from tests.integration.pipeline.dispatching_rig import Dispatching
from tests.integration.pipeline.rig import Rig, until

pytestmark = pytest.mark.timeout(30)
CRM = "crm.example.com"
LINKS = EventLinks(key=b"k" * 32, public_url="https://relay.example.com", lives_s=3600)


async def test_every_attempt_has_the_same_body(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker fails to deliver, time passes, and another worker delivers: to the byte the same."""
    await rig.source()
    floor = Dispatching(rig)
    await rig.endpoint(url=f"https://{CRM}/hook", include=("recordingUrl", "visitorTraceUrl"))
    plain = await rig.endpoint(url="https://plain.example.com/hook")
    await floor.changed()
    floor.subscribers.answers[CRM] = status(500)
    async with floor.worker(schedule=(5.0,)) as first:
        first.catalogue._links = LINKS
        await floor.rows(1, vid="visitor-1", rec="1")
        await until(lambda: len(floor.subscribers.got) == 2)
        await floor.settled()
    floor.subscribers.answers[CRM] = OK
    async with floor.worker(schedule=(5.0,)) as second:
        second.catalogue._links = LINKS
        await floor.pass_time(8)
        await floor.all_ended()
    bodies = [each.body for each in floor.subscribers.got if each.host == CRM]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert b'"recordingUrl":"https://relay.example.com/recording/app_' in bodies[0]
    assert b'"visitorTraceUrl":"https://relay.example.com/visitor-trace/app_' in bodies[0]
    (other,) = [each.body for each in floor.subscribers.got if each.host != CRM]
    assert b"https://relay" not in other
    assert plain.include == ()
