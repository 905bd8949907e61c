"""Connection pools: samples, saturation, leak detection and leak rate. Pure."""
