"""What pipelines ask: one command, one exit code, and the artefacts that people read afterwards."""
