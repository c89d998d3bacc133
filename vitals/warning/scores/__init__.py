"""One file per score; the finder collects their SCORE declarations."""
