"""The result of a command as JUnit, Markdown, JSON, annotations and SARIF, and its exit code."""
