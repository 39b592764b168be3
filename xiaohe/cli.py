"""The program ``xiaohe``: its commands, where their settings come from, and what it exits with.

Settings come from options, then ``XIAOHE_*`` variables, then ``xiaohe.toml``. Exit status 0: done;
1: the thing asked for failed or does not hold; 2: unusable arguments. Errors go to stderr and say
what to do next. With ``--json`` standard output holds one JSON object a line and nothing else.
"""

import logging
import os
import sys
from typing import NoReturn

from cyclopts import App, CycloptsError
from cyclopts.config import Env, Toml

from xiaohe.kernel_cache import keep_kernels
from xiaohe.output import note

EXIT_DONE, EXIT_FAILED, EXIT_UNUSABLE = 0, 1, 2

COMMANDS = {
    "up": ("xiaohe.commands.up:up", "Everything on this machine, until Ctrl-C."),
    "status": ("xiaohe.commands.up:status", "What runs here and how it is."),
    "demo": ("xiaohe.commands.demo:demo", "A simulated brigade at work, with a live view."),
    "simulate": ("xiaohe.commands.simulate:simulate", "What-if runs under virtual time."),
    "worker": ("xiaohe.commands.parts:worker", "One worker alone, against a running Kafka."),
    "gateway": ("xiaohe.commands.parts:gateway", "One gateway alone, against a running Kafka."),
    "verify": ("xiaohe.commands.verify:verify", "The account of what came in, from the topics."),
    "replay": ("xiaohe.commands.replay:replay", "The log folded and decided again, compared."),
    "asyncapi": ("xiaohe.commands.asyncapi:asyncapi", "Every message of Kafka, as a document."),
    "forget": ("xiaohe.commands.forget:forget", "A caller's data, erased wherever it is kept."),
    "explain": ("xiaohe.commands.explain:explain", "Why an order was given, and to whom not."),
}
"""Each command's function and what it does, in a line."""

GROUPS = {
    "broker": (
        "The one-machine Kafka.",
        "xiaohe.commands.broker",
        {
            "start": "Start it and leave it running.",
            "stop": "Stop it.",
            "status": "Whether it runs and answers.",
        },
    ),
    "topics": (
        "A cluster's topics.",
        "xiaohe.commands.topics",
        {
            "apply": "Make them what topics.yaml says.",
            "diff": "Show how they differ from topics.yaml.",
        },
    ),
    "roads": (
        "Roads files.",
        "xiaohe.commands.roads",
        {
            "import": "Make one of OpenStreetMap data, GeoJSON or a node-link graph.",
            "check": "Show what is wrong with one.",
        },
    ),
    "roster": (
        "Rosters.",
        "xiaohe.commands.roster",
        {
            "load": "Publish one.",
            "check": "Show gaps and doubles of the coming week, road by road.",
        },
    ),
    "feed": (
        "Mapping files for other systems' JSON.",
        "xiaohe.commands.feed",
        {
            "test": "Show the alerts that one makes of a sample, or what is missing.",
        },
    ),
    "positions": (
        "Positions of devices.",
        "xiaohe.commands.positions",
        {
            "replay": "Send a recorded track as if it were taken now.",
        },
    ),
    "access": (
        "Who may come in at the gateway's doors.",
        "xiaohe.commands.access",
        {
            "add": "Add somebody or something, or change what they are.",
            "list": "Show who may come in, and as what.",
            "remove": "Let somebody in no more.",
            "out": "End somebody's sessions and links.",
            "key": "Show a device's key, or give a service another one.",
            "link": "Sign a login link, which counts once.",
            "pin": "Give a member another PIN.",
            "password": "Give an operator another password.",
            "rotate": "Let new keys sign the tokens.",
        },
    ),
    "ca": (
        "A certificate authority of one's own.",
        "xiaohe.commands.ca",
        {
            "create": "Make it.",
            "issue": "Issue the gateway's certificate.",
            "show": "Show its fingerprint, and a QR code for phones.",
        },
    ),
    "device": (
        "Devices, for whoever wires them up.",
        "xiaohe.commands.device",
        {
            "test": "Show a device's last message and what was made of it.",
        },
    ),
    "sim": (
        "Simulations of the engine itself.",
        "xiaohe.commands.sim",
        {
            "faults": "Whatever may go wrong does, by seed; nothing is lost or doubled.",
        },
    ),
    "bench": (
        "Benchmarks, each beside its peers in the same run.",
        "xiaohe.commands.bench",
        {
            "stream": "Alert to order, and positions, through the one-machine Kafka.",
            "geo": "A whole choice, beside stores of positions, up to a million members.",
            "matching": "How often a fix is put on the right road, beside plain snapping.",
            "recover": "From a worker's kill -9 until its areas decide again.",
            "deadlines": "How late steps are with 100,000 incidents open, and refusing 10 MiB.",
            "bursts": "Alerts at once, few members free: on time, beside greedy and the optimum.",
        },
    ),
}
"""Each group: what it is about, its module, and its words; a word's function has a trailing _."""


