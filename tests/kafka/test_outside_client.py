"""An outside client gets the orders that the contract's rules ask for, on two cities' roads.

Each test has an area of its own, with members that it publishes itself. Travel times are worked
out by plain Dijkstra over the roads file (``tests.kafka.city``), never asked of the engine.
"""

import json
import random
import re
import time
from collections.abc import AsyncIterator

import pytest

from tests.kafka.city import City, Spot
from tests.kafka.outside import Client, Value, now, seconds

pytestmark = pytest.mark.kafka

ARRIVE_S = 180.0
"""The second window, which the tests' policy leaves as it is."""

ETA_SHARE_MAX, ETA_S_MAX = 0.01, 0.5
"""How far the engine's travel time may be from our own: projections and rounding."""


@pytest.fixture(scope="session", params=["own map", "baltimore"])
def city(request: pytest.FixtureRequest) -> City:
    """Each city in turn."""
    name = "own_city" if request.param == "own map" else "baltimore"
    found: City = request.getfixturevalue(name)
    return found


@pytest.fixture(scope="session")
def city_servers(city: City, request: pytest.FixtureRequest) -> str:
    """Where the product that runs on this city's roads is."""
    return str(request.getfixturevalue("servers" if city.name == "xiaohe" else "baltimore_servers"))


