"""A secure one-machine broker made ready for its principals: passwords, and rights.

The administrator is let in by certificate, so that a new broker needs no password to begin with;
what they give is given anew at every start, and so is a password that was changed in its file.
"""

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from xiaohe.broker import Broker
from xiaohe.cluster import REQUEST_TIMEOUT_MS, ClusterError
from xiaohe.cluster_acls import AclsApplied, apply_acls
from xiaohe.scram_users import set_passwords
from xiaohe.topics import Topics
from xiaohe.wire.cluster_access import Security


async def let_in(broker: Broker, topics: Topics) -> AclsApplied:
    """Give every principal its password and its rights. Raises ClusterError, AccessError."""
    assert broker.secure, "a plain broker lets everybody in"
    admin = broker.access(security=Security.SSL)
    passwords = {name: broker.access(name).password() or "" for name in topics.principals}
    client = AIOKafkaClient(**admin.client_options(), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await client.bootstrap()
        await set_passwords(client, passwords)
    except (KafkaError, OSError) as error:
        raise ClusterError(
            f"The broker on {admin.bootstrap_servers} does not take its principals' passwords: "
            f"{error}. Its log is {broker.data_dir / 'broker.log'}."
        ) from error
    finally:
        await client.close()
    return await apply_acls(admin, topics)