def build() -> App:
    """Make the program from the two lists above; a command's code is loaded when it is called."""
    app = App(
        name="xiaohe",
        help="Event-streaming geospatial dispatch: accepted in 1 minute, on scene in 3, "
        "reinforced in 5.",
        config=[
            Env("XIAOHE_", command=False),
            Toml("xiaohe.toml", allow_unknown=True, use_commands_as_keys=False),
        ],
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for name, (where, does) in COMMANDS.items():
        app.command(where, name=name, help=does)
    for name, (about, module, words) in GROUPS.items():
        group = App(name=name, help=about)
        for word, does in words.items():
            group.command(f"{module}:{word}_", name=word, help=does)
        app.command(group)
    return app


def main() -> NoReturn:
    """Run the program with the process's arguments and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the program; give its exit status."""
    # Kafka's client logs what it tries again by itself; what fails for good is an exception here.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    keep_kernels()
    try:
        status = build()(arguments)
    except CycloptsError as fault:
        note(f"xiaohe: {fault}\nxiaohe: see `xiaohe --help`")
        return EXIT_UNUSABLE
    except KeyboardInterrupt:
        return EXIT_DONE
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `| head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except _mendable() as fault:
        note(f"xiaohe: {fault}")
        from xiaohe.sim.whatif.scenario import ScenarioError  # noqa: PLC0415 - as in _mendable

        return EXIT_UNUSABLE if isinstance(fault, ScenarioError) else EXIT_FAILED
    return status if isinstance(status, int) else EXIT_DONE


def _mendable() -> tuple[type[Exception], ...]:
    """Faults that a person can mend, with a message that says how; any other fault is ours."""
    from xiaohe.access_register import RegisterError  # noqa: PLC0415 - the same
    from xiaohe.cluster import ClusterError  # noqa: PLC0415 - only when something went wrong
    from xiaohe.commands.device import DeviceUntold  # noqa: PLC0415 - the same
    from xiaohe.dispatch.policy import PolicyError  # noqa: PLC0415 - the same
    from xiaohe.explain.faults import ExplainError  # noqa: PLC0415 - the same
    from xiaohe.forget import ForgetError  # noqa: PLC0415 - the same
    from xiaohe.gateway.access.secret import SecretUnusable  # noqa: PLC0415 - the same
    from xiaohe.gateway.alerts.feed_file import FeedFileError  # noqa: PLC0415 - the same
    from xiaohe.gateway.alerts.open311 import ServicesFileError  # noqa: PLC0415 - the same
    from xiaohe.gateway.follower import NotCaughtUp  # noqa: PLC0415 - the same
    from xiaohe.gateway.publisher import NotPublished  # noqa: PLC0415 - the same
    from xiaohe.gateway.serve import AddressTaken, NotProtected  # noqa: PLC0415 - the same
    from xiaohe.gateway.settings import SettingsError  # noqa: PLC0415 - the same
    from xiaohe.geo.roads import RoadsFileError  # noqa: PLC0415 - the same
    from xiaohe.java import BrokerUnavailable  # noqa: PLC0415 - the same
    from xiaohe.local_ca import LocalCaError  # noqa: PLC0415 - the same
    from xiaohe.places import FileUnreadable, FileUnwritable  # noqa: PLC0415 - the same
    from xiaohe.replay.faults import ReplayError  # noqa: PLC0415 - the same
    from xiaohe.roster_file import RosterFileError  # noqa: PLC0415 - the same
    from xiaohe.sim.bus import BusError  # noqa: PLC0415 - the same
    from xiaohe.sim.whatif.files import DemandFileError  # noqa: PLC0415 - the same
    from xiaohe.stack import StackFailed  # noqa: PLC0415 - the same
    from xiaohe.topics import TopicsFileError  # noqa: PLC0415 - the same
    from xiaohe.track_replay import ReplayRefused  # noqa: PLC0415 - the same
    from xiaohe.verify import TopicsUnreadableError  # noqa: PLC0415 - the same
    from xiaohe.wire.cluster_access import AccessError  # noqa: PLC0415 - the same
    from xiaohe.wire.reaching import Unreachable  # noqa: PLC0415 - the same

    return (
        AccessError,
        AddressTaken,
        BrokerUnavailable,
        BusError,
        ClusterError,
        DemandFileError,
        DeviceUntold,
        ExplainError,
        FeedFileError,
        FileUnreadable,
        FileUnwritable,
        ForgetError,
        LocalCaError,
        NotCaughtUp,
        NotProtected,
        NotPublished,
        OSError,
        PolicyError,
        RegisterError,
        ReplayError,
        ReplayRefused,
        RoadsFileError,
        RosterFileError,
        SecretUnusable,
        ServicesFileError,
        SettingsError,
        ServicesFileError,
        StackFailed,
        TopicsFileError,
        TopicsUnreadableError,
        Unreachable,
    )
