"""The bytes between edge and cloud: MQTT topics and payloads (docs/wire-contract.md)."""
