"""One background process that keeps an engine warm, and the perception that reaches it over a Unix socket."""