@pytest.fixture
async def here(city_servers: str) -> AsyncIterator[Client]:
    """A client of the product on this city's roads."""
    async with Client(city_servers) as client:
        yield client


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The same chance each time for the same test."""
    return random.Random(request.node.name)


def at(spot: Spot) -> Value:
    """A place as the contract writes it."""
    return {"lon": spot.lon, "lat": spot.lat}


def is_close(eta_s: float, expected_s: float) -> bool:
    """Whether two travel times are the same but for rounding."""
    return abs(eta_s - expected_s) <= ETA_SHARE_MAX * expected_s + ETA_S_MAX


def excluded(order: Value) -> dict[str, str | None]:
    """Why each candidate of an order was passed over."""
    return {c["member_id"]: c["excluded"] for c in order["why"]["candidates"]}


class TestWhoIsAsked:
    """Owner in time, else squad in time, else the nearest by road."""

    async def test_the_owner_goes_though_others_are_nearer(
        self, here: Client, city: City, chance: random.Random
    ):
        """An owner who can be there within the window is preferred to whoever is quicker."""
        area = here.name("area")
        scene, (near, far) = city.around(chance, [20, 100])
        await here.member(area, post=at(near))
        roads = [{"road_id": scene.road_id, "role": "owner"}]
        owner = await here.member(area, post=at(far), team="red", roads=roads)

        alert_id = await here.alert(area, position=at(scene))

        order = await here.order(alert_id)
        assert (order["member_id"], order["why"]["rule"]) == (owner, "owner")
        assert is_close(order["eta_s"], city.travel_s(far, scene))
        assert seconds(order["ordered_at"]) + order["eta_s"] <= seconds(order["arrive_by"])
        opened = await here.opened(alert_id)
        assert opened["data"]["road_id"] == scene.road_id
        assert opened["data"]["responsible"] == {"team": "red", "members": [owner]}

    async def test_the_squad_goes_where_the_owner_is_off_duty(
        self, here: Client, city: City, chance: random.Random
    ):
        """No shifts is off duty; then a member of the owner's squad, though others are nearer."""
        area = here.name("area")
        scene, (near, middle, far) = city.around(chance, [20, 60, 120])
        await here.member(area, post=at(near), team="blue")
        roads = [{"road_id": scene.road_id, "role": "owner"}]
        owner = await here.member(area, post=at(middle), team="red", roads=roads, shifts=[])
        mate = await here.member(area, post=at(far), team="red")

        order = await here.order(await here.alert(area, position=at(scene)))

        assert (order["member_id"], order["why"]["rule"]) == (mate, "team")
        assert excluded(order)[owner] == "off_duty"

    async def test_the_nearest_goes_where_owner_and_squad_are_too_far(
        self, here: Client, city: City, chance: random.Random
    ):
        """Whoever of the owner's squad could not be there in time has no preference."""
        area = here.name("area")
        scene, (near, far, farther) = city.around(chance, [40, 260, 290], slack=0.12)
        nearest = await here.member(area, post=at(near), team="blue")
        roads = [{"road_id": scene.road_id, "role": "owner"}]
        await here.member(area, post=at(far), team="red", roads=roads)
        await here.member(area, post=at(farther), team="red")

        order = await here.order(await here.alert(area, position=at(scene)))

        assert (order["member_id"], order["why"]["rule"]) == (nearest, "nearest")

    async def test_a_member_with_the_role_team_is_of_the_squad(
        self, here: Client, city: City, chance: random.Random
    ):
        """The role `team` on the road counts like the owner's squad."""
        area = here.name("area")
        scene, (near, far) = city.around(chance, [20, 100])
        await here.member(area, post=at(near))
        roads = [{"road_id": scene.road_id, "role": "team"}]
        helper = await here.member(area, post=at(far), roads=roads)

        order = await here.order(await here.alert(area, position=at(scene)))

        assert (order["member_id"], order["why"]["rule"]) == (helper, "team")

    @pytest.mark.parametrize("mode", ["ebike", "walk"])
    async def test_the_nearest_is_the_nearest_by_road(
        self, here: Client, city: City, chance: random.Random, mode: str
    ):
        """Five alerts, twelve members with fresh fixes: our own Dijkstra names the same one."""
        area = here.name("area")
        spots = chance.sample(city.spots, 17)
        people, scenes = spots[:12], spots[12:]
        members = [await here.member(area, travel_mode=mode) for _ in people]
        for member_id, spot in zip(members, people, strict=True):
            await here.fix(area, member_id, spot.lon, spot.lat)
        await here.placed(members)

        for scene in scenes:
            order = await here.order(await here.alert(area, position=at(scene)))
            times = city.all_travel_s(scene, people, mode)
            expected_s, nearest = min(zip(times, members, strict=True))
            assert order["member_id"] == nearest
            assert is_close(order["eta_s"], expected_s)
            assert order["why"]["fix_age_s"] is not None
            await here.operate(area, "cancel", incident_id=order["incident_id"])
            await here.ended(order)

    async def test_an_old_fix_gives_way_to_a_fresh_one(
        self, here: Client, city: City, chance: random.Random
    ):
        """Without a post, whoever has no fix newer than `fix_s` is passed over, the owner too."""
        area = here.name("area")
        scene, (near, far) = city.around(chance, [20, 100])
        roads = [{"road_id": scene.road_id, "role": "owner"}]
        stale, fresh = await here.member(area, roads=roads), await here.member(area)
        await here.fix(area, stale, near.lon, near.lat, age_s=61)
        await here.fix(area, fresh, far.lon, far.lat)
        await here.placed([stale, fresh])

        order = await here.order(await here.alert(area, position=at(scene)))

        assert order["member_id"] == fresh
        assert excluded(order)[stale] == "stale_fix"


