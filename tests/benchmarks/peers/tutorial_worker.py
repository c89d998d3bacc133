"""The worker of the tutorials: in paho's callback one INSERT and one commit for each message.

`python -m tests.benchmarks.peers.tutorial_worker DATABASE_URL PORT`
"""

import json
import sys

import paho.mqtt.client as mqtt
import psycopg


def main(database_url: str, port: str) -> None:
    connection = psycopg.connect(database_url)

    def insert(_client, _userdata, message) -> None:
        said = json.loads(message.payload)
        key = next(iter(said["m"]))
        connection.execute(
            "INSERT INTO sample VALUES (%s, %s, to_timestamp(%s / 1000.0), %s)",
            (said["src"], key, said["t0"] + said["dt"][0], said["m"][key][0]),
        )
        connection.commit()

    def subscribe(client, *_details) -> None:
        client.subscribe("q/v1/+/+/vitals", qos=1)

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="tutorial", clean_session=False)
    client.on_connect = subscribe
    client.on_subscribe = lambda *_details: print("ready", flush=True)
    client.on_message = insert
    client.connect("127.0.0.1", int(port))
    client.loop_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
