"""Console script, `up`, `doctor` and the demo: starts edge and cloud as processes; no logic of its own."""