class TestAnswers:
    """Asking on, declining, accepting, arriving, completing."""

    async def area_of(self, client: Client, spots: list[Spot]) -> tuple[str, list[str]]:
        """A new area with a member at each spot."""
        area = client.name("area")
        return area, [await client.member(area, post=at(spot)) for spot in spots]

    async def test_the_next_is_asked_on_and_the_first_acceptance_wins(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """After `offer_s` a second is asked; the first order stays open, and may win."""
        scene, spots = own_city.around(chance, [20, 60, 120])
        area, members = await self.area_of(client, spots)
        alert_id = await client.alert(area, position=at(scene))
        first = await client.order(alert_id)
        second = await client.order(alert_id, member_id=members[1])
        assert first["member_id"] == members[0]
        asked_on_s = seconds(second["ordered_at"]) - seconds(first["ordered_at"])
        assert 1.5 <= asked_on_s <= 1.75

        await client.answer(first, "accept")

        ended = await client.ended(second)
        assert ended["end"] == "stood_down"
        assert {**ended, "state": "ordered"} == {
            **second,
            **{name: ended[name] for name in ("end", "ended_at")},
        }
        late = await client.answer(second, "accept")
        assert (await client.letter(late))["reason"] == "order_ended"
        assert len(client.orders(alert_id)) == 2

    async def test_a_decline_asks_the_next_at_once(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """Nobody waits for `offer_s` after a no."""
        scene, spots = own_city.around(chance, [20, 60])
        area, members = await self.area_of(client, spots)
        alert_id = await client.alert(area, position=at(scene))
        first = await client.order(alert_id)

        await client.answer(first, "decline", reason="bike broken")

        second = await client.order(alert_id, member_id=members[1])
        ended = await client.ended(first)
        assert ended["end"] == "declined"
        assert seconds(second["ordered_at"]) - seconds(ended["ended_at"]) < 0.25

    async def test_a_day_from_order_to_done(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """Each answer is an event, `complete` resolves, and the view tells when each was."""
        scene, spots = own_city.around(chance, [30])
        area, _ = await self.area_of(client, spots)
        alert_id = await client.alert(area, position=at(scene))
        order = await client.order(alert_id)
        for action in ("accept", "en_route", "arrive", "complete"):
            await client.answer(order, action)

        assert (await client.ended(order))["end"] == "completed"
        incident_id = order["incident_id"]
        view = (await client.first("incidents", incident_id=incident_id, state="resolved")).value
        timeline = [
            view["timeline"][name]
            for name in ("received", "dispatched", "accepted", "en_route", "arrived", "resolved")
        ]
        assert None not in timeline
        assert [view["timeline"][n] for n in ("backup_required", "closed")] == [None, None]
        told = [got.value for got in client.of("incident-events", incident_id=incident_id)]
        assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
        assert view["last_seq"] == len(told)
        kinds = [event["type"] for event in told]
        assert kinds == [
            "incident.opened",
            "member.dispatched",
            "member.accepted",
            "member.en_route",
            "member.arrived",
            "member.completed",
            "incident.resolved",
        ]

    async def test_arrival_is_seen_by_position(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """Within `scene_radius_m` for `dwell_s`, without a word of the member."""
        scene, spots = own_city.around(chance, [30])
        area, members = await self.area_of(client, spots)
        order = await client.order(await client.alert(area, position=at(scene)))
        await client.answer(order, "accept")
        await client.event(order["incident_id"], "member.accepted")

        for age_s in (0.7, 0.1):
            await client.fix(area, members[0], scene.lon, scene.lat, age_s=age_s)

        arrived = await client.event(order["incident_id"], "member.arrived")
        assert arrived.value["data"]["by"] == "position"
        assert arrived.value["data"]["member_id"] == members[0]

    async def test_backup_on_need(self, client: Client, own_city: City, chance: random.Random):
        """A member who asks for it gets one backup, by the third window."""
        scene, spots = own_city.around(chance, [30, 60, 90])
        area, members = await self.area_of(client, spots)
        alert_id = await client.alert(area, position=at(scene))
        order = await client.order(alert_id)
        await client.answer(order, "accept")
        await client.answer(order, "request_backup", reason="two of them")

        backup = await client.order(alert_id, role="backup")
        assert backup["member_id"] == members[1]
        required = (await client.event(order["incident_id"], "backup.required")).value
        opened = await client.opened(alert_id)
        received_s = seconds(opened["data"]["arrive_by"]) - ARRIVE_S
        assert abs(seconds(required["data"]["due_at"]) - received_s - 300) < 0.01
        await client.answer(backup, "arrive")
        await client.event(order["incident_id"], "backup.arrived")
        await client.answer(order, "complete")
        assert (await client.ended(backup))["end"] == "stood_down"

    async def test_backup_always(self, client: Client, own_city: City, chance: random.Random):
        """For priority 1, reinforcement is ordered together with the first."""
        scene, spots = own_city.around(chance, [30, 60, 90])
        area, members = await self.area_of(client, spots)
        alert_id = await client.alert(area, position=at(scene), priority=1)
        first, backup = await client.order(alert_id), await client.order(alert_id, role="backup")
        assert (first["member_id"], backup["member_id"]) == (members[0], members[1])
        assert first["role"] == "primary"
        assert seconds(backup["ordered_at"]) == seconds(first["ordered_at"])

    async def test_several_people(self, client: Client, own_city: City, chance: random.Random):
        """`needed` primaries are ordered, and all may accept."""
        scene, spots = own_city.around(chance, [30, 60, 90])
        area, members = await self.area_of(client, spots)
        alert_id = await client.alert(area, position=at(scene), needed=2)
        wanted = {members[0], members[1]}
        for member_id in wanted:
            order = await client.order(alert_id, member_id=member_id)
            assert order["role"] == "primary"
            await client.answer(order, "accept")
            await client.event(order["incident_id"], "member.accepted")
        assert not client.of("dispatches", alert_id=alert_id, state="ended")


class TestAlerts:
    """The same again, duplicates, corrections, findings, calls for help."""

    async def test_same_attached_corrected(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """The same again is nothing; another id near by is attached; other content corrects."""
        area = client.name("area")
        scene, (near, far) = own_city.around(chance, [30, 200])
        first = await client.member(area, post=at(near))
        other = await client.member(area, post=at(far))
        alert = client.an_alert(position=at(scene))
        await client.send("alerts", area, alert)
        order = await client.order(alert["alert_id"])
        assert order["member_id"] == first
        incident_id = order["incident_id"]

        await client.send("alerts", area, {**alert, "unknown": 1, "area_id": area})
        twin = await client.alert(area, position=at(scene), source="camera")
        attached = (await client.event(incident_id, "alert.attached")).value
        assert attached["data"]["alert_id"] == twin
        assert attached["data"]["relation"] == "same"
        assert attached["seq"] == 3  # the same alert again has said nothing

        moved = {**alert, "position": at(far)}
        await client.send("alerts", area, moved)
        again = await client.order(alert["alert_id"], member_id=other)
        relations = [
            got.value["data"]["relation"]
            for got in client.of("incident-events", incident_id=incident_id)
            if got.value["type"] == "alert.attached"
        ]
        assert relations == ["same", "correction"]
        assert again["incident_id"] == incident_id
        assert (await client.ended(order))["end"] == "stood_down"

    async def test_a_member_who_found_it_is_on_scene(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """`reported_by` opens on scene without an offer; accept and arrive are null."""
        area = client.name("area")
        scene, (near,) = own_city.around(chance, [30])
        finder = await client.member(area, post=at(near))
        alert_id = await client.alert(area, position=at(scene), source="patrol", reported_by=finder)
        opened = await client.opened(alert_id)
        view = (
            await client.first("incidents", incident_id=opened["incident_id"], state="on_scene")
        ).value
        assert view["timeline"]["accepted"] is None
        assert [a["member_id"] for a in view["assignments"]] == [finder]
        assert client.orders(alert_id) == []

    async def test_a_call_for_help_brings_the_two_quickest(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """An alarm orders two others, whoever's road it is, and stays open until closed."""
        area = client.name("area")
        scene, (near, far, farther) = own_city.around(chance, [20, 60, 100])
        victim = await client.member(area, post=at(near), rank="member", unit="1/1")
        helpers = {await client.member(area, post=at(spot)) for spot in (far, farther)}
        roads = [{"road_id": scene.road_id, "role": "owner"}]
        away = own_city.around(chance, [10])[0]
        await client.member(area, post=at(away), roads=roads, shifts=[])

        await client.fix(area, victim, scene.lon, scene.lat, alarm="sos")

        await client.until(
            lambda: len(client.of("dispatches", area_id=area, state="ordered")) >= 2, "two orders"
        )
        orders = [got.value for got in client.of("dispatches", area_id=area, state="ordered")]
        assert {order["member_id"] for order in orders} == helpers
        assert orders[0]["alert_id"].startswith(f"alarm:{victim}:")
        for order in orders:
            await client.answer(order, "complete")
            assert (await client.ended(order))["end"] == "completed"
        incident_id = orders[0]["incident_id"]
        await client.operate(area, "close", incident_id=incident_id, reason="safe")
        await client.event(incident_id, "incident.closed")
        assert not client.of("incident-events", incident_id=incident_id, type="incident.resolved")

    async def test_binary_and_structured_cloudevents(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """Both modes are taken, and mean the same alert as one without an envelope."""
        area = client.name("area")
        scene, (near, _) = own_city.around(chance, [30, 60])
        await client.member(area, post=at(near))
        alert = client.an_alert(position=at(scene))
        binary = {
            "ce_specversion": "1.0",
            "ce_id": "1",
            "ce_source": "/desk",
            "ce_type": "alert",
            "ce_time": now(),
            "content-type": "application/json",
        }
        await client.send("alerts", area, alert, headers=binary)
        order = await client.order(alert["alert_id"])
        structured = {
            "specversion": "1.0",
            "id": "2",
            "source": "/desk",
            "type": "alert",
            "datacontenttype": "application/json",
            "data": alert,
        }
        headers = {"content-type": "application/cloudevents+json"}
        await client.send("alerts", area, structured, headers=headers)
        other = {**structured, "data": {**alert, "priority": 1}}
        await client.send("alerts", area, other, headers=headers)
        attached = (await client.event(order["incident_id"], "alert.attached")).value
        assert attached["data"]["relation"] == "correction"
        assert attached["seq"] == 3

    async def test_a_record_in_the_wrong_partition_is_forwarded(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """Once, to the partition of its key; windows count from the first receipt."""
        area = client.name("area")
        scene, (near,) = own_city.around(chance, [30])
        await client.member(area, post=at(near))
        probe = await client.send("operator-actions", area, {"action_id": "bad"})
        count = await client.partitions_of("alerts")
        alert = client.an_alert(position=at(scene))
        sent = await client.send("alerts", area, alert, partition=(probe.partition + 1) % count)

        order = await client.order(alert["alert_id"])

        opened = await client.opened(alert["alert_id"])
        assert opened["cause"]["partition"] == probe.partition
        arrive_by_s = seconds(order["arrive_by"])
        assert abs(arrive_by_s - ARRIVE_S - sent.timestamp / 1000) < 0.002
        assert client.letters(sent) == []

    async def test_an_alert_from_nowhere_opens_all_the_same(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """An unknown road, an odd date: an incident, with the reasons why nobody can go."""
        area = client.name("area")
        _, (near,) = own_city.around(chance, [30])
        await client.member(area, post=at(near))
        alert_id = await client.alert(area, road_id="no such road", occurred_at="yesterday")
        opened = await client.opened(alert_id)
        unfilled = await client.event(opened["incident_id"], "incident.unfilled")
        assert unfilled.value["data"]["reasons"]


class TestDesk:
    """Operators, neighbours, rosters."""

    async def test_an_operator_sends_whom_they_like(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """A busy member's order ends first; nobody ever has two."""
        area = client.name("area")
        scene, (near, far) = own_city.around(chance, [30, 100])
        busy = await client.member(area, post=at(near))
        one = await client.order(await client.alert(area, position=at(scene)))
        assert one["member_id"] == busy
        await client.answer(one, "accept")
        other_id = await client.alert(area, position=at(far), category="fire")
        opened = await client.opened(other_id)
        await client.event(opened["incident_id"], "incident.unfilled")

        await client.operate(
            area, "dispatch", incident_id=opened["incident_id"], member_id=busy, reason="worse"
        )

        two = await client.order(other_id)
        assert (two["member_id"], two["why"]["rule"]) == (busy, "operator")
        states = [
            (got.value["dispatch_id"], got.value["state"])
            for got in client.of("dispatches", member_id=busy)
        ]
        assert states == [
            (one["dispatch_id"], "ordered"),
            (one["dispatch_id"], "ended"),
            (two["dispatch_id"], "ordered"),
        ]
        assert (await client.ended(one))["end"] == "stood_down"

    async def test_a_neighbour_is_asked_for_aid(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """Where nobody can go, the neighbouring area gets an alert of its own."""
        scene, (near,) = own_city.around(chance, [60])
        helper = await client.member("helper", post=at(near))
        alert_id = await client.alert("alone", position=at(scene))
        opened = await client.opened(alert_id)
        incident_id = opened["incident_id"]
        order = await client.order(f"aid:{incident_id}:1")
        assert (order["area_id"], order["member_id"]) == ("helper", helper)
        assert order["why"]["rule"] == "mutual_aid"
        assert order["origin"] == {"area_id": "alone", "incident_id": incident_id}
        await client.operate("helper", "cancel", incident_id=order["incident_id"])
        await client.ended(order)
        await client.send("roster", helper, None)

    async def test_whoever_leaves_the_roster_is_not_asked(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """A null value is a member gone; the roster counts for every alert after it."""
        area = client.name("area")
        scene, (near, far) = own_city.around(chance, [30, 60])
        gone = await client.member(area, post=at(near))
        stays = await client.member(area, post=at(far))
        await client.send("roster", gone, None)
        order = await client.order(await client.alert(area, position=at(scene)))
        assert order["member_id"] == stays

    async def test_emergency_mode_orders_backup_always(
        self, client: Client, own_city: City, chance: random.Random
    ):
        """`set_mode` turns the area, an area event tells it, and what comes after is emergency."""
        area = client.name("area")
        scene, spots = own_city.around(chance, [30, 60])
        for spot in spots:
            await client.member(area, post=at(spot))
        await client.operate(area, "set_mode", mode="emergency", reason="storm")
        await client.first("area-events", area_id=area, type="mode.changed")
        alert_id = await client.alert(area, position=at(scene), priority=3)
        assert (await client.order(alert_id, role="backup"))["role"] == "backup"


async def test_every_output_carries_its_headers(
    client: Client, own_city: City, chance: random.Random
):
    """CloudEvents in binary mode, with the ids that the contract names."""
    area = client.name("area")
    scene, (near,) = own_city.around(chance, [30])
    await client.member(area, post=at(near))
    order = await client.order(await client.alert(area, position=at(scene)))
    await client.answer(order, "complete")
    bad = await client.send("alerts", area, b"{")
    await client.letter(bad)
    await client.first("incidents", incident_id=order["incident_id"], state="resolved")
    mine = [
        got for got in client.got if got.value.get("area_id") == area or got.topic == "dead-letters"
    ]
    assert {got.topic for got in mine} >= {
        *("incident-events", "dispatches", "incidents", "dead-letters"),
    }
    for got in mine:
        assert got.headers["ce_specversion"] == "1.0"
        assert got.headers["ce_type"]
        assert seconds(got.headers["ce_time"]) <= time.time() + 1
        value, ce_id = got.value, got.headers["ce_id"]
        assert re.fullmatch(rf"/xiaohe/[^/]+/{re.escape(got.topic)}", got.headers["ce_source"])
        expected = {
            "incident-events": value.get("event_id"),
            "dispatches": f"{value.get('dispatch_id')}:{value.get('state')}",
            "incidents": f"{value.get('incident_id')}@{value.get('last_seq')}",
            "dead-letters": ":".join(
                str(value[name])
                for name in ("topic", "partition", "offset", "index")
                if value.get(name) is not None
            )
            if got.topic == "dead-letters"
            else None,
        }
        assert ce_id == expected.get(got.topic, ce_id)
    assert len(json.dumps(order)) < 8192
