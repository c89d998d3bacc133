"""Thousands of simulated edge agents that speak the wire contract; it knows `vitals` and MQTT, nothing else.

    scenario  what the fleet is: groups, kinds, clocks, outages
    sensors   what an agent of each kind measures, and how often     waves    synthetic samples, packed once
    agent     measures, numbers, sends, lets go; knows no clock      spool    what is not known to be stored
    voice     its messages as bytes                                  link     one MQTT connection
    fleet     all agents of a shard in one event loop                figures, ledger   what is counted

The client library is gmqtt. paho, and aiomqtt which stands on it, wait with `select()`, which knows no file
descriptor above 1023: a thousand agents in a process are its end. gmqtt is plain asyncio and costs about a
third of paho's processor time per message. Each connection gets a fresh client, so that what has to be sent
again is decided by the acknowledgements of the cloud alone, as in the real agent.
"""
