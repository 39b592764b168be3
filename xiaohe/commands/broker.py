"""``xiaohe broker start|stop|status``: the one-machine Kafka of a data folder."""

import asyncio

import msgspec

from xiaohe.broker import Broker
from xiaohe.commands.options import DataDir, Json, Secure
from xiaohe.output import note, say, say_json
from xiaohe.places import DATA_DIR
from xiaohe.secure_broker import let_in
from xiaohe.topics import load_topics


def start_(
    *,
    data_dir: DataDir = DATA_DIR,
    port: int | None = None,
    secure: Secure = False,
    json: Json = False,
) -> int:
    """Start the broker and leave it running; nothing where it runs already.

    One that is secure stays so. Its principals' passwords and certificates are in keys/.

    Parameters
    ----------
    port
        The port to listen on; else the last one, else any that is free.
    """
    broker = Broker.start(data_dir / "broker", port=port, secure=secure, say=note)
    if broker.secure:
        asyncio.run(let_in(broker, load_topics()))
    if json:
        say_json(
            {
                "bootstrap_servers": broker.bootstrap_servers,
                "pid": broker.pid,
                "started": broker.started_here,
                "secure": broker.secure,
                "mutual_tls_servers": broker.mutual_tls_servers,
            }
        )
    else:
        how = "runs" if broker.started_here else "was running already"
        say(f"Kafka {broker.kafka_version} {how} on {broker.bootstrap_servers} ({broker.pid})")
        if broker.secure:
            say(f"  passwords there, certificates on {broker.mutual_tls_servers}; the keys are in")
            say(f"  {broker.data_dir / 'keys'}: NAME.password, NAME.pem, NAME-key.pem, ca.pem")
    return 0


def stop_(*, data_dir: DataDir = DATA_DIR, json: Json = False) -> int:
    """Stop the broker; nothing where none runs."""
    broker = Broker.attach(data_dir / "broker")
    if broker is not None:
        broker.stop()
    if json:
        say_json({"stopped": broker is not None})
    else:
        say("stopped" if broker is not None else f"no broker runs on {data_dir}")
    return 0


def status_(*, data_dir: DataDir = DATA_DIR, json: Json = False) -> int:
    """Show whether the broker runs and answers. Exit status 1 where it does not answer."""
    found = Broker.status(data_dir / "broker")
    if json:
        say_json(msgspec.to_builtins(found))
    elif not found.running:
        say(f"no broker runs on {data_dir}")
    else:
        how = "answers" if found.answering else "does not answer"
        say(f"Kafka {found.kafka_version} {how} on {found.bootstrap_servers} ({found.pid})")
    return 0 if found.answering else 1
