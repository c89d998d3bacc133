"""The MQTT broker: a pipe that is never trusted to keep anything."""
