"""Lists connection pools by how near they are to exhaustion: `canary pools`."""
