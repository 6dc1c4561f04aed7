"""Reports people and programs read: HTML, Markdown, CSV, JSON with a published schema, JUnit XML; and the conditions that fail a build."""
