"""The process in a home, health hut or ambulance: devices to durable spool to MQTT."""
